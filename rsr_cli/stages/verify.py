"""verify: every rollout gets a verdict of the present verifier; what changed is said."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from shlex import quote
from typing import Any

import pyarrow.compute as pc

from rsr_cli import fingerprints
from rsr_cli.config.settings import GuardSettings, Limits
from rsr_cli.errors import GuardStop, RsrError, first_error
from rsr_cli.plan import Plan
from rsr_cli.sampling.guards import Guards
from rsr_cli.scoring.scorer import ConfiguredScorer
from rsr_cli.scoring.verifier_tree import with_workers
from rsr_cli.stages.hopeless import guards, unscored_advice
from rsr_cli.stages.interrupts import run_interruptible
from rsr_cli.stages.progress import Task
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.stages.spent import spent_money
from rsr_cli.store import inventory, shards
from rsr_cli.store.groups import is_scored, read_rescored, score_mark
from rsr_cli.store.recorder import Recorder
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import REFERENCE, Group, Prompt, Verdict
from rsr_cli.verifiers.judging.ledger import read_ledger
from rsr_cli.words import counted

_OPEN_GROUPS = 512
_OPEN_ON_A_BUDGET = 8
"""What is under way is not known to cost anything yet."""
_EXAMPLES = 10


@dataclass
class Changes:
    """Verdicts that differ from those of the last scoring."""

    by_way: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def compare(self, prompt: Prompt, before: Mapping[int, Verdict], now: Mapping[int, Verdict]) -> None:
        for number, new in now.items():
            old = before.get(number, new)
            if _shown(old) == _shown(new):
                continue
            way = f"{_shown(old)} -> {_shown(new)}"
            self.by_way[way] += 1
            self._keep(
                {
                    "id": prompt.id,
                    "attempt": number,
                    "change": way,
                    "answer": prompt.metadata.get("answer"),
                    "extracted_before": old.extracted_answer,
                    "extracted_now": new.extracted_answer,
                }
            )

    def merge(self, later: Changes) -> None:
        """Take in those of another shard."""
        self.by_way.update(later.by_way)
        for example in later.examples:
            self._keep(example)

    def _keep(self, example: dict[str, Any]) -> None:
        alike = sum(kept["change"] == example["change"] for kept in self.examples)
        if len(self.examples) < _EXAMPLES and alike < _EXAMPLES // 2:
            self.examples.append(example)


def verify(session: Session, *, retry_unknown: bool = False) -> StageResult:
    """Score what has no verdict of the present verifier; with `retry_unknown` also what timed out or failed."""
    numbers = session.require_rollouts()
    verifier = fingerprints.of_verifier(session.plan)
    marks = {shard: score_mark(session.work_dir, shard, verifier) for shard in numbers}
    todo = [
        shard
        for shard in numbers
        if not is_scored(session.work_dir, shard, marks[shard]) or (retry_unknown and _has_unknown(session, shard))
    ]
    record = session.state.stages["verify"]
    mark = fingerprints.digest([verifier, [session.work_dir.rollouts_digest(shard) for shard in numbers]])
    if not todo and session.is_done("verify", mark):
        return session.up_to_date("verify")
    if todo:
        session.loaded.require_secrets("verifier")
    with session.running("verify", mark) as result:
        # Where nothing is to do, sample has scored all on its way, to stop early: only the counts are told.
        changes = score_shards(session, todo, verifier, retry_unknown=retry_unknown) if todo else Changes()
        for shard in numbers:
            if not is_scored(session.work_dir, shard, marks[shard]):
                raise RsrError(
                    f"{session.work_dir.score(shard)} is not what was written: another process has changed it",
                    "look for what changes files in the work dir while rsr runs; rsr verify scores it again",
                )
            inventory.note(session.state, session.work_dir.score(shard))
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
    plan, work_dir = session.plan, session.work_dir
    changes = Changes()
    rows = sum(shards.row_count(work_dir.rollout(shard)) for shard in numbers)
    with session.progress.task("verify", rows or None) as task:
        if session.executor == "ray" and plan.verifier.is_rule:
            plan = plan.with_verifier(with_workers(plan.config.verifier))
            work = partial(score_shard, work_dir.absolute(), plan, verifier, retry_unknown)
            cpus = plan.verifier.most_workers
            for changed, count in session.over_shards(work, numbers, rows=rows, cpus=cpus):
                changes.merge(changed)
                task.advance(count)
            return changes
        if session.executor == "ray":
            session.progress.say(
                f"verify: {plan.config.verifier.type} works from here, and not on the nodes of the cluster"
            )
        with closing(Recorder(work_dir, verifier)) as recorder:
            guard = None if plan.verifier.is_rule else _guard(session)
            budget = plan.config.sampling.cost_budget
            limits = (0.0, math.inf) if budget is None or guard is None else (spent_money(session), budget)
            scoring = _Scoring(work_dir, verifier, retry_unknown, recorder, task, guard, *limits)
            run_interruptible(
                scoring.score(plan.scorer(work_dir.cache()), numbers, changes),
                lambda: session.progress.say(recorder.flushed("stopping: the verdicts so far are kept")),
            )
    return changes


def score_shard(work_dir: WorkDir, plan: Plan, verifier: str, retry_unknown: bool, shard: int) -> tuple[Changes, int]:
    """Score a shard in this process; what has changed, and how many verdicts were given.

    Depends on the files of the work dir alone, so that any machine may do it, and goes on where another has died.
    """
    changes, task = Changes(), Task("verify", None)
    with closing(Recorder(work_dir, verifier)) as recorder:
        scoring = _Scoring(work_dir, verifier, retry_unknown, recorder, task, None)
        try:
            asyncio.run(scoring.score(plan.scorer(), [shard], changes))
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
    return changes, task.done


def change_notes(changes: Changes) -> list[str]:
    """The changes as lines for people."""
    if not changes.by_way:
        return []
    lines = [f"{counted(sum(changes.by_way.values()), 'verdicts')} changed since the last scoring:"]
    lines += [f"  {way}: {count}" for way, count in changes.by_way.most_common()]
    for item in changes.examples:
        lines.append(
            f"  {item['id']} attempt {item['attempt']}: {item['change']} "
            f"(answer {_short(item['answer'])}, extracted {_short(item['extracted_before'])} "
            f"-> {_short(item['extracted_now'])})"
        )
    return lines


@dataclass(frozen=True)
class _Scoring:
    """Scores shard after shard, a bounded number of groups at a time."""

    work_dir: WorkDir
    verifier: str
    retry_unknown: bool
    recorder: Recorder
    task: Task
    guards: Guards | None
    spent_before: float = 0.0
    cost_budget: float = math.inf

    async def score(self, scorer: ConfiguredScorer, numbers: Sequence[int], changes: Changes) -> None:
        """Score these shards; what has changed since the last scoring goes into `changes`."""
        async with _flushing(self.recorder, self.task), scorer:
            for shard in numbers:
                changes.merge(await self._score_shard(scorer, shard))

    async def _score_shard(self, scorer: ConfiguredScorer, shard: int) -> Changes:
        """Score what a shard owes and write its score shard; what has changed since the last scoring."""
        changes = Changes()
        places = asyncio.Semaphore(_OPEN_GROUPS if self.cost_budget == math.inf else _OPEN_ON_A_BUDGET)
        groups = read_rescored(self.work_dir, shard, score_mark(self.work_dir, shard, self.verifier))

        async def score_group(group: Group, owed: list[int], before: dict[int, Verdict]) -> None:
            try:
                if self.spent_before + scorer.cost() > self.cost_budget:
                    raise GuardStop(
                        f"sampling.cost_budget={self.cost_budget:g} is spent, {scorer.cost():g} of it here. "
                        "The verdicts so far are kept",
                        "rsr verify with a larger sampling.cost_budget goes on from there",
                    )
                verdicts = await scorer.score(group, owed)
            finally:
                places.release()
            self.recorder.verdicts(shard, group, verdicts, compared=scorer.compares)
            self.task.advance(len(verdicts))
            changes.compare(group.prompt, before, verdicts)
            if self.guards is not None:
                for number, verdict in verdicts.items():
                    if number in group.attempts:
                        self.guards.judged(group.attempts[number], verdict, begins=True)
                self.guards.raise_if_tripped()

        async with asyncio.TaskGroup() as tasks:
            for group, before in groups:
                # What an interrupted verify has scored already counts as changed too.
                changes.compare(group.prompt, before, group.verdicts)
                if owed := scorer.owed(group, retry_unknown=self.retry_unknown):
                    await places.acquire()
                    tasks.create_task(score_group(group, owed, before))
                else:
                    await asyncio.sleep(0)  # signals and the flusher have their turn
        await asyncio.to_thread(self.recorder.close_scores, shard)
        return changes


def _guard(session: Session) -> Guards:
    """The guard on replies that can't be scored, alone: nothing is drawn here that others could spare. It is for those
    that ask a model: a rule that fails costs nothing but time."""
    limits = {name: Limits() for name in GuardSettings.model_fields} | {"unscored": session.config.guards.unscored}
    config = session.config.model_copy(update={"guards": GuardSettings(**limits)})
    return guards(session, config)


@asynccontextmanager
async def _flushing(recorder: Recorder, task: Task) -> AsyncIterator[None]:
    """What is recorded is on the disk within a second; the block ends with the error of a disk that takes no more."""

    async def flush() -> None:
        while True:
            await asyncio.sleep(recorder.flush_s)
            task.shown()
            await asyncio.to_thread(recorder.flush)

    async with asyncio.TaskGroup() as tasks:
        flusher = tasks.create_task(flush())
        yield
        flusher.cancel()


def _counts(session: Session, numbers: list[int]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    for shard in numbers:
        for batch in shards.read_batches(session.work_dir.score(shard), ["status", "attempt"]):
            drawn = batch.filter(pc.not_equal(batch["attempt"], REFERENCE))
            for item in pc.value_counts(drawn["status"]).to_pylist():
                statuses[item["values"]] += item["counts"]
    judged: Counter[str] = Counter()
    for spent in read_ledger(session.work_dir.cache()).values():
        judged.update(judge_prompt_tokens=spent.prompt_tokens, judge_completion_tokens=spent.completion_tokens)
    return {
        "rollouts": statuses.total(),
        **{name: statuses[name] for name in ("scored", "no_answer", "timeout", "error")},
        **judged,
    }


def _warn_of_unknown(session: Session, numbers: list[int], counts: dict[str, Any]) -> None:
    if not counts["timeout"] + counts["error"]:
        return
    reasons: Counter[str] = Counter()
    for shard in numbers:
        for batch in shards.read_batches(session.work_dir.score(shard), ["score", "status", "explanation"]):
            for row in batch.filter(pc.is_null(batch["score"])).to_pylist():
                reasons[f"{row['status']}: {(row['explanation'] or 'no reason given')[:150]}"] += 1
    told = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    advice = unscored_advice(session.plan, quote(str(session.work_dir.root)), late=bool(counts["timeout"]))
    session.progress.warn(
        f"{counts['timeout'] + counts['error']} of {counted(counts['rollouts'], 'rollouts')} could not be scored "
        f"({told}). They count as unknown, not as wrong. "
        f"What to do: {advice}"
    )


def _has_unknown(session: Session, shard: int) -> bool:
    return any(batch["score"].null_count for batch in shards.read_batches(session.work_dir.score(shard), ["score"]))


def _shown(verdict: Verdict) -> str:
    return verdict.status if verdict.score is None else f"{verdict.score:g}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return repr(text if len(text) <= 40 else text[:37] + "…")
