"""Executors: where verifiers run."""
