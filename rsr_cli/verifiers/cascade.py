"""`cascade`: verifiers asked in turn, the next only about the replies that the one before leaves open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from rsr_cli.plugins.composite import Ask, Composite, Member, recorded, tokens_spent
from rsr_cli.types import Prompt, Verdict


def _one_is_a_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Outcomes = Annotated[
    list[Literal["no_answer", "error", "timeout", "fail"]], BeforeValidator(_one_is_a_list), Field(min_length=1)
]
_MISSING = Verdict.unknown("error", "the member returned no verdict on this reply")


class Step(Member):
    """A member and what has the next one asked."""

    ask_next: Outcomes | None = None
    """In place of the cascade's own `ask_next`, after this member."""
    fail_threshold: float = 0.0
    """A score at or below it is a `fail`."""


class Cascade(Composite):
    """Asks the first member about all replies, and each next one about those on which the one before says what
    `ask_next` names. The member that is asked last decides."""

    members: Sequence[Step] = Field(min_length=2)
    ask_next: Outcomes = Field(default=["no_answer", "error", "timeout"])
    """After which verdicts of a member the next one is asked."""

    @model_validator(mode="after")
    def _the_last_has_no_next(self) -> Self:
        if self.members[-1].ask_next is not None:
            raise ValueError("ask_next stands at the last member, and there is no next one to ask")
        return self

    def cannot_score(self, prompt: Prompt, reasons: Mapping[str, str | None]) -> str | None:
        """Return why no reply can be scored: members that can are behind one whose errors end it, or there are none."""
        why = None
        for name, member in self._steps():
            if reasons[name] is None:
                return None
            why = why or reasons[name]
            if "error" not in self._after(member):
                break
        return why

    async def verdicts(self, prompt: Prompt, numbers: Sequence[int], ask: Ask) -> dict[int, Verdict]:
        said: dict[int, dict[str, Verdict]] = {number: {} for number in numbers}
        open_ones = list(numbers)
        for name, member in self._steps():
            found = await ask(name, open_ones)
            for number in open_ones:
                said[number][name] = found.get(number, _MISSING)
            after = self._after(member)
            open_ones = [number for number in open_ones if _outcome(said[number][name], member) in after]
            if not open_ones:
                break
        return {number: _decided(by_name) for number, by_name in said.items()}

    def _steps(self) -> Iterator[tuple[str, Step]]:
        return zip((name for name, _ in self.named()), self.members, strict=True)

    def _after(self, member: Step) -> list[Any]:
        return self.ask_next if member.ask_next is None else member.ask_next


def _outcome(verdict: Verdict, member: Step) -> str:
    if verdict.status == "scored":
        assert verdict.score is not None
        return "fail" if verdict.score <= member.fail_threshold else "pass"
    return verdict.status


def _decided(by_name: Mapping[str, Verdict]) -> Verdict:
    """The verdict of the last member that was asked, with those before it and where it overrules one in the details."""
    names = list(by_name)
    last = by_name[names[-1]]
    members = {name: recorded(verdict) for name, verdict in by_name.items()}
    flips = [
        {
            "overruled": before,
            "by": after,
            "from": by_name[before].score,
            "to": by_name[after].score,
            "cost": tokens_spent(members[after]),
        }
        for before, after in pairwise(names)
        if None not in (by_name[before].score, by_name[after].score) and by_name[before].score != by_name[after].score
    ]
    details = {"decided_by": names[-1], "flips": flips, "members": members}
    answers = (by_name[name].extracted_answer for name in reversed(names))
    return replace(
        last,
        extracted_answer=next((answer for answer in answers if answer is not None), None),
        details=json.dumps(details, ensure_ascii=False).encode("utf-8", "replace").decode(),
    )
