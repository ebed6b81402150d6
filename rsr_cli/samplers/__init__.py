"""Samplers: each turns prompts into completions on one kind of backend."""
