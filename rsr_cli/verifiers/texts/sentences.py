"""The sentences of a text, by its punctuation."""

from __future__ import annotations

import re

_SHORTENED = """
mr mrs ms dr prof st jr sr vs inc ltd co corp no vol fig al e.g i.e eg ie u.s u.k u.n ph.d approx dept est gen gov hon
rev sen rep capt col lt sgt jan feb mar apr jun jul aug sep sept oct nov dec mt ave blvd
"""
_ABBREVIATIONS = frozenset(_SHORTENED.split())
"""Those behind which a sentence goes on."""
_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s|$)|[。！？｡۔।॥]+[”’」』）]*|\n\s*\n")
_WORD_BEFORE = re.compile(r"[\w.]+$")
_STARTS = re.compile(r"[\s\"'“‘(\[*_#>-]*")
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*(?:\d+|[A-Za-z])$")


def sentences(text: str) -> list[str]:
    """Return the sentences: what ends in a mark of an end, not of an abbreviation, an initial or a number in a list."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        if end[0].startswith(".") and not end[0].startswith("..") and _goes_on(text, start, end):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if any(char.isalnum() for char in sentence)]


def _goes_on(text: str, start: int, end: re.Match[str]) -> bool:
    """A full stop within a sentence."""
    before = text[max(start, end.start() - 40) : end.start()]
    if _LIST_NUMBER.search(before):
        return True
    word = found[0] if (found := _WORD_BEFORE.search(before)) else ""
    next_at = _STARTS.match(text, end.end())
    following = text[next_at.end() : next_at.end() + 1] if next_at else ""
    if following.islower():
        return True
    if len(word) == 1 and word.isupper() and word != "I":
        return True
    return bool(following) and word.lower() in _ABBREVIATIONS
