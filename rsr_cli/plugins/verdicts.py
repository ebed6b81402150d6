"""What a verifier or a judge returned, checked: nothing that is no score is ever taken for one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from rsr_cli.types import Verdict

STATUSES = ("scored", "no_answer", "timeout", "error")


def as_verdict(value: Any, who: str = "verifier") -> Verdict:
    """Return what a verifier returned as a verdict; where it cannot be read as a score, one of status error."""
    if isinstance(value, Verdict):
        return _checked(value, who)
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool | int | float):
        return _checked(Verdict(float(value)), who)
    return Verdict.unknown("error", f"the {who} returned {_brief(value)}, not a Verdict, a bool or a number")


def _checked(verdict: Verdict, who: str) -> Verdict:
    score, status = verdict.score, verdict.status
    if status not in STATUSES:
        return Verdict.unknown("error", f"the {who} returned the status {_brief(status)}")
    if (score is None) != (status in ("timeout", "error")):
        return Verdict.unknown("error", f"the {who} returned the score {score} with the status {status}")
    if score is not None and not (isinstance(score, int | float) and math.isfinite(score)):
        return Verdict.unknown("error", f"the {who} returned the score {_brief(score)}")
    for text in (verdict.extracted_answer, verdict.explanation, verdict.details):
        if text is not None and not isinstance(text, str):
            return Verdict.unknown("error", f"the {who} returned {_brief(text)} where text belongs")
    return verdict if score is None else replace(verdict, score=float(score))


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = "an object without a repr"
    return f"{text[:80]} ({type(value).__name__})"
