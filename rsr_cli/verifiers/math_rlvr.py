"""Score a free-form math answer by comparing it with the gold."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from rsr_cli.plugins.contracts import Verifier
from rsr_cli.reply import final_reply
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.comparing import symbolic
from rsr_cli.verifiers.comparing.equality import Comparison
from rsr_cli.verifiers.comparing.evaluation import FLOAT_NOISE
from rsr_cli.verifiers.reading.math_answer import read_answer, stated_answer
from rsr_cli.verifiers.reading.math_phrases import Answer

_NO_GOLD = "no gold answer in metadata.answer"
MOST_SHOWN = 1_000
"""Characters of an extracted answer that are kept."""


class MathRlvr(BaseModel, Verifier):
    """Rules for math: the answer is cut out of the reply, then compared with `metadata.answer`.

    The gold is a string, a number, or a list of golds any of which is accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    accept_rounded: bool = False
    """Accept a decimal that is the gold rounded to the digits it states, three significant ones at least: 0.333 for
    1/3. Off: a rounded value is right only where the gold itself is rounded to the same digits."""
    tolerance: float = Field(FLOAT_NOISE, ge=0, lt=1)
    """Relative difference up to which two numbers are equal. The default covers what a float prints; above it, whole
    numbers may differ as well."""

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Why no reply to this prompt can be scored."""
        return None if _golds(prompt.metadata.get("answer")) else _NO_GOLD

    def verify(self, response: str, metadata: dict[str, Any]) -> Verdict:  # type: ignore[override]
        """Score 1.0 or 0.0; `no_answer` where the reply states none, `error` where there is no gold to compare with."""
        golds = _golds(metadata.get("answer"))
        if not golds:
            return Verdict.unknown("error", _NO_GOLD)
        reply = final_reply(response)
        decision = read_answer(reply) if reply else None
        if decision is None or decision.value is None:
            return Verdict.no_answer()
        stated = decision.value
        if decision.either:
            return Verdict(0.0, "scored", stated.readings[-1][:MOST_SHOWN], "the reply leaves two answers open")
        comparison = Comparison(self.accept_rounded, self.tolerance)
        refused: str | None = None
        for gold in golds:
            try:
                if reading := _accepted(comparison, stated, gold):
                    return Verdict(1.0, "scored", reading[:MOST_SHOWN])
            except symbolic.TooLargeError as error:
                refused = str(error)
        shown = stated.readings[-1][:MOST_SHOWN]
        if refused:
            return Verdict(None, "error", shown, refused)
        return Verdict(0.0, "scored", shown)

    def explain(self, response: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """The claims found in a reply, which of them counts and why, and how it was compared, as plain data."""
        verdict = self.verify(response, metadata)
        decision = read_answer(final_reply(response) or "")
        compared: list[dict[str, Any]] = []
        for gold in _golds(metadata.get("answer")):
            for reading in decision.value.readings if decision.value else ():
                forms = Comparison(self.accept_rounded, self.tolerance).explain(reading, gold)
                compared.append({"answer": reading[:MOST_SHOWN], "gold": gold[:MOST_SHOWN], **forms})
        return {"verdict": verdict.status, "score": verdict.score, **decision.explain(), "compared": compared}

    def warm_up(self) -> None:
        """Load what the first comparison needs; called once in a worker, outside the time limit."""
        symbolic.warm_up()


@lru_cache(maxsize=16_384)
def _accepted(comparison: Comparison, stated: Answer, gold: str) -> str | None:
    """The reading of the answer that equals the gold."""
    for reading in (*stated.readings, *([stated.together] if stated.together else [])):
        if comparison.equal(reading, gold):
            return reading
    return None


def _golds(answer: Any) -> list[str]:
    """The golds as text; a gold may hold its working before #### or stand in a box."""
    if answer is None or isinstance(answer, dict):
        return []
    if isinstance(answer, list | tuple | set):
        return [gold for item in answer for gold in _golds(item)]
    text = ("yes" if answer else "no") if isinstance(answer, bool) else str(answer)
    if "####" in text:
        text = text.rpartition("####")[2]
    if ("boxed" in text or "\n" in text.strip()) and (stated := stated_answer(text)):
        text = stated.readings[0]
    return [text.strip()] if text.strip() else []
