"""The loop: open prompts queue for the backend's free slots; there is no barrier between prompts, steps or shards.

It is handed everything that touches the world: the sampler, the scorer, the recorder. A bounded window of open groups
keeps memory flat at any number of prompts.

A group that may stop early has one attempt under way at a time, so that no draw is wasted, and after a fail it rejoins
the end of the queue. When no prompt is left that waits, idle slots draw ahead, for the group with the fewest under way;
when a group is satisfied, its draws under way are cancelled. A backend is never left idle for what is still to be
known, and a budget hardly spends more than the fewest samples.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields
from itertools import count
from typing import Literal, Protocol

from rsr_cli.errors import BackendError, first_error
from rsr_cli.sampling.budget import Budget
from rsr_cli.sampling.fold import Draw, Move, Place, Rules, Wait, next_move
from rsr_cli.types import Attempt, Completion, EndReason, Group, Postponed, Sampler, Verdict

_VOID_ENTRIES = 256
"""Entries of the queue beyond two for each open group, from which on the void ones are looked for."""
_COMPLETION_FIELDS = [item.name for item in fields(Completion)]

Ending = EndReason | Literal["postponed"]
"""Why a group leaves the loop. A postponed one has not ended: its answers will be there for a later run."""


class Scorer(Protocol):
    compares: bool

    def owed(self, group: Group) -> list[int]: ...

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]: ...


class Recorder(Protocol):
    def attempt(self, shard: int, attempt: Attempt) -> None: ...

    def verdict(self, shard: int, prompt_id: str, attempt: int, verdict: Verdict) -> None: ...


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


class Watcher(Protocol):
    """Is told what happens, as it happens. What it raises ends the run."""

    def arrived(self, attempt: Attempt) -> None: ...

    def judged(self, attempt: Attempt, verdict: Verdict) -> None: ...

    def ended(self, opened: OpenGroup, reason: Ending) -> None: ...


@dataclass(slots=True)
class Loop:
    """One run over the groups. `window` is how many may be open at a time.

    `budget` is None where tokens and money are not limited. The queue is in order of `rules.worth`; without one it is
    first come, first served, and where no budget may run out the longest expected work comes first towards the end, so
    that the tail is short.
    """

    sampler: Sampler
    scorer: Scorer | None
    recorder: Recorder
    rules: Rules
    watcher: Watcher
    window: int
    budget: Budget | None = None

    _queue: list[tuple[int, float, int, int, OpenGroup, Draw]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _open: dict[OpenGroup, None] = field(default_factory=dict)
    _catching_up: set[OpenGroup] = field(default_factory=set)
    _requests: int = 0
    _attempts: int = 0
    """Under way, as are the requests."""
    _may_draw_ahead: bool = False
    """The window is full, or the input has ended: idle slots have nothing else to do."""
    _all_open: bool = False
    _stopping: bool = False
    _seconds: float = 0.0
    _answers: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    """A group has ended."""
    _tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)

    async def run(self, groups: AsyncIterator[OpenGroup]) -> None:
        """Draw for every group until it ends.

        The first error of any group cancels the rest and is raised; what arrived before is recorded.
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
        async for opened in groups:
            self._open[opened] = None
            if self.scorer is not None and (owed := self.scorer.owed(opened.group)):
                self._catching_up.add(opened)
                self._tasks.create_task(self._catch_up(opened, owed))
            else:
                self._consider(opened)
            self._fill()
            await self._until_fewer_are_open_than(self.window)
        self._all_open = True
        for opened in list(self._open):
            if opened.ending is None and opened not in self._catching_up:
                self._consider(opened)
        await self._until_fewer_are_open_than(1)

    async def _until_fewer_are_open_than(self, most: int) -> None:
        while len(self._open) >= most:
            self._may_draw_ahead = True
            self._fill()
            self._changed.clear()
            if len(self._open) >= most:
                await self._changed.wait()
        self._may_draw_ahead = self._all_open

    async def _catch_up(self, opened: OpenGroup, owed: list[int]) -> None:
        """Judge what an earlier run left without a verdict."""
        try:
            await self._score(opened, owed)
        except BaseException:
            self._stopping = True
            raise
        self._catching_up.discard(opened)
        self._consider(opened)
        self._fill()

    def _consider(self, opened: OpenGroup) -> None:
        """Queue a group for what it may draw next, or end it."""
        move: Move = next_move(opened.group, self.rules, opened.pending)
        opened.version += 1
        if isinstance(move, Draw):
            entry = (len(opened.pending), self._place_in_queue(opened), next(self._order), opened.version, opened, move)
            heapq.heappush(self._queue, entry)
            self._forget_void_entries()
        elif isinstance(move, Wait):
            if move.enough is not None:
                opened.enough = move.enough
                self._cancel(opened)
            if opened.postponed and opened.pending.keys() <= opened.postponed:
                self._end(opened, "postponed")
        else:
            self._end(opened, move)

    def _forget_void_entries(self) -> None:
        """Behind the groups that wait they may never come to the front, and would hold groups that ended long ago."""
        if len(self._queue) > 2 * len(self._open) + _VOID_ENTRIES:
            self._queue[:] = [entry for entry in self._queue if entry[3] == entry[4].version]
            heapq.heapify(self._queue)

    def _place_in_queue(self, opened: OpenGroup) -> float:
        """Smaller is sooner."""
        group = opened.group
        if self.rules.worth is not None:
            return -self.rules.worth(group, len(opened.pending))
        if not self._all_open or self.budget is not None:
            return 0.0
        asked = len(group.attempts) + len(opened.pending)
        if not asked:
            return -float("inf")
        left = float(max(0, self.rules.max_rollouts - asked))
        if self.rules.satisfied is not None:
            # The expected draws until a pass, or the end, at the chance that so many fails leave.
            chance = 0.5 / (1 + len(group.attempts))
            left = (1 - (1 - chance) ** left) / chance
        typical = self._seconds / self._answers if self._answers else 1.0
        seconds = sum(attempt.latency_s for attempt in group.attempts.values()) + typical
        return -left * seconds / (1 + len(group.attempts))

    def _fill(self) -> None:
        """Give the free slots to the groups in the queue."""
        queue = self._queue
        while queue and not self._stopping:
            under_way, _, _, version, opened, move = queue[0]
            if version != opened.version or opened.ending is not None:
                heapq.heappop(queue)
                continue
            certain = self._is_certain(move)
            if under_way and not certain and opened.is_being_judged:
                # What it needs is about to be known.
                heapq.heappop(queue)
                continue
            if self._requests >= self.sampler.capacity or (under_way and not certain and not self._may_draw_ahead):
                return
            numbers = move.attempts if certain and self.sampler.together else move.attempts[:1]
            if self.budget is not None and not self.budget.allows(self._attempts + len(numbers)):
                if not self._requests:
                    self._end_for_want_of_budget()
                return
            heapq.heappop(queue)
            self._ask(opened, move.place, numbers)

    def _is_certain(self, move: Draw) -> bool:
        """No outcome can make these draws needless."""
        rules = self.rules
        return rules.satisfied is None or rules.whole_steps or move.place.step == 0

    def _end_for_want_of_budget(self) -> None:
        assert self.budget is not None
        self.budget.exhausted = True
        waiting = [opened for *_, version, opened, _ in self._queue if version == opened.version]
        self._queue.clear()
        for opened in waiting:
            if not opened.pending and opened.ending is None:
                self._end(opened, "budget")

    def _ask(self, opened: OpenGroup, place: Place, numbers: Sequence[int]) -> None:
        opened.pending.update(dict.fromkeys(numbers, place))
        self._requests += 1
        self._attempts += len(numbers)
        self._tasks.create_task(self._draw(opened, place, numbers))
        self._consider(opened)

    async def _draw(self, opened: OpenGroup, place: Place, numbers: Sequence[int]) -> None:
        """One request, and the verdicts on what it brought."""
        try:
            try:
                if not opened.does_without(numbers):
                    await self._sample(opened, place, numbers)
            except Postponed:
                group = opened.group
                opened.postponed.update(n for n in numbers if n not in group.attempts or n in group.again)
            finally:
                self._requests -= 1
                self._attempts -= len(numbers)
            self._fill()
            if self.scorer is not None:
                await self._judge(opened, numbers)
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

    async def _sample(self, opened: OpenGroup, place: Place, numbers: Sequence[int]) -> None:
        task = asyncio.current_task()
        assert task is not None
        opened.asking[task] = numbers
        arrived = 0
        try:
            async with aclosing(self.sampler.sample(opened.group.prompt, numbers)) as completions:
                async for completion in completions:
                    self._take(opened, place, completion)
                    arrived += 1
        finally:
            del opened.asking[task]
        if not arrived:
            raise BackendError(f"the sampler brought nothing for the prompt {opened.group.prompt.id!r}")

    def _take(self, opened: OpenGroup, place: Place, completion: Completion) -> None:
        group = opened.group
        attempt = Attempt(
            **{name: getattr(completion, name) for name in _COMPLETION_FIELDS},
            id=group.prompt.id,
            step=place.step,
            step_size=place.step_size,
        )
        group.attempts[attempt.attempt] = attempt
        group.again.discard(attempt.attempt)
        self.recorder.attempt(opened.shard, attempt)
        self._seconds += attempt.latency_s
        self._answers += 1
        if self.budget is not None:
            self.budget.spend(attempt)
        self.watcher.arrived(attempt)

    async def _judge(self, opened: OpenGroup, numbers: Sequence[int]) -> None:
        assert self.scorer is not None
        if not self.scorer.compares:
            await self._score(opened, [n for n in numbers if n in opened.group.attempts])
        elif opened.pending.keys() <= set(numbers):
            # The last of its step: all of the group is judged together.
            await self._score(opened, self.scorer.owed(opened.group))

    async def _score(self, opened: OpenGroup, numbers: Sequence[int]) -> None:
        assert self.scorer is not None
        group = opened.group
        to_score = [n for n in numbers if n not in group.attempts or group.attempts[n].valid]
        if not to_score:
            return
        for number, verdict in (await self.scorer.score(group, to_score)).items():
            group.verdicts[number] = verdict
            self.recorder.verdict(opened.shard, group.prompt.id, number, verdict)
            if number in group.attempts:
                self.watcher.judged(group.attempts[number], verdict)

    def _end(self, opened: OpenGroup, reason: Ending) -> None:
        """End a group, once what it no longer needs has been cancelled and what arrived has been judged."""
        opened.ending = reason
        for number in opened.postponed:
            opened.pending.pop(number, None)
        self._cancel(opened)
        if not opened.pending:
            self._close(opened, reason)

    def _cancel(self, opened: OpenGroup) -> None:
        """Cancel the requests that a group no longer needs."""
        for task, numbers in opened.asking.items():
            if opened.does_without(numbers):
                task.cancel()

    def _close(self, opened: OpenGroup, reason: Ending) -> None:
        del self._open[opened]
        self.watcher.ended(opened, reason)
        self._changed.set()
