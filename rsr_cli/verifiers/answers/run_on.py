"""Where a model goes on to invent the next question: what it said before that counts."""

from __future__ import annotations

import re

_NEXT_QUESTION = re.compile(
    r"^[ \t]*(?:\#+\s*|\*\*)?(?:Question|Problem|Exercise|Human|User|Q|Input|Options)"
    r"(?:\s+\d+)?(?:\*\*)?\s*[:.](?:\*\*)?"
    r"|^[ \t]*\#+\s*(?:Instruction|Input|Question|Problem)\b"
    r"|^[ \t]*(?:题目|问题)\s*\d*\s*[:：]",
    re.MULTILINE,
)
_STATED = re.compile(
    r"\banswer\b|\\boxed|答案|####|^A:|^[ \t]{0,6}\(?[A-Z]\)?[.)]?[ \t]{0,6}$|\bSolution\b|\b(?:option|choice)\b",
    re.IGNORECASE | re.MULTILINE,
)
_TURN = re.compile(r"<\|im_(?:start|end)\|>|<\|(?:eot_id|end_of_text|endoftext|start_header_id)\|>|</s>")


def before_run_on(reply: str) -> str:
    """The reply up to the first invented question that follows an answer; all of it where there is none."""
    turn = _TURN.search(reply)
    if turn and turn.start() > 0:
        reply = reply[: turn.start()]
    if not _NEXT_QUESTION.search(reply):  # the cheaper pattern, and nearly always the answer
        return reply
    stated = _STATED.search(reply)
    question = _NEXT_QUESTION.search(reply, stated.end()) if stated else None
    return reply[: question.start()] if question else reply
