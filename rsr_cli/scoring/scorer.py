"""From responses to verdicts: the thinking is taken off, the reply goes to a verifier."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Protocol

from rsr_cli.config.settings import VerifierSettings
from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.reply import final_reply
from rsr_cli.types import REFERENCE, Group, Judge, Rollout, Verdict

_UNFINISHED_THINKING = Verdict.no_answer("the thinking never ends: there is no reply")


class Scorer(Protocol):
    """Gives verdicts on attempts of a group. Where `compares` is true they depend on the group's other rollouts, and
    all are scored together."""

    compares: bool

    async def __aenter__(self) -> Scorer: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]: ...


def owed_numbers(group: Group, compares: bool, *, with_reference: bool, retry_unknown: bool = False) -> list[int]:
    """The attempts to score: those without a verdict, all of them where verdicts compare and one is missing."""
    reference = group.reference() if with_reference else None
    rollouts = [*([reference] if reference else []), *group.rollouts()]
    lacking = [item for item in rollouts if item.verdict is None or (retry_unknown and item.score is None)]
    return [item.attempt.attempt for item in (rollouts if compares and lacking else lacking)]


class PoolScorer:
    """Scores with a verifier in worker processes."""

    compares = False

    def __init__(self, settings: VerifierSettings) -> None:
        self._pool = ProcessPool(
            (settings.type, settings.options),
            workers=settings.workers,
            time_limit=settings.time_limit,
            memory_limit_mb=settings.memory_limit_mb,
        )

    async def __aenter__(self) -> PoolScorer:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._pool.close()

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        replies, verdicts = _replies(group, numbers)
        futures = {number: self._pool.submit(reply, group.prompt.metadata) for number, reply in replies.items()}
        await _all_done(futures.values())
        return verdicts | {number: future.result() for number, future in futures.items()}


class JudgeScorer:
    """Scores with a judge."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.compares = judge.compares

    async def __aenter__(self) -> JudgeScorer:
        await self._judge.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._judge.__aexit__(*exc)

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        replies, verdicts = _replies(group, numbers)
        return verdicts | (await self._judge.judge(group.prompt, replies) if replies else {})


def _replies(group: Group, numbers: Iterable[int]) -> tuple[dict[int, str], dict[int, Verdict]]:
    """The replies of these attempts, and the verdicts on those that have none."""
    replies: dict[int, str] = {}
    verdicts: dict[int, Verdict] = {}
    for number in numbers:
        rollout = group.reference() if number == REFERENCE else Rollout(group.attempts[number], None)
        assert rollout is not None
        reply = final_reply(rollout.response)
        if reply is None:
            verdicts[number] = _UNFINISHED_THINKING
        else:
            replies[number] = reply
    return replies, verdicts


async def _all_done(futures: Iterable[Future[Verdict]]) -> None:
    """Wait for the futures with one wake-up of the loop for all of them."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    left = sum(1 for _ in futures)
    if not left:
        return

    def one_done() -> None:
        nonlocal left
        left -= 1
        if not left and not ready.done():
            ready.set_result(None)

    for future in futures:
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(one_done))
    await ready
