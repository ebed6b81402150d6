"""The queue of the groups that may draw: those with the fewest draws under way first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from rsr_cli.sampling.fold import Draw, Place, Rules
from rsr_cli.types import EndReason, Group

_VOID_ENTRIES = 256
"""Entries beyond two for each open group, from which on the void ones are looked for."""

Ending = EndReason | Literal["postponed"]
"""Why a group leaves the loop. A postponed one has not ended: its answers will be there for a later run."""


@dataclass(eq=False, slots=True)
class OpenGroup:
    """A group in the window, and what is under way for it."""

    shard: int
    group: Group
    pending: dict[int, Place] = field(default_factory=dict)
    """Attempts asked for, and those that wait for a verdict."""
    asking: dict[asyncio.Task[None], Sequence[int]] = field(default_factory=dict)
    """The requests that have not been answered, and their attempts."""
    enough: int | None = None
    """The attempts from this number on are not needed."""
    postponed: set[int] = field(default_factory=set)
    """Of those pending, the attempts that a later run will get."""
    ending: Ending | None = None
    """Why it has ended, while its draws under way are being cancelled."""
    version: int = 0
    """Counts its changes: an older entry in the queue is void."""

    @property
    def is_being_judged(self) -> bool:
        return any(number in self.group.attempts for number in self.pending)

    def does_without(self, numbers: Sequence[int]) -> bool:
        return self.ending is not None or (self.enough is not None and numbers[0] >= self.enough)


class Queue:
    """Groups and what they may draw. A group has one entry that counts, its latest."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, float, int, int, OpenGroup, Draw]] = []
        self._order = count()

    def push(self, opened: OpenGroup, move: Draw, place: float, open_groups: int) -> None:
        """Of groups with as many under way the one with the smaller `place` comes first, then the one that came first.

        What is behind the groups that wait may never come to the front, and would hold groups that ended long ago: so
        void entries are taken out when there are many for so many open groups.
        """
        entry = (len(opened.pending), place, next(self._order), opened.version, opened, move)
        heapq.heappush(self._entries, entry)
        if len(self._entries) > 2 * open_groups + _VOID_ENTRIES:
            self._entries = [entry for entry in self._entries if _counts(entry)]
            heapq.heapify(self._entries)

    def first(self) -> tuple[OpenGroup, Draw] | None:
        while self._entries and not _counts(self._entries[0]):
            heapq.heappop(self._entries)
        return self._entries[0][-2:] if self._entries else None

    def pop(self) -> None:
        heapq.heappop(self._entries)

    def clear(self) -> list[OpenGroup]:
        """Takes out all groups."""
        entries, self._entries = self._entries, []
        return [entry[4] for entry in entries if _counts(entry)]


def _counts(entry: tuple[int, float, int, int, OpenGroup, Draw]) -> bool:
    return entry[3] == entry[4].version and entry[4].ending is None


def expected_seconds(opened: OpenGroup, rules: Rules, typical: float) -> float:
    """The time that a group's further draws may be expected to take, one after the other; infinite before its first.

    `typical` is the mean latency of all answers.
    """
    attempts = opened.group.attempts
    asked = len(attempts) + len(opened.pending)
    if not asked:
        return float("inf")
    left = float(max(0, rules.max_rollouts - asked))
    if rules.satisfied is not None:
        # The expected draws until a pass, or the end, at the chance that so many fails leave.
        chance = 0.5 / (1 + len(attempts))
        left = (1 - (1 - chance) ** left) / chance
    seconds = sum(attempt.latency_s for attempt in attempts.values()) + typical
    return left * seconds / (1 + len(attempts))
