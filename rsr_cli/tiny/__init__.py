"""The embedded tiny language model: its problems, its tokenizer, its numpy engine and its loopback server."""
