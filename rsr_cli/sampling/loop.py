"""The loop: one coroutine per prompt, no barrier between prompts, steps or shards.

It is handed everything that touches the world: the sampler, the scorer, the recorder. A bounded window of open groups
keeps memory flat at any number of prompts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, fields
from typing import Protocol

from rsr_cli.errors import first_error
from rsr_cli.sampling.fold import Draw, Rules, next_move
from rsr_cli.types import Attempt, Completion, EndReason, Group, Sampler, Verdict

_COMPLETION_FIELDS = [item.name for item in fields(Completion)]


class Scorer(Protocol):
    compares: bool

    def owed(self, group: Group) -> list[int]: ...

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]: ...


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
        raise first_error(errors) from None


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

    async def score(numbers: Iterable[int]) -> None:
        assert scorer is not None
        for number, verdict in (await scorer.score(group, numbers)).items():
            group.verdicts[number] = verdict
            recorder.verdict(opened.shard, group.prompt.id, number, verdict)

    async def score_what_is_owed() -> None:
        assert scorer is not None
        if owed := scorer.owed(group):
            await score(owed)

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
                group.again.discard(attempt.attempt)
                recorder.attempt(opened.shard, attempt)
                watcher.arrived(attempt)
                if scorer is not None and attempt.valid and not scorer.compares:
                    scoring.create_task(score([attempt.attempt]))

    if scorer is not None:
        await score_what_is_owed()
    while isinstance(move := next_move(group, rules), Draw):
        await draw(move)
        if scorer is not None:
            await score_what_is_owed()
    return move
