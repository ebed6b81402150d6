"""Scores of reward models, in process and served."""
