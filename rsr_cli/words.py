"""Counts in words."""

from __future__ import annotations


def counted(count: int, plural: str, shown: str = ",") -> str:
    """Return `1 prompt`, `2 prompts`, `1,000 completion tokens`; `shown` is how the figure is formatted."""
    singular = count == 1 and plural.endswith("s") and not plural.endswith("ss")
    return f"{count:{shown}} {plural[:-1] if singular else plural}"
