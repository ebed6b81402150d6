"""Analysis: what happened, per prompt and in all."""
