"""Verifiers: each scores one reply against the prompt's metadata."""
