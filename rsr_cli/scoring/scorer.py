"""From responses to verdicts: the thinking is taken off, the reply goes to a verifier."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import Protocol

from rsr_cli.config.settings import VerifierSettings
from rsr_cli.errors import PluginError
from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.plugins.boundary import boundary
from rsr_cli.plugins.composite import Composite
from rsr_cli.plugins.contracts import Judge
from rsr_cli.plugins.verdicts import as_verdict
from rsr_cli.reply import final_reply, split_thinking
from rsr_cli.types import REFERENCE, Group, Prompt, Reply, Rollout, Verdict

_MISSING = Verdict.unknown("error", "the judge returned no verdict on this reply")
_UNFINISHED_THINKING = Verdict.no_answer("the thinking never ends: there is no reply")


class Scorer(Protocol):
    """Gives verdicts on attempts of a group. Where `compares` is true they depend on the group's other rollouts, and
    all are scored together."""

    compares: bool

    async def __aenter__(self) -> Scorer: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]: ...

    def cost(self) -> float:
        """What judges were paid since it was made."""
        ...


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
        futures = {number: self._pool.submit(reply, group.prompt) for number, reply in replies.items()}
        await _all_done(futures.values())
        return verdicts | {number: future.result() for number, future in futures.items()}

    def cost(self) -> float:
        return 0.0


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
        return verdicts | (await self._judged(group.prompt, replies) if replies else {})

    def cost(self) -> float:
        return self._judge.cost

    async def _judged(self, prompt: Prompt, replies: dict[int, Reply]) -> dict[int, Verdict]:
        """The verdicts of the judge; unknown ones where it fails, or leaves one out."""
        try:
            with boundary("judge", self._judge):
                judged = await self._judge.judge(prompt, replies)
                return {
                    number: as_verdict(judged[number], "judge") if number in judged else _MISSING for number in replies
                }
        except PluginError as error:
            return dict.fromkeys(replies, Verdict.unknown("error", error.message[:500]))


class CompositeScorer:
    """Scores with the members of a composite, which makes one verdict of theirs."""

    def __init__(self, composite: Composite, members: dict[str, Scorer]) -> None:
        self._composite = composite
        self._members = members
        self._stack = AsyncExitStack()
        self.compares = composite.compares or any(member.compares for member in members.values())

    async def __aenter__(self) -> CompositeScorer:
        for member in self._members.values():
            await self._stack.enter_async_context(member)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        everything = list(numbers)

        async def ask(name: str, some: Sequence[int]) -> dict[int, Verdict]:
            if not some:
                return {}
            # A member that compares needs all replies, also where only some of its verdicts are wanted.
            member = self._members[name]
            found = await member.score(group, everything if member.compares else some)
            return {number: found[number] for number in some}

        return await self._composite.verdicts(group.prompt, everything, ask)

    def cost(self) -> float:
        return sum(member.cost() for member in self._members.values())


class ConfiguredScorer:
    """The scorer of a run, and which attempts it owes a verdict."""

    def __init__(self, scorer: Scorer, *, with_reference: bool) -> None:
        """`with_reference` says that the prompts' reference completions are scored too."""
        self._scorer = scorer
        self._with_reference = with_reference
        self.compares = scorer.compares

    async def __aenter__(self) -> ConfiguredScorer:
        await self._scorer.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._scorer.__aexit__(*exc)

    def cost(self) -> float:
        return self._scorer.cost()

    def owed(self, group: Group, *, retry_unknown: bool = False) -> list[int]:
        return owed_numbers(group, self.compares, with_reference=self._with_reference, retry_unknown=retry_unknown)

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        return await self._scorer.score(group, numbers)


def reply_of(rollout: Rollout) -> Reply | None:
    """Return what verifiers get of a rollout, None where its thinking never ends."""
    attempt = rollout.attempt
    text = final_reply(rollout.response)
    if text is None:
        return None
    thinking = attempt.reasoning
    if not thinking and len(text) < len(rollout.response.strip()):
        thinking = split_thinking(rollout.response)[0] or None
    return Reply(text, thinking, attempt.finish_reason, attempt.completion_tokens)


def _replies(group: Group, numbers: Iterable[int]) -> tuple[dict[int, Reply], dict[int, Verdict]]:
    """The replies of these attempts, and the verdicts on those that have none."""
    replies: dict[int, Reply] = {}
    verdicts: dict[int, Verdict] = {}
    for number in numbers:
        rollout = group.reference() if number == REFERENCE else Rollout(group.attempts[number], None)
        assert rollout is not None
        reply = reply_of(rollout)
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
