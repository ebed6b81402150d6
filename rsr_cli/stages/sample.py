"""sample: draw attempts for every prompt until its group has ended, recording each as it arrives."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from itertools import islice
from typing import Any

from rsr_cli.config.load import without_secrets
from rsr_cli.config.settings import Config
from rsr_cli.errors import BackendError, WorkDirError, printable
from rsr_cli.sampling.fold import Rules
from rsr_cli.sampling.loop import OpenGroup, run_loop
from rsr_cli.scoring.build import ConfiguredScorer, verifier_fingerprint
from rsr_cli.stages.interrupts import run_interruptible
from rsr_cli.stages.progress import Task
from rsr_cli.stages.session import (
    EMBEDDED,
    Session,
    StageResult,
    blaming,
    build_formatters,
    build_sampler,
    fingerprint,
    formatters_fingerprint,
)
from rsr_cli.stages.verify import change_notes, score_shards
from rsr_cli.store import shards
from rsr_cli.store.groups import MARK_KEY, read_groups, score_mark
from rsr_cli.store.recorder import Recorder
from rsr_cli.store.tally import most_common_errors, tally
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Attempt, EndReason, Group, Sampler

_FLUSH_S = 0.25
_READ_AT_ONCE = 64


def sample(session: Session, *, retry_errors: bool = False, allow_mixed: bool = False) -> StageResult:
    """Draw what is missing in every shard; `retry_errors` also asks again for the attempts that failed for good."""
    config, work_dir = session.config, session.work_dir
    numbers = session.require_data()
    mark = sample_fingerprint(config, work_dir, numbers)
    record = session.state.stages["sample"]
    if session.is_done("sample", mark) and not retry_errors and all(_is_closed(work_dir, n) for n in numbers):
        return StageResult("sample", skipped=True, counts=record.counts)
    identity = _identity(config)
    _refuse_mixed(session, identity, numbers, allow_mixed)
    if record.fingerprint != mark or retry_errors:
        record.shards_done = []
    with session.running("sample", mark) as result:
        session.state.sampled_with = identity
        session.save_state()
        verifier = _verifier(config)
        if verifier is not None:
            stale = [n for n in numbers if _is_stale(work_dir, n, verifier)]
            if stale:
                session.progress.say("the verifier or the golds have changed: the rollouts are scored again first")
                result.notes += change_notes(score_shards(session, stale, verifier))
        run = _Run(session, identity, numbers, verifier, retry_errors)
        result.counts = run.counts
        run.draw()
        result.counts = _totals(session) | {"new_attempts": run.counts["attempts"]}
        _tell_of_failures(session, result.counts)
    return result


def sample_fingerprint(config: Config, work_dir: WorkDir, numbers: list[int]) -> str:
    """Changes with whatever can make a group need more attempts or other ones. Not with a time-out or a rate."""
    sampling = config.sampling.model_dump(mode="json")
    sampler = _identity(config) | {
        "max_tokens": config.sampler.max_tokens,
        "drop_truncated": config.sampler.drop_truncated,
    }
    data = [shards.digest(work_dir.data(number)) for number in numbers]
    return fingerprint([sampling, sampler, formatters_fingerprint(config), _verifier(config), data])


class _Run:
    """One run of the loop over the shards that are not done, with what it counts."""

    def __init__(
        self, session: Session, identity: dict[str, Any], numbers: list[int], verifier: str | None, retry_errors: bool
    ) -> None:
        self.session = session
        self.verifier = verifier
        self.retry_errors = retry_errors
        self.recorder = Recorder(session.work_dir, verifier)
        self.done = session.state.stages["sample"].shards_done
        self.numbers = [n for n in numbers if n not in self.done or not _is_closed(session.work_dir, n)]
        self.params = json.dumps(identity["params"] | {"max_tokens": session.config.sampler.max_tokens}, sort_keys=True)
        self.counts: dict[str, Any] = {"prompts": 0, "attempts": 0, "rollouts": 0, "truncated": 0, "errors": 0}
        self.counts |= {"prompt_tokens": 0, "completion_tokens": 0}
        self.reasons: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self.open: Counter[int] = Counter()
        self.read: set[int] = set()
        self.ready: asyncio.Queue[int | None] = asyncio.Queue()
        self.task = Task("sample", None)
        self.began = time.monotonic()

    def draw(self) -> None:
        config = self.session.config
        total = sum(shards.row_count(self.session.work_dir.data(n)) for n in self.numbers)
        with ExitStack() as stack:
            self.task = stack.enter_context(self.session.progress.task("sample", total))
            scorer = ConfiguredScorer(config, self.session.work_dir.cache) if self.verifier is not None else None
            sampler = stack.enter_context(_sampler(config))
            try:
                run_interruptible(self._run(sampler, scorer), self._say_stopping)
            finally:
                self.recorder.close()

    async def _run(self, sampler: Sampler, scorer: ConfiguredScorer | None) -> None:
        config = self.session.config
        flusher = asyncio.create_task(self._flush())
        closer = asyncio.create_task(self._close_shards())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(sampler)
            if scorer is not None:
                await stack.enter_async_context(scorer)
            loop = asyncio.create_task(
                run_loop(
                    self._groups(),
                    sampler=sampler,
                    scorer=scorer,
                    recorder=self.recorder,
                    rules=group_rules(config),
                    params=self.params,
                    watcher=self,
                    window=2 * config.sampler.concurrent_requests,
                )
            )
            try:
                # A journal that can't be written ends the run as surely as a dead server.
                await asyncio.wait({loop, flusher, closer}, return_when=asyncio.FIRST_COMPLETED)
                for task in (flusher, closer):
                    if task.done():
                        task.result()
                await loop
                self.ready.put_nowait(None)
                await closer
            finally:
                for task in (loop, flusher, closer):
                    task.cancel()
                await asyncio.gather(loop, flusher, closer, return_exceptions=True)

    async def _groups(self) -> AsyncIterator[OpenGroup]:
        for shard in self.numbers:
            groups = self._read(shard)
            while batch := await asyncio.to_thread(lambda: list(islice(groups, _READ_AT_ONCE))):  # noqa: B023
                self.open[shard] += len(batch)
                for group in batch:
                    yield OpenGroup(shard, group)
            self.read.add(shard)
            self._offer(shard)

    def _read(self, shard: int) -> Iterator[Group]:
        work_dir = self.session.work_dir
        mark = score_mark(work_dir, shard, self.verifier) if self.verifier is not None else None
        for group in read_groups(work_dir, shard, mark):
            if self.retry_errors:
                group.again = {n for n, attempt in group.attempts.items() if attempt.error is not None}
            yield group

    def arrived(self, attempt: Attempt) -> None:
        counts = self.counts
        counts["attempts"] += 1
        counts["rollouts"] += attempt.valid
        counts["truncated"] += attempt.truncated
        counts["errors"] += attempt.error is not None
        counts["prompt_tokens"] += attempt.prompt_tokens or 0
        counts["completion_tokens"] += attempt.completion_tokens or 0

    def ended(self, opened: OpenGroup, reason: EndReason) -> None:
        self.counts["prompts"] += 1
        self.reasons[opened.shard][reason] += 1
        self.open[opened.shard] -= 1
        self._offer(opened.shard)
        self.task.advance(detail=self._detail())

    def _offer(self, shard: int) -> None:
        """Hand a shard to be closed once all of it was read and all its groups have ended."""
        if shard in self.read and not self.open[shard]:
            self.read.discard(shard)
            self.ready.put_nowait(shard)

    async def _close_shards(self) -> None:
        while (shard := await self.ready.get()) is not None:
            counts = await asyncio.to_thread(self._close, shard)
            self.session.state.stages["sample"].by_shard[str(shard)] = counts
            self.done.append(shard)
            self.done.sort()
            self.session.save_state()

    def _close(self, shard: int) -> dict[str, Any]:
        self.recorder.close_rollouts(shard)
        if self.verifier is not None:
            self.recorder.close_scores(shard)
        reasons = self.reasons.pop(shard, Counter())
        return {"prompts": reasons.total(), **tally(self.session.work_dir.rollout(shard)), "end_reasons": dict(reasons)}

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            await asyncio.to_thread(self.recorder.flush)

    def _detail(self) -> str:
        seconds = time.monotonic() - self.began
        tokens = self.counts["completion_tokens"]
        cost = money(self.session.config, self.counts["prompt_tokens"], tokens)
        spent = f" · {cost:.2f} spent" if cost else ""
        return f"{self.counts['attempts']} attempts · {tokens / seconds:.0f} tokens/s{spent}"

    def _say_stopping(self) -> None:
        self.session.progress.say(
            f"stopping: {self.counts['attempts']} attempts that arrived are kept, those in flight are cancelled; "
            "rsr resume goes on from here (again to leave at once)"
        )


def _totals(session: Session) -> dict[str, Any]:
    """The counts of all shards together, however many runs drew them."""
    numbers: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for counts in session.state.stages["sample"].by_shard.values():
        numbers.update({name: value for name, value in counts.items() if name != "end_reasons"})
        reasons.update(counts["end_reasons"])
    return {**numbers, "end_reasons": dict(reasons)}


def _tell_of_failures(session: Session, counts: dict[str, Any]) -> None:
    """Warn of attempts that failed for good; BackendError where there is nothing else."""
    if not counts["errors"]:
        return
    kinds: Counter[str] = Counter()
    for shard in session.work_dir.shards():
        kinds.update(most_common_errors(session.work_dir.rollout(shard)))
    told = "; ".join(f"{count} x {printable(error)[:200].rstrip('.')}" for error, count in kinds.most_common(3))
    hint = f"rsr sample -w {session.work_dir.root} --retry-errors asks for them again"
    if counts["errors"] == counts["attempts"]:
        raise BackendError(f"every one of {counts['attempts']} attempts failed: {told}", hint)
    session.progress.warn(f"{counts['errors']} of {counts['attempts']} attempts failed for good: {told}. {hint}")


def money(config: Config, prompt_tokens: int, completion_tokens: int) -> float:
    """The cost at the config's prices, which are per million tokens."""
    price = config.sampler.price
    return (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6


@contextmanager
def _sampler(config: Config) -> Iterator[Sampler]:
    """The sampler of the config; with `base_url: embedded` the embedded model serves it as long as it is used."""
    urls = config.sampler.base_url
    with ExitStack() as stack:
        if urls == [EMBEDDED]:
            from rsr_cli.tiny.server import embedded

            urls = [stack.enter_context(embedded())]
        yield build_sampler(config, urls)


def group_rules(config: Config) -> Rules:
    sampling = config.sampling
    targets = [item for item in build_formatters(config).values() if getattr(item, "has_target", True)]

    def satisfied(group: Group) -> bool:
        return all(blaming(item, item.is_satisfied, group) for item in targets)

    stops_early = sampling.early_stop and targets
    return Rules(sampling.max_rollouts, sampling.step_size, sampling.max_steps, satisfied if stops_early else None)


def _verifier(config: Config) -> str | None:
    """The fingerprint of the verifier where groups stop by its verdicts; without that, verify scores later."""
    return verifier_fingerprint(config) if group_rules(config).satisfied else None


def _identity(config: Config) -> dict[str, Any]:
    """What must not change between the rollouts of a work dir."""
    settings = config.sampler
    return {
        "model": settings.model_path or settings.model,
        "params": {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "extra_params": without_secrets(settings.extra_params),
        },
    }


def _refuse_mixed(session: Session, identity: dict[str, Any], numbers: list[int], allow_mixed: bool) -> None:
    before = session.state.sampled_with
    if not before or allow_mixed or not any(session.work_dir.has_rollouts(number) for number in numbers):
        return
    old, new = ({"model": value["model"], **value["params"]} for value in (before, identity))
    differing = [f"sampler.{key}: {old.get(key)!r} -> {new[key]!r}" for key in new if old.get(key) != new[key]]
    if differing:
        raise WorkDirError(
            "the rollouts here were drawn with other settings:\n  " + "\n  ".join(differing),
            "use a new work dir, or --allow-mixed to let both live side by side",
        )


def _is_closed(work_dir: WorkDir, shard: int) -> bool:
    return work_dir.rollout(shard).exists() and not work_dir.is_open(shard)


def _is_stale(work_dir: WorkDir, shard: int, verifier: str) -> bool:
    """The shard has verdicts, and they are not of this verifier on these golds."""
    found = shards.footer(work_dir.score(shard)).get(MARK_KEY)
    return found is not None and found != score_mark(work_dir, shard, verifier)
