"""The golds of a prompt as texts, for verifiers that compare texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_GOLD = "no gold in metadata.answer: a text, a number, or a list of them"
MOST_SHOWN = 1_000
"""Characters of an extracted answer that are kept."""


def gold_texts(metadata: Mapping[str, Any]) -> list[str]:
    """Return the golds, any of which is right; [] where there are none that are texts or numbers."""
    answer = metadata.get("answer")
    golds = answer if isinstance(answer, list | tuple) else [answer]
    texts = [str(gold).lower() if isinstance(gold, bool) else str(gold) for gold in golds if _is_plain(gold)]
    return [text for text in texts if text.strip()]


def _is_plain(gold: Any) -> bool:
    return isinstance(gold, str | int | float)
