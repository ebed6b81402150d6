"""verify: every rollout gets a verdict of the present verifier; what changed is said."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from rsr_cli.scoring.build import ConfiguredScorer, verifier_fingerprint
from rsr_cli.stages.interrupts import run_interruptible
from rsr_cli.stages.progress import Task
from rsr_cli.stages.session import Session, StageResult, fingerprint
from rsr_cli.store import shards
from rsr_cli.store.groups import is_scored, read_groups, score_mark
from rsr_cli.store.recorder import Recorder
from rsr_cli.types import REFERENCE, Group, Prompt, Verdict

_OPEN_GROUPS = 512
_EXAMPLES = 10
_FLUSH_S = 0.5


@dataclass
class Changes:
    """Verdicts that differ from those of the last scoring."""

    by_way: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def compare(self, prompt: Prompt, attempt: int, old: Verdict, new: Verdict) -> None:
        if _shown(old) == _shown(new):
            return
        way = f"{_shown(old)} -> {_shown(new)}"
        self.by_way[way] += 1
        if len(self.examples) < _EXAMPLES and self.by_way[way] <= _EXAMPLES // 2:
            self.examples.append(
                {
                    "id": prompt.id,
                    "attempt": attempt,
                    "change": way,
                    "answer": prompt.metadata.get("answer"),
                    "extracted_before": old.extracted_answer,
                    "extracted_now": new.extracted_answer,
                }
            )


def verify(session: Session, *, retry_unknown: bool = False) -> StageResult:
    """Score what has no verdict of the present verifier; with `retry_unknown` also what timed out or failed."""
    numbers = session.require_rollouts()
    verifier = verifier_fingerprint(session.config)
    marks = {shard: score_mark(session.work_dir, shard, verifier) for shard in numbers}
    todo = [
        shard
        for shard in numbers
        if not is_scored(session.work_dir, shard, marks[shard]) or (retry_unknown and _has_unknown(session, shard))
    ]
    record = session.state.stages["verify"]
    mark = fingerprint([verifier, [session.work_dir.rollouts_digest(shard) for shard in numbers]])
    if not todo and session.is_done("verify", mark):
        return StageResult("verify", skipped=True, counts=record.counts)
    with session.running("verify", mark) as result:
        # Where nothing is to do, sample has scored all on its way, to stop early: only the counts are told.
        changes = score_shards(session, todo, verifier, retry_unknown=retry_unknown) if todo else Changes()
        record.shards_done = numbers
        result.skipped = not todo
        result.counts = _counts(session, numbers)
        result.notes = change_notes(changes)
        _warn_of_unknown(session, numbers, result.counts)
    if changes.by_way:
        result.counts |= {
            "changed": changes.by_way.total(),
            "changes": dict(changes.by_way),
            "examples": changes.examples,
        }
    return result


def score_shards(session: Session, numbers: list[int], verifier: str, *, retry_unknown: bool = False) -> Changes:
    """Score the rollouts of these shards that lack a verdict of this verifier, and write their score shards."""
    changes = Changes()
    recorder = Recorder(session.work_dir, verifier)
    total = sum(shards.row_count(session.work_dir.rollout(shard)) for shard in numbers) or None
    try:
        with session.progress.task("verify", total) as task:
            work = _Scoring(session, verifier, retry_unknown, recorder, changes, task)
            run_interruptible(
                work.score(numbers), lambda: session.progress.say("stopping: the verdicts so far are kept")
            )
    finally:
        recorder.close()
    return changes


def change_notes(changes: Changes) -> list[str]:
    """The changes as lines for people."""
    if not changes.by_way:
        return []
    lines = [f"{sum(changes.by_way.values())} verdicts changed since the last scoring:"]
    lines += [f"  {way}: {count}" for way, count in changes.by_way.most_common()]
    for item in changes.examples:
        lines.append(
            f"  {item['id']} attempt {item['attempt']}: {item['change']} "
            f"(answer {_short(item['answer'])}, extracted {_short(item['extracted_before'])} "
            f"-> {_short(item['extracted_now'])})"
        )
    return lines


class _Scoring:
    """Scores shard after shard, a bounded number of groups at a time."""

    def __init__(
        self, session: Session, verifier: str, retry_unknown: bool, recorder: Recorder, changes: Changes, task: Task
    ) -> None:
        self._session = session
        self._verifier = verifier
        self._retry_unknown = retry_unknown
        self._recorder = recorder
        self._changes = changes
        self._task = task
        self._before = _Earlier(session)

    async def score(self, numbers: list[int]) -> None:
        """Score these shards; what is scored is on the disk within a second."""
        async with asyncio.TaskGroup() as tasks:
            flusher = tasks.create_task(self._flush())
            await self._score_shards(numbers)
            flusher.cancel()

    async def _score_shards(self, numbers: list[int]) -> None:
        async with ConfiguredScorer(self._session.config, self._session.work_dir.cache) as scorer:
            for shard in numbers:
                mark = score_mark(self._session.work_dir, shard, self._verifier)
                places = asyncio.Semaphore(_OPEN_GROUPS)
                async with asyncio.TaskGroup() as tasks:
                    for group in read_groups(self._session.work_dir, shard, mark):
                        # What an interrupted verify has scored already counts as changed too.
                        self._compare(shard, group, group.verdicts)
                        owed = scorer.owed(group, retry_unknown=self._retry_unknown)
                        if owed:
                            await places.acquire()
                            tasks.create_task(self._score_group(scorer, shard, group, owed, places))
                await asyncio.to_thread(self._recorder.close_scores, shard)

    async def _score_group(
        self, scorer: ConfiguredScorer, shard: int, group: Group, owed: list[int], places: asyncio.Semaphore
    ) -> None:
        try:
            verdicts = await scorer.score(group, owed)
        finally:
            places.release()
        for number, verdict in verdicts.items():
            self._recorder.verdict(shard, group.prompt.id, number, verdict)
            self._task.advance()
        self._compare(shard, group, verdicts)

    def _compare(self, shard: int, group: Group, verdicts: dict[int, Verdict]) -> None:
        for number, verdict in verdicts.items():
            old = self._before.verdict(shard, group.prompt.id, number)
            if old is not None:
                self._changes.compare(group.prompt, number, old, verdict)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            await asyncio.to_thread(self._recorder.flush)


class _Earlier:
    """The verdicts of the last scoring, one shard at a time."""

    def __init__(self, session: Session) -> None:
        self._work_dir = session.work_dir
        self._shard: int | None = None
        self._verdicts: dict[tuple[str, int], Verdict] = {}

    def verdict(self, shard: int, prompt_id: str, attempt: int) -> Verdict | None:
        if shard != self._shard:
            self._shard = shard
            self._verdicts = {
                (row["id"], row["attempt"]): Verdict(row["score"], row["status"], row["extracted_answer"])
                for row in shards.read_rows(self._work_dir.score(shard), shards.SCORE)
            }
        return self._verdicts.get((prompt_id, attempt))


def _counts(session: Session, numbers: list[int]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    for shard in numbers:
        for batch in shards.read_batches(session.work_dir.score(shard), ["status", "attempt"]):
            drawn = batch.filter(pc.not_equal(batch["attempt"], REFERENCE))
            statuses.update(drawn["status"].to_pylist())
    return {
        "rollouts": statuses.total(),
        **{name: statuses[name] for name in ("scored", "no_answer", "timeout", "error")},
    }


def _warn_of_unknown(session: Session, numbers: list[int], counts: dict[str, Any]) -> None:
    if not counts["timeout"] + counts["error"]:
        return
    reasons: Counter[str] = Counter()
    for shard in numbers:
        for row in shards.read_rows(session.work_dir.score(shard), shards.SCORE):
            if row["score"] is None:
                reasons[f"{row['status']}: {(row['explanation'] or 'no reason given')[:150]}"] += 1
    told = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    session.progress.warn(
        f"{counts['timeout'] + counts['error']} of {counts['rollouts']} rollouts could not be scored ({told}). "
        "They count as unknown, not as wrong; rsr verify --retry-unknown asks again"
    )


def _has_unknown(session: Session, shard: int) -> bool:
    return any(batch["score"].null_count for batch in shards.read_batches(session.work_dir.score(shard), ["score"]))


def _shown(verdict: Verdict) -> str:
    return verdict.status if verdict.score is None else f"{verdict.score:g}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return repr(text if len(text) <= 40 else text[:37] + "…")
