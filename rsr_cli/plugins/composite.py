"""Verifiers made of other verifiers: which members there are, and how their verdicts become one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rsr_cli.types import Prompt, Verdict

Ask = Callable[[str, Sequence[int]], Awaitable[Mapping[int, Verdict]]]
"""`await ask(name, numbers)`: the verdicts of the member of this name on these attempts."""


class Member(BaseModel):
    """A verifier as in `verifier`: its type, and every key that is not declared here as an option of its own."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    type: str
    name: str | None = None
    """What it is called in the details; null: its type."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of the verifier itself."""
        return dict(self.model_extra or {})

    @property
    def part(self) -> dict[str, Any]:
        """What the composite declares of it: a weight, say."""
        return self.model_dump(include=set(type(self).model_fields) - {"type", "name"})


class Composite(BaseModel):
    """A verifier made of its `members`. Write `verdicts`; the members are found, run and named for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    members: Sequence[Member] = Field(min_length=1)

    @property
    def compares(self) -> bool:
        """True where a verdict depends on the other rollouts of its group, whatever the members are."""
        return False

    @property
    def score_range(self) -> tuple[float, float] | None:
        """The lowest and the highest score that it can give; None where its members decide."""
        return None

    def cannot_score(self, prompt: Prompt, reasons: Mapping[str, str | None]) -> str | None:
        """Return why no reply to this prompt can be scored, from the members' own reasons by name; None where one can.

        As it is here, the members that can score do without the others.
        """
        return None if None in reasons.values() else next(iter(reasons.values()))

    def asked(self, prompt: Prompt) -> list[str]:
        """Return the names of the members that replies to this prompt may come to, in their order."""
        return [name for name, _ in self.named()]

    async def verdicts(self, prompt: Prompt, numbers: Sequence[int], ask: Ask) -> dict[int, Verdict]:
        """Return one verdict per attempt number of a prompt."""
        raise NotImplementedError(f"{type(self).__name__} has no method `verdicts`")

    def named(self) -> Iterator[tuple[str, Member]]:
        """Yield the members with their names: the one given, else the type, numbered from the second on."""
        taken: set[str] = set()
        for member in self.members:
            name = base = member.name or member.type
            number = 1
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            taken.add(name)
            yield name, member


async def ask_all(names: Iterable[str], numbers: Sequence[int], ask: Ask) -> dict[str, Mapping[int, Verdict]]:
    """Return the verdicts of every member, by name. One after the other: they share the machine, and other groups
    fill the gaps."""
    return {name: await ask(name, numbers) for name in names}


def recorded(verdict: Verdict) -> dict[str, Any]:
    """Return a member's verdict as the details of a composite's keep it."""
    return {
        "score": verdict.score,
        "status": verdict.status,
        "extracted_answer": verdict.extracted_answer,
        "explanation": verdict.explanation,
        "details": json.loads(verdict.details) if verdict.details else None,
    }


def tokens_spent(record: Mapping[str, Any]) -> dict[str, int]:
    """Return what the judges behind a recorded verdict took: requests and tokens, as far as their servers tell."""
    details = record.get("details")
    if not isinstance(details, Mapping):
        return {}
    if "asked" in details:
        return {name: details.get(name) or 0 for name in ("asked", "prompt_tokens", "completion_tokens")}
    total: dict[str, int] = {}
    for member in details.get("members", details).values():
        if isinstance(member, Mapping):
            for name, count in tokens_spent(member).items():
                total[name] = total.get(name, 0) + count
    return total
