"""Answers read out of a reply, and compared with the gold."""
