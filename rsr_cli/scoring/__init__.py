"""Scoring: a response becomes a verdict."""
