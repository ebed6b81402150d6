"""The loop: open groups queue for the free slots of the backend; there is no barrier between prompts, steps or shards.

All I/O is injected: the sampler, the scorer, the recorder and the watchers. A bounded window of open groups keeps
memory flat at any number of prompts.

A group with early stop has one attempt pending at a time, so that no draw is wasted; after a fail it rejoins the end of
the queue. When no group is left that waits, idle slots draw ahead for the group with the fewest pending attempts; when
a group is satisfied, its requests in flight are cancelled. So the backend is never idle while outcomes are unknown, and
hardly any samples are drawn beyond the fewest possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from rsr_cli.errors import first_error
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.sampling.budget import Budget
from rsr_cli.sampling.fold import Draw, Move, Place, Rules, Wait, next_move
from rsr_cli.sampling.judging import GroupScorer, Judging, VerdictRecorder
from rsr_cli.sampling.queue import Ending, OpenGroup, Queue, expected_seconds
from rsr_cli.sampling.requests import AttemptRecorder, Requests
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.sampling.window import GroupWindow


class LoopRecorder(AttemptRecorder, VerdictRecorder, Protocol):
    """Buffers attempts and verdicts; it must not block."""


class Loop:
    """One run over the groups, with at most `window` of them open at a time.

    `budget` is None where tokens and money are not limited. The queue is ordered by `rules.worth`. Without one it is
    first come, first served, and without a budget the longest expected work comes first towards the end, so that the
    tail is short.
    """

    def __init__(
        self,
        sampler: Sampler,
        scorer: GroupScorer | None,
        recorder: LoopRecorder,
        rules: Rules,
        watchers: Sequence[Watcher],
        window: int,
        budget: Budget | None = None,
    ) -> None:
        self._rules = rules
        self._watchers = watchers
        self._budget = budget
        self._requests = Requests(sampler, recorder, watchers, budget)
        self._judging = Judging(scorer, recorder, watchers)
        self._window = GroupWindow(window)
        self._queue = Queue()
        self._tasks = asyncio.TaskGroup()
        self._stopping = False

    async def run(self, groups: AsyncIterator[OpenGroup]) -> None:
        """Draw for every group until it ends.

        The first error of any group cancels the others and is raised; what arrived before is recorded.
        """
        try:
            async with self._tasks:
                try:
                    await self._take_in(groups)
                except BaseException:
                    self._stopping = True
                    raise
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None

    async def _take_in(self, groups: AsyncIterator[OpenGroup]) -> None:
        window = self._window
        async for opened in groups:
            window.add(opened)
            if owed := self._judging.owed(opened.group):
                opened.is_catching_up = True
                self._tasks.create_task(self._catch_up(opened, owed))
            else:
                self._consider(opened)
            self._fill()
            await window.until_fewer_than(window.size, self._fill)
        window.all_open = True
        for opened in list(window.groups):
            if opened.ending is None and not opened.is_catching_up:
                self._consider(opened)
        await window.until_fewer_than(1, self._fill)

    async def _catch_up(self, opened: OpenGroup, owed: list[int]) -> None:
        """Score what an earlier run left without a verdict."""
        try:
            await self._judging.score(opened, owed)
        except BaseException:
            self._stopping = True
            raise
        opened.is_catching_up = False
        self._consider(opened)
        self._fill()

    def _consider(self, opened: OpenGroup) -> None:
        """Queue a group for its next draw, or end it."""
        move: Move = next_move(opened.group, self._rules, opened.pending)
        opened.version += 1
        if isinstance(move, Draw):
            self._queue.push(opened, move, self._place_in_queue(opened), len(self._window.groups))
        elif isinstance(move, Wait):
            if move.enough is not None:
                opened.enough = move.enough
                opened.cancel_needless()
            if opened.postponed and opened.pending.keys() <= opened.postponed:
                self._end(opened, "postponed")
        else:
            self._end(opened, move)

    def _place_in_queue(self, opened: OpenGroup) -> float:
        """Return the sort key in the queue: the smallest is drawn first."""
        if self._rules.worth is not None:
            return -self._rules.worth(opened.group, len(opened.pending))
        if not self._window.all_open or self._budget is not None:
            return 0.0
        return -expected_seconds(opened, self._rules, self._requests.mean_latency)

    def _fill(self) -> None:
        """Give the free slots to the groups in the queue."""
        requests = self._requests
        while self._may_ask() and (first := self._queue.first()) is not None:
            opened, move = first
            certain = self._rules.is_certain(move.place)
            ahead = bool(opened.pending) and not certain
            if ahead and opened.is_being_judged:
                # The verdict under way decides whether it needs more.
                self._queue.pop()
                continue
            if self._judging.is_behind or (ahead and not self._window.is_settled):
                return
            numbers = move.attempts if certain and requests.sampler.together else move.attempts[:1]
            if not requests.affords(len(numbers)):
                if not requests.in_flight:
                    self._end_over_budget()
                return
            self._queue.pop()
            self._ask(opened, move.place, numbers)

    def _may_ask(self) -> bool:
        if self._stopping or not self._requests.has_free_slot:
            return False
        for watcher in self._watchers:  # noqa: SIM110 - all() with a generator is slower, and this runs for every request
            if watcher.tripped:
                return False
        return True

    def _end_over_budget(self) -> None:
        """End the groups that wait for a draw that the budget does not allow."""
        assert self._budget is not None
        self._budget.exhausted = True
        for opened in self._queue.clear():
            if not opened.pending:
                self._end(opened, "budget")

    def _ask(self, opened: OpenGroup, place: Place, numbers: Sequence[int]) -> None:
        opened.pending.update(dict.fromkeys(numbers, place))
        self._requests.reserve(len(numbers))
        self._tasks.create_task(self._draw(opened, place, numbers))
        self._consider(opened)

    async def _draw(self, opened: OpenGroup, place: Place, numbers: Sequence[int]) -> None:
        """Send one request, and score what it brings."""
        try:
            await self._requests.send(opened, place, numbers)
            self._fill()
            await self._judging.judge(opened, numbers)
        except asyncio.CancelledError:
            if self._stopping or not opened.does_without(numbers):
                self._stopping = True
                raise
        except BaseException:
            self._stopping = True
            raise
        for number in numbers:
            if opened.ending is not None or number not in opened.postponed:
                opened.pending.pop(number, None)
        if opened.ending is None:
            self._consider(opened)
        elif not opened.pending:
            self._close(opened, opened.ending)
        self._fill()

    def _end(self, opened: OpenGroup, reason: Ending) -> None:
        """End a group, once its needless requests are cancelled and what arrived is scored."""
        opened.ending = reason
        for number in opened.postponed:
            opened.pending.pop(number, None)
        opened.cancel_needless()
        if not opened.pending:
            self._close(opened, reason)

    def _close(self, opened: OpenGroup, reason: Ending) -> None:
        self._window.remove(opened)
        for watcher in self._watchers:
            watcher.ended(opened, reason)
