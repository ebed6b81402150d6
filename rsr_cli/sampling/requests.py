"""Requests to the sampler: what they bring is recorded at once, and what is in flight is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import fields
from typing import Protocol

from rsr_cli.clients.estimates import usage_of
from rsr_cli.errors import BackendError
from rsr_cli.plugins.boundary import boundary, is_builtin
from rsr_cli.plugins.completions import check_completion
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.sampling.budget import Budget
from rsr_cli.sampling.fold import Place
from rsr_cli.sampling.queue import OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.types import Attempt, Completion, Postponed, Prompt

_COMPLETION_FIELDS = [item.name for item in fields(Completion)]


class AttemptRecorder(Protocol):
    def attempt(self, shard: int, attempt: Attempt) -> None: ...


class Requests:
    """Sends requests to the sampler, at most `sampler.capacity` at a time and within the budget, None: no limit."""

    def __init__(
        self, sampler: Sampler, recorder: AttemptRecorder, watchers: Sequence[Watcher], budget: Budget | None
    ) -> None:
        self.in_flight = 0
        self.sampler = sampler
        self._recorder = recorder
        self._watchers = watchers
        self._budget = budget
        self._attempts = 0
        """Attempts in flight, and those that a later run will get: they will cost as well."""
        self._arrived = 0
        self._seconds = 0.0

    @property
    def has_free_slot(self) -> bool:
        return self.in_flight < self.sampler.capacity

    @property
    def mean_latency(self) -> float:
        """In seconds; 1.0 before the first answer."""
        return self._seconds / self._arrived if self._arrived else 1.0

    def affords(self, attempts: int) -> bool:
        """Return whether the budget allows so many attempts beside those in flight."""
        return self._budget is None or self._budget.allows(self._attempts + attempts)

    def reserve(self, attempts: int) -> None:
        """Count a request of so many attempts as in flight: `send` is to follow."""
        self.in_flight += 1
        self._attempts += attempts

    async def send(self, opened: OpenGroup, place: Place, numbers: Sequence[int]) -> None:
        """Send a reserved request, unless the group no longer needs it, and record its completions."""
        try:
            if not opened.does_without(numbers):
                await self._sample(opened, place, numbers)
        except Postponed:
            group = opened.group
            later = [n for n in numbers if n not in group.attempts or n in group.again]
            opened.postponed.update(later)
            self._attempts += len(later)
        finally:
            self.in_flight -= 1
            self._attempts -= len(numbers)

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
            if self._budget is not None:
                self._budget.cancelled += len(numbers) - arrived
            raise
        finally:
            del opened.asking[task]
        if not arrived:
            raise BackendError(f"the sampler returned nothing for the prompt {opened.group.prompt.id!r}")

    async def _next(
        self, completions: AsyncIterator[Completion], prompt: Prompt, numbers: Sequence[int]
    ) -> Completion | None:
        """Return the next completion, None after the last. Errors of a user's sampler name the sampler."""
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
        self._recorder.attempt(opened.shard, attempt)
        self._seconds += attempt.latency_s
        self._arrived += 1
        usage = usage_of(attempt, group.prompt.messages)
        if self._budget is not None:
            self._budget.spend(usage)
        for watcher in self._watchers:
            watcher.arrived(attempt, usage)
