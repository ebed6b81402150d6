"""The boxes of a reply: \\boxed{…}, \\fbox{…} and \\boxed 7."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])\s*")
_BRACE = re.compile(r"\\\\|\\[{}]|[{}]")
_BARE = re.compile(r"\\[a-zA-Z]+|[^\s$\\{}]+")
_CONNECTOR = re.compile(
    r"(?:\s|\$+|\\[()\[\],;: ]|[,;&./|(]|\\(?:quad|qquad)|\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or|maybe"
    r"|perhaps|possibly)\b"
    r"|或|和|与|、|，)*"
)
_OR = re.compile(r"\bor\b|或|[/|]|\bmaybe\b|\bperhaps\b")
MOST_BOXES = 64
"""Boxes looked at from the end; keeps 200,000 boxes that are never closed linear."""


@dataclass(frozen=True, slots=True)
class Box:
    """`content` stands between the braces; `start` and `end` enclose the whole command."""

    start: int
    end: int
    content: str


def last_boxes(text: str, most: int = MOST_BOXES) -> list[Box]:
    """The last closed boxes in order, without those inside another one and without empty ones."""
    if "\\boxed" not in text and "\\fbox" not in text and "\\framebox" not in text:
        return []
    boxes: list[Box] = []
    for opening in _openings(text, most):
        box = _close(text, opening)
        if box and not (boxes and boxes[-1].start < box.end):
            boxes.append(box)
        elif box and boxes and box.end >= boxes[-1].end:  # the one found before lies inside this one
            boxes[-1] = box
    return [box for box in reversed(boxes) if box.content.strip()]


def _openings(text: str, most: int) -> list[re.Match[str]]:
    """The last openings of a box, last one first."""
    found: list[re.Match[str]] = []
    end = len(text)
    while len(found) < most:
        at = max(text.rfind(name, 0, end) for name in ("\\boxed", "\\fbox", "\\framebox"))
        if at < 0:
            break
        if match := _BOX.match(text, at):
            found.append(match)
        end = at
    return found


def _close(text: str, opening: re.Match[str]) -> Box | None:
    start, inside = opening.start(), opening.end()
    if not text.startswith("{", inside):
        bare = _BARE.match(text, inside)
        return Box(start, bare.end(), bare[0].rstrip(".,;")) if bare else None
    depth = 0
    for brace in _BRACE.finditer(text, inside):
        if brace[0] == "{":
            depth += 1
        elif brace[0] == "}":
            depth -= 1
            if depth == 0:
                return Box(start, brace.end(), text[inside + 1 : brace.start()])
    return None


def side_by_side(text: str, boxes: list[Box]) -> tuple[list[str], bool]:
    """The contents of the last box and of those that only commas or "and" part from it, and whether an "or" does."""
    contents = [boxes[-1].content.strip()]
    either = False
    for before, after in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
        between = text[before.end : after.start]
        if len(between) > 100 or not _CONNECTOR.fullmatch(between):
            break
        if "\n" in between and not between.strip(" $\n\t"):
            break  # two lines with a box each: the answer said again, or another one
        either = either or bool(_OR.search(between))
        contents.insert(0, before.content.strip())
    return list(dict.fromkeys(contents)), either


def unclosed_box(text: str) -> bool:
    """Whether the last box is cut off before it closes."""
    openings = _openings(text, 1)
    if not openings or not text.startswith("{", openings[0].end()):
        return False
    return _close(text, openings[0]) is None
