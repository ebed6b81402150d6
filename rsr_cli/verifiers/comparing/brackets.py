"""Where the brackets of an answer open and close. Of any kind: [2, 5) is balanced."""

from __future__ import annotations

import re

_OPENERS, _CLOSERS = "([{", ")]}"
_STEP = re.compile(r"\\[a-zA-Z]+|[(\[{)\]}]|[,;:=<>]|\b(?:and|or|to)\b|或|和|与|及|!=|\S")


def split_top(text: str, separators: frozenset[str]) -> tuple[list[str], list[str]]:
    """The parts between separators that stand in no bracket, and those separators."""
    if not any(separator in text for separator in separators):
        return [text.strip()], []
    parts, found = [], []
    depth = start = 0
    for step in _STEP.finditer(text):
        token = step[0]
        if token in _OPENERS or token == "\\lset" or token == "\\beginmatrix":
            depth += 1
        elif token in _CLOSERS or token == "\\rset" or token == "\\endmatrix":
            depth -= 1
        elif depth == 0 and token in separators:
            parts.append(text[start : step.start()].strip())
            found.append(token)
            start = step.end()
    parts.append(text[start:].strip())
    return parts, found


def balanced(text: str) -> bool:
    """Whether no bracket closes what was opened before `text`."""
    depth = 0
    for step in re.finditer(r"\\lset|\\rset|[(\[{)\]}]", text):
        depth += 1 if step[0] in _OPENERS or step[0] == "\\lset" else -1
        if depth < 0:
            return False
    return depth == 0
