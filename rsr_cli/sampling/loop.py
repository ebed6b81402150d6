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
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields
from typing import Protocol

from rsr_cli.clients.estimates import usage_of
from rsr_cli.errors import BackendError, first_error
from rsr_cli.plugins.boundary import boundary, is_builtin
from rsr_cli.plugins.completions import check_completion
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.sampling.budget import Budget
from rsr_cli.sampling.fold import Draw, Move, Place, Rules, Wait, next_move
from rsr_cli.sampling.queue import Ending, OpenGroup, Queue, expected_seconds
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.types import Attempt, Completion, Group, Postponed, Prompt, Verdict

_TRIAL, _WAITING = 50, 30
"""Until so many verdicts are there, nothing is asked while so many answers wait for theirs: a verifier that can score
nothing is noticed before much is drawn for it."""
_COMPLETION_FIELDS = [item.name for item in fields(Completion)]


class GroupScorer(Protocol):
    compares: bool

    def owed(self, group: Group) -> list[int]: ...

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]: ...


class AttemptRecorder(Protocol):
    def attempt(self, shard: int, attempt: Attempt) -> None: ...

    def verdicts(self, shard: int, group: Group, verdicts: Mapping[int, Verdict], *, compared: bool) -> None: ...


@dataclass(slots=True)
class Loop:
    """One run over the groups. `window` is how many may be open at a time.

    `budget` is None where tokens and money are not limited. The queue is in order of `rules.worth`; without one it is
    first come, first served, and where no budget may run out the longest expected work comes first towards the end, so
    that the tail is short.
    """

    sampler: Sampler
    scorer: GroupScorer | None
    recorder: AttemptRecorder
    rules: Rules
    watchers: Sequence[Watcher]
    window: int
    budget: Budget | None = None

    _queue: Queue = field(default_factory=Queue)
    _open: dict[OpenGroup, None] = field(default_factory=dict)
    _catching_up: set[OpenGroup] = field(default_factory=set)
    _requests: int = 0
    _attempts: int = 0
    """Under way, as are the requests; with those that a later run will get."""
    _being_judged: int = 0
    _verdicts: int = 0
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
            self._queue.push(opened, move, self._place_in_queue(opened), len(self._open))
        elif isinstance(move, Wait):
            if move.enough is not None:
                opened.enough = move.enough
                self._cancel(opened)
            if opened.postponed and opened.pending.keys() <= opened.postponed:
                self._end(opened, "postponed")
        else:
            self._end(opened, move)

    def _place_in_queue(self, opened: OpenGroup) -> float:
        """Smaller is sooner."""
        if self.rules.worth is not None:
            return -self.rules.worth(opened.group, len(opened.pending))
        if not self._all_open or self.budget is not None:
            return 0.0
        return -expected_seconds(opened, self.rules, self._seconds / self._answers if self._answers else 1.0)

    def _fill(self) -> None:
        """Give the free slots to the groups in the queue."""
        while self._may_ask() and (first := self._queue.first()) is not None:
            opened, move = first
            certain = self.rules.is_certain(move.place)
            ahead = bool(opened.pending) and not certain
            if ahead and opened.is_being_judged:
                # What it needs is about to be known.
                self._queue.pop()
                continue
            if self._verdicts < _TRIAL and self._being_judged >= _WAITING:
                return
            if self._requests >= self.sampler.capacity or (ahead and not self._may_draw_ahead):
                return
            numbers = move.attempts if certain and self.sampler.together else move.attempts[:1]
            if self.budget is not None and not self.budget.allows(self._attempts + len(numbers)):
                if not self._requests:
                    self._end_for_want_of_budget()
                return
            self._queue.pop()
            self._ask(opened, move.place, numbers)

    def _may_ask(self) -> bool:
        return not self._stopping and not any(watcher.tripped for watcher in self.watchers)

    def _end_for_want_of_budget(self) -> None:
        assert self.budget is not None
        self.budget.exhausted = True
        for opened in self._queue.clear():
            if not opened.pending:
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
                later = [n for n in numbers if n not in group.attempts or n in group.again]
                opened.postponed.update(later)
                # They are asked for all the same, and will cost.
                self._attempts += len(later)
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
                while (completion := await self._next(completions, opened.group.prompt, numbers)) is not None:
                    self._take(opened, place, completion)
                    arrived += 1
        except asyncio.CancelledError:
            if self.budget is not None:
                self.budget.cancelled += len(numbers) - arrived
            raise
        finally:
            del opened.asking[task]
        if not arrived:
            raise BackendError(f"the sampler brought nothing for the prompt {opened.group.prompt.id!r}")

    async def _next(
        self, completions: AsyncIterator[Completion], prompt: Prompt, numbers: Sequence[int]
    ) -> Completion | None:
        """The next completion, None after the last; what a user's sampler raises or returns instead names it."""
        with boundary("sampler", self.sampler, f"the prompt {prompt.id!r}"):
            completion = await anext(completions, None)
            if completion is not None and not is_builtin(self.sampler):
                check_completion(completion, numbers)
        return completion

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
        usage = usage_of(attempt, group.prompt.messages)
        if self.budget is not None:
            self.budget.spend(usage)
        for watcher in self.watchers:
            watcher.arrived(attempt, usage)

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
        self._being_judged += len(to_score)
        try:
            verdicts = await self.scorer.score(group, to_score)
        finally:
            self._being_judged -= len(to_score)
        self._verdicts += len(verdicts)
        group.verdicts.update(verdicts)
        self.recorder.verdicts(opened.shard, group, verdicts, compared=self.scorer.compares)
        for number, verdict in verdicts.items():
            if number in group.attempts:
                for watcher in self.watchers:
                    watcher.judged(group.attempts[number], verdict)

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
        for watcher in self.watchers:
            watcher.ended(opened, reason)
        self._changed.set()
