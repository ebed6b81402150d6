"""The queue of the groups that may draw, ordered by their number of pending attempts."""

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
"""The queue is cleared of outdated entries when it has this many beyond two for each open group."""

Ending = EndReason | Literal["postponed"]
"""Why a group leaves the loop. A postponed group has not ended: a later run will get its answers."""


@dataclass(eq=False, slots=True)
class OpenGroup:
    """A group in the window, and its pending attempts."""

    shard: int
    group: Group
    pending: dict[int, Place] = field(default_factory=dict)
    """Attempts that were requested, and those that wait for a verdict."""
    asking: dict[asyncio.Task[None], Sequence[int]] = field(default_factory=dict)
    """The tasks of the requests in flight, and their attempts."""
    enough: int | None = None
    """Attempts numbered so or higher are not needed."""
    postponed: set[int] = field(default_factory=set)
    """The pending attempts that a later run will get."""
    ending: Ending | None = None
    """Why it has ended, while its requests in flight are being cancelled."""
    is_catching_up: bool = False
    """Its attempts of an earlier run wait for their verdicts."""
    version: int = 0
    """The number of its changes: older entries in the queue are outdated."""

    @property
    def is_being_judged(self) -> bool:
        """A pending attempt has arrived and waits for its verdict."""
        return any(number in self.group.attempts for number in self.pending)

    def does_without(self, numbers: Sequence[int]) -> bool:
        """Return whether these attempts are no longer needed."""
        return self.ending is not None or (self.enough is not None and numbers[0] >= self.enough)

    def cancel_needless(self) -> None:
        """Cancel the requests in flight that are no longer needed."""
        for task, numbers in self.asking.items():
            if self.does_without(numbers):
                task.cancel()


class Queue:
    """A priority queue of groups and their possible draws. Only the latest entry of a group is valid."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, float, int, int, OpenGroup, Draw]] = []
        self._order = count()

    def push(self, opened: OpenGroup, move: Draw, place: float, open_groups: int) -> None:
        """Add a group. Order: fewest pending attempts, then smallest `place`, then first come, first served.

        Entries behind groups that wait may never reach the front, and would keep groups alive that ended long ago. So
        outdated entries are removed when there are many of them, given `open_groups`.
        """
        entry = (len(opened.pending), place, next(self._order), opened.version, opened, move)
        heapq.heappush(self._entries, entry)
        if len(self._entries) > 2 * open_groups + _VOID_ENTRIES:
            self._entries = [entry for entry in self._entries if _is_valid(entry)]
            heapq.heapify(self._entries)

    def first(self) -> tuple[OpenGroup, Draw] | None:
        """Return the first group and its draw, without removing it."""
        while self._entries and not _is_valid(self._entries[0]):
            heapq.heappop(self._entries)
        return self._entries[0][-2:] if self._entries else None

    def pop(self) -> None:
        heapq.heappop(self._entries)

    def clear(self) -> list[OpenGroup]:
        """Remove and return all groups."""
        entries, self._entries = self._entries, []
        return [entry[4] for entry in entries if _is_valid(entry)]


def _is_valid(entry: tuple[int, float, int, int, OpenGroup, Draw]) -> bool:
    return entry[3] == entry[4].version and entry[4].ending is None


def expected_seconds(opened: OpenGroup, rules: Rules, typical: float) -> float:
    """Return the expected seconds of a group's remaining draws, one after the other; infinite before the first.

    `typical` is the mean latency of all answers, in seconds.
    """
    attempts = opened.group.attempts
    asked = len(attempts) + len(opened.pending)
    if not asked:
        return float("inf")
    left = float(max(0, rules.max_rollouts - asked))
    if rules.satisfied is not None:
        # The expected number of draws until a pass or the end, at a pass rate estimated from the fails so far.
        chance = 0.5 / (1 + len(attempts))
        left = (1 - (1 - chance) ** left) / chance
    seconds = sum(attempt.latency_s for attempt in attempts.values()) + typical
    return left * seconds / (1 + len(attempts))
