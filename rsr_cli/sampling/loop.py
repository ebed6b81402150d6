"""The loop: one coroutine per prompt, no barrier between prompts, steps or shards.

It is handed everything that touches the world: the sampler, the scorer, the recorder. A bounded window of open groups
keeps memory flat at any number of prompts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, fields
from typing import Protocol

from rsr_cli.sampling.fold import Draw, Rules, next_move
from rsr_cli.types import Attempt, Completion, EndReason, Group, Prompt, Sampler, Verdict

_COMPLETION_FIELDS = [item.name for item in fields(Completion)]


class Scorer(Protocol):
    async def score(self, prompt: Prompt, response: str) -> Verdict: ...


class Recorder(Protocol):
    def attempt(self, shard: int, attempt: Attempt) -> None: ...

    def verdict(self, shard: int, prompt_id: str, attempt: int, verdict: Verdict) -> None: ...


@dataclass(frozen=True, slots=True)
class OpenGroup:
    shard: int
    group: Group


class Watcher(Protocol):
    """Is told what happens, as it happens."""

    def arrived(self, attempt: Attempt) -> None: ...

    def ended(self, opened: OpenGroup, reason: EndReason) -> None: ...


async def run_loop(
    groups: AsyncIterator[OpenGroup],
    *,
    sampler: Sampler,
    scorer: Scorer | None,
    recorder: Recorder,
    rules: Rules,
    params: str,
    watcher: Watcher,
    window: int,
) -> None:
    """Draw for every group until it ends. At most `window` groups are open at a time.

    The first error of any group cancels the rest and is raised; what arrived before is recorded.
    """
    places = asyncio.Semaphore(window)

    async def run(opened: OpenGroup) -> None:
        try:
            reason = await _run_group(opened, sampler, scorer, recorder, rules, params, watcher)
            watcher.ended(opened, reason)
        finally:
            places.release()

    try:
        async with asyncio.TaskGroup() as tasks:
            async for opened in groups:
                await places.acquire()
                tasks.create_task(run(opened))
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


async def _run_group(
    opened: OpenGroup,
    sampler: Sampler,
    scorer: Scorer | None,
    recorder: Recorder,
    rules: Rules,
    params: str,
    watcher: Watcher,
) -> EndReason:
    group = opened.group

    async def score(attempt: Attempt) -> None:
        assert scorer is not None and attempt.response is not None
        verdict = await scorer.score(group.prompt, attempt.response)
        group.verdicts[attempt.attempt] = verdict
        recorder.verdict(opened.shard, group.prompt.id, attempt.attempt, verdict)

    async def draw(move: Draw) -> None:
        async with asyncio.TaskGroup() as scoring, aclosing(sampler.sample(group.prompt, move.attempts)) as completions:
            async for completion in completions:
                attempt = Attempt(
                    **{name: getattr(completion, name) for name in _COMPLETION_FIELDS},
                    id=group.prompt.id,
                    step=move.step,
                    step_size=move.step_size,
                    params=params,
                )
                group.attempts[attempt.attempt] = attempt
                recorder.attempt(opened.shard, attempt)
                watcher.arrived(attempt)
                if scorer is not None and attempt.valid:
                    scoring.create_task(score(attempt))

    if scorer is not None:
        owed = [rollout.attempt for rollout in group.rollouts() if rollout.verdict is None]
        await asyncio.gather(*map(score, owed))
    while isinstance(move := next_move(group, rules), Draw):
        await draw(move)
    return move


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain error in nested groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
