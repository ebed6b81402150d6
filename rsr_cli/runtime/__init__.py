"""Running things: completions as they are made."""
