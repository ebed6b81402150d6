"""Where a model goes on to invent the next question: what it said before that counts."""

from __future__ import annotations

import re

_NEXT_QUESTION = re.compile(
    r"^[ \t]*(?:\#+\s*|\*\*)?(?:Next\s)?(?:Question|Problem|Exercise|Example|Human|User|Q|Input|Options)"
    r"(?:\s+\d+)?(?:\*\*)?\s*[:.](?:\*\*)?"
    r"|^[ \t]*\#+\s*(?:Instruction|Input|Question|Problem)\b"
    r"|^[ \t]*(?:题目|问题)\s*\d*\s*[:：]",
    re.MULTILINE,
)
_BEGINS_A_LINE = re.compile(r"\n[ \t]*(?:[#*]+\s*)?(?:Next|Q|Pro|Ex|Hu|Us|In|Op|题|问)")
"""Stands in every next question; looking for a line break first is far cheaper than the pattern."""
_STATED = re.compile(
    r"\banswer\b|\\boxed|答案|####|^A:|^[ \t]{0,6}\(?[A-Z]\)?[.)]?[ \t]{0,6}$|\bSolution\b|\b(?:option|choice)\b"
    r"|\A\W{0,4}[A-Z][).:]\s|^[ \t]{0,6}[-$]{0,2}\d(?:[\d.,/]{0,30}\d)?%?[ \t]{0,6}$",
    re.IGNORECASE | re.MULTILINE,
)


def before_run_on(reply: str) -> str:
    """The reply up to the first invented question that follows an answer; to its end without one."""
    if not _BEGINS_A_LINE.search(reply) or not _NEXT_QUESTION.search(reply):  # nearly always the case
        return reply
    stated = _STATED.search(reply)
    question = _NEXT_QUESTION.search(reply, stated.end()) if stated else None
    return reply[: question.start()] if question else reply
