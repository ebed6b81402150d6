"""Score open-ended replies with an LLM: by a grade on a scale, or by comparing them in pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from rsr_cli.plugins.contracts import Judge
from rsr_cli.reply import final_reply
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.judging import prompts
from rsr_cli.verifiers.judging.calls import Bill, Call, LlmOptions, all_of
from rsr_cli.verifiers.judging.content import EMPTY, has_content
from rsr_cli.verifiers.judging.judgement import Unreadable, number_within, read_object
from rsr_cli.verifiers.judging.pairs import BothOrders, Choice, Comparison, majority
from rsr_cli.verifiers.judging.prompts import RenderError, Rubric

_LONGEST_EXPLANATION = 300
_NO_REFERENCE = "no metadata.reference to compare with"
_MATERIAL = ("question", "messages", "reference", "answer", "criteria")


class Grade(NamedTuple):
    """What a judge says of one reply; the score is on its scale."""

    score: float
    rationale: str


class LlmJudge(LlmOptions, Judge):
    """A judge for open chat. Scores lie within 0 and 1.

    `absolute`: the median grade as a share of the scale. `pairwise`: the share of won comparisons, a tie counting half.
    """

    file_options: ClassVar[frozenset[str]] = frozenset({"template"})
    """Options that name a file whose content can change a verdict."""

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    mode: Literal["absolute", "pairwise"] = "absolute"
    against: Literal["reference", "others"] = "reference"
    """What a reply is compared with: `metadata.reference`, or each of the other rollouts of its prompt."""
    scale: tuple[float, float] = (1, 10)
    """The lowest and the highest grade."""
    votes: int = Field(1, ge=1)
    """How often each question is asked; the median counts. With several the temperature is 0.7 by default."""
    template: Path | None = None
    """A Jinja2 file in place of the built-in rubric. The fences and the form of the answer are added to it."""
    criteria: str | None = None
    """What counts, in words for the judge; a prompt's `metadata.criteria` takes its place."""

    _rubric: Rubric = PrivateAttr()

    @field_validator("scale")
    @classmethod
    def _a_scale_rises(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not (all(map(math.isfinite, scale)) and scale[0] < scale[1]):
            raise ValueError("give the lowest grade and then a higher one, such as [1, 10]")
        return scale

    @model_validator(mode="before")
    @classmethod
    def _votes_differ(cls, options: Any) -> Any:
        """At temperature 0 all votes would be one."""
        if isinstance(options, dict) and options.get("votes", 1) != 1:
            return {"temperature": 0.7, **options}
        return options

    @model_validator(mode="after")
    def _fits_its_mode(self) -> Self:
        other = "against" if self.mode == "absolute" else "scale"
        if other in self.model_fields_set:
            raise ValueError(f"{other} has no meaning in mode: {self.mode}")
        pairwise = self.mode == "pairwise"
        replies = ("reply_a", "reply_b") if pairwise else ("reply",)
        source = prompts.PAIRWISE if pairwise else prompts.ABSOLUTE
        try:
            if self.template is not None:
                source = self.template.expanduser().read_text(encoding="utf-8")
            self._rubric = Rubric(source, known=(*replies, *_MATERIAL), needed=replies)
        except (OSError, ValueError) as error:
            raise ValueError(f"template {self.template}: {getattr(error, 'strerror', None) or error}") from None
        return self

    @property
    def compares(self) -> bool:
        return self.mode == "pairwise" and self.against == "others"

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Why no reply to this prompt can be scored."""
        if self.mode == "pairwise" and self.against == "reference" and self._reference(prompt) is None:
            return _NO_REFERENCE
        names = ("reply_a", "reply_b") if self.mode == "pairwise" else ("reply",)
        try:
            self._render(prompt, dict.fromkeys(names, "a reply"), "")
        except RenderError as error:
            return str(error)
        return None

    @property
    def reply_schema(self) -> dict[str, Any]:
        choice = {"type": "string", "enum": ["A", "B", "tie"]}
        last = {"winner": choice} if self.mode == "pairwise" else {"score": {"type": "number"}}
        return {
            "type": "object",
            "properties": {"rationale": {"type": "string"}, **last},
            "required": ["rationale", *last],
            "additionalProperties": False,
        }

    async def judge(self, prompt: Prompt, replies: Mapping[int, str]) -> dict[int, Verdict]:
        """A verdict for each reply. Raises BackendError where the run can't go on."""
        verdicts = {number: Verdict.no_answer(EMPTY) for number in replies}
        spoken = {number: reply for number, reply in replies.items() if has_content(reply)}
        try:
            if self.mode == "absolute":
                found = await all_of(self._grade(prompt, reply) for reply in spoken.values())
            elif self.against == "reference":
                found = await self._against_reference(prompt, list(spoken.values()))
            else:
                found = await self._against_each_other(prompt, spoken)
        except RenderError as error:
            found = [Verdict.unknown("error", str(error))] * len(spoken)
        return verdicts | dict(zip(spoken, found, strict=True))

    async def _grade(self, prompt: Prompt, reply: str) -> Verdict:
        lowest, highest = self.scale
        form = (
            f'{{"rationale": "<why, in one to three sentences>", "score": <a number from {lowest:g} to {highest:g}>}}'
        )
        text = self._render(prompt, {"reply": reply}, f"{form}\nwhere {highest:g} could not be better.")
        read = partial(self._read_grade, reply)
        calls = await all_of(self.ask(text, read, vote) for vote in range(self.votes))
        scores = majority([call.found.score if call.found else None for call in calls])
        bill = Bill()
        for call in calls:
            bill.add(call.bill)
        votes = [(call.found._asdict() if call.found else {}) | call.record() for call in calls]
        details = {"judge": calls[0].model, **asdict(bill), "votes": votes, "prompt": text}
        if scores is None:
            return _unknown(calls, details)
        grade = median(scores)
        nearest = min((call.found for call in calls if call.found), key=lambda found: abs(found.score - grade))
        score = (grade - lowest) / (highest - lowest)
        return Verdict(score, "scored", None, _short(nearest.rationale), _json({"grade": grade, **details}))

    async def _against_reference(self, prompt: Prompt, replies: Sequence[str]) -> list[Verdict]:
        reference = self._reference(prompt)
        if reference is None:
            return [Verdict.unknown("error", _NO_REFERENCE)] * len(replies)
        compared = await all_of(self._compare(prompt, reply, reference) for reply in replies)
        return [_share_won([Comparison("reference", votes)]) for votes in compared]

    async def _against_each_other(self, prompt: Prompt, replies: Mapping[int, str]) -> list[Verdict]:
        """Each pair is asked about once, for both of its replies."""
        pairs = list(combinations(replies, 2))
        compared = await all_of(self._compare(prompt, replies[one], replies[other]) for one, other in pairs)
        of: dict[int, list[Comparison]] = {number: [] for number in replies}
        for (one, other), votes in zip(pairs, compared, strict=True):
            comparison = Comparison(other, votes)
            of[one].append(comparison)
            of[other].append(comparison.mirror(one))
        return [_share_won(comparisons) for comparisons in of.values()]

    async def _compare(self, prompt: Prompt, reply: str, other: str) -> list[BothOrders]:
        """The votes; none where the two are the same text, which needs no judge."""
        if reply == other:
            return []
        form = '{"rationale": "<why, in one to three sentences>", "winner": "A" or "B" or "tie"}'
        as_a = self._render(prompt, {"reply_a": reply, "reply_b": other}, form)
        as_b = self._render(prompt, {"reply_a": other, "reply_b": reply}, form)
        read = partial(_read_choice, f"{reply}\n{other}")
        calls = await all_of(self.ask(text, read, vote) for vote in range(self.votes) for text in (as_a, as_b))
        return [BothOrders(*both) for both in zip(calls[::2], calls[1::2], strict=True)]

    def _render(self, prompt: Prompt, replies: Mapping[str, str], form: str) -> str:
        return self._rubric.render(
            {
                "question": prompts.question(prompt.messages),
                "messages": prompts.conversation(prompt.messages),
                "reference": self._reference(prompt),
                "answer": prompts.given_text(prompt.metadata.get("answer")),
                **replies,
            },
            form,
            prompts.given_text(prompt.metadata.get("criteria")) or self.criteria,
        )

    def _reference(self, prompt: Prompt) -> str | None:
        """The reply of the reference completion, which may have its thinking before it."""
        text = prompts.given_text(prompt.metadata.get("reference"))
        reply = None if text is None else final_reply(text)
        return reply if reply and has_content(reply) else None

    def _read_grade(self, reply: str, text: str) -> Grade:
        found = read_object(text, ("rationale", "score"), material=reply)
        return Grade(number_within(found["score"], *self.scale), _rationale(found))


def _read_choice(replies: str, text: str) -> Choice:
    found = read_object(text, ("rationale", "winner"), material=replies)
    if found["winner"] not in ("A", "B", "tie"):
        raise Unreadable('the winner was not "A", "B" or "tie"')
    return Choice(found["winner"], _rationale(found))


def _rationale(found: Mapping[str, Any]) -> str:
    if not isinstance(found["rationale"], str):
        raise Unreadable("the rationale was no text")
    return found["rationale"]


def _share_won(comparisons: Sequence[Comparison]) -> Verdict:
    if not comparisons:
        return Verdict.unknown("error", "there is no other reply to compare it with")
    calls = [call for comparison in comparisons for call in comparison.calls]
    bill = Bill()
    for comparison in comparisons:
        bill.add(comparison.bill)
    records = [comparison.record() for comparison in comparisons]
    details = {"judge": calls[0].model if calls else None, **asdict(bill), "comparisons": records}
    outcomes = majority([comparison.outcome for comparison in comparisons])
    if outcomes is None:
        return _unknown(calls, details)
    rationale = next((text for comparison in comparisons if (text := comparison.rationale())), "the same text")
    explanation = f"{sum(outcomes):g} of {len(outcomes)} won: {rationale}"
    return Verdict(fmean(outcomes), "scored", None, _short(explanation), _json(details))


def _unknown(calls: Sequence[Call[Any]], details: Mapping[str, Any]) -> Verdict:
    """Half of the calls or more failed."""
    failed = [call for call in calls if call.failure is not None]
    only_late = all(call.failure == "timeout" for call in failed)
    verdict = Verdict.unknown("timeout" if only_late else "error", _short(failed[0].why))
    return replace(verdict, details=_json(details))


def _json(details: Mapping[str, Any]) -> str:
    return json.dumps(details, ensure_ascii=False).encode("utf-8", "replace").decode()


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_EXPLANATION else text[: _LONGEST_EXPLANATION - 1] + "…"
