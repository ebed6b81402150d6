"""Verifiers made of other verifiers: which members there are, and how their verdicts become one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

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

    asks_all: ClassVar[bool] = True
    """False where a member may be left out, so that what it costs cannot be foretold from the rollouts alone."""

    members: Sequence[Member] = Field(min_length=1)

    @property
    def compares(self) -> bool:
        """True where a verdict depends on the other rollouts of its group, whatever the members are."""
        return False

    @property
    def score_range(self) -> tuple[float, float] | None:
        """The lowest and the highest score that it can give; None where its members decide."""
        return None

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
