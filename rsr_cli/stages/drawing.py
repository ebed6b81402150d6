"""One run of the sampling loop over the shards that are not done: what it reads, counts, shows and closes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from itertools import islice
from shlex import quote
from typing import Any

from rsr_cli.clients.estimates import Usage, usage_of
from rsr_cli.config.settings import Config
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.sampling.budget import Budget, next_round
from rsr_cli.sampling.guards import Guards
from rsr_cli.sampling.loop import Loop
from rsr_cli.sampling.queue import Ending, OpenGroup
from rsr_cli.scoring.judge_costs import judge_cost
from rsr_cli.scoring.scorer import ConfiguredScorer
from rsr_cli.stages.hopeless import unscored_advice
from rsr_cli.stages.interrupts import run_interruptible
from rsr_cli.stages.progress import Task, significant
from rsr_cli.stages.session import Session
from rsr_cli.store import inventory, shards
from rsr_cli.store.groups import read_groups, score_mark
from rsr_cli.store.recorder import Recorder
from rsr_cli.store.state import StageState
from rsr_cli.store.tally import tally, tally_journal
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Attempt, Group, Verdict

_READ_AT_ONCE = 64
_LEAST_WINDOW = 1024


class Drawing:
    """Draws what the groups of these shards still need. `verifier` is the fingerprint of the verifier where groups stop
    by its verdicts, None where verify scores later."""

    def __init__(self, session: Session, numbers: list[int], verifier: str | None, *, retry_errors: bool) -> None:
        self.counts: dict[str, Any] = {"prompts": 0, "attempts": 0, "rollouts": 0, "truncated": 0, "errors": 0}
        self.counts |= {"prompt_tokens": 0, "completion_tokens": 0}
        self._session = session
        self._verifier = verifier
        self._retry_errors = retry_errors
        self._recorder = Recorder(session.work_dir, verifier)
        self._all = numbers
        self._before = drawn_so_far(session.work_dir, session.state.stages["sample"])
        """What earlier runs have drawn."""
        self._done = session.state.stages["sample"].shards_done
        self._numbers = [n for n in numbers if n not in self._done or not is_closed(session.work_dir, n)]
        self._rules = session.plan.rules
        self._scorer: ConfiguredScorer | None = None
        self._judged_before = judge_cost(session.plan.verifier, session.work_dir.cache())
        self._budget = self._what_is_left(numbers)
        self._guards = guards(session)
        self._reasons: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._open: Counter[int] = Counter()
        self._drawn: Counter[str] = Counter()
        """The rollouts of each open group that this run has drawn."""
        self._read_whole: set[int] = set()
        self._ended: set[int] = set()
        """Shards that are closed or about to be."""
        self._parked: Counter[int] = Counter()
        """Groups that the round or the budget cut short, by shard."""
        self._best_parked = 0.0
        """The most that a draw for one of them is worth."""
        self.postponed: Counter[int] = Counter()
        """Groups whose answers a later run will get, by shard."""
        self._ready: asyncio.Queue[int | None] = asyncio.Queue()
        self._task = Task("sample", None)
        self._in_first_round = True

    def run(self) -> None:
        plan = self._session.plan
        size = {n: shards.row_count(self._session.work_dir.data(n)) for n in self._all}
        with ExitStack() as stack:
            self._task = stack.enter_context(self._session.progress.task("sample", sum(size.values())))
            self._task.done = self._task.before = sum(size[n] for n in self._all if n not in self._numbers)
            cache = self._session.work_dir.cache()
            scorer = self._scorer = plan.scorer(cache) if self._verifier is not None else None
            sampler = stack.enter_context(plan.sampler(self._session.work_dir.batches()))
            try:
                run_interruptible(self._run(sampler, scorer), self._say_stopping)
            finally:
                for shard, lines in self._recorder.close().items():
                    journal = self._session.work_dir.rollout_journal(shard)
                    inventory.note_journal(self._session.state, journal, lines)

    @property
    def cancelled(self) -> int:
        """Attempts that were given up, in all runs; counted for a budget only."""
        return self._budget.cancelled if self._budget is not None else 0

    @property
    def ended_in_open_shards(self) -> int:
        """Prompts that have ended in shards that are not closed."""
        return sum(reasons.total() for reasons in self._reasons.values()) - self._parked.total()

    async def _run(self, sampler: Sampler, scorer: ConfiguredScorer | None) -> None:
        flusher = asyncio.create_task(self._flush())
        closer = asyncio.create_task(self._close_shards())
        guard = asyncio.create_task(self._guards.watch())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(sampler)
            if scorer is not None:
                await stack.enter_async_context(scorer)
            rounds = asyncio.create_task(self._rounds(sampler, scorer))
            try:
                # A journal that can't be written ends the run as surely as a dead server, or a guard.
                await asyncio.wait({rounds, flusher, closer, guard}, return_when=asyncio.FIRST_COMPLETED)
                for task in (flusher, closer, guard):
                    if task.done():
                        task.result()
                await rounds
                self._ready.put_nowait(None)
                await closer
                self._guards.raise_if_tripped()
            finally:
                for task in (rounds, flusher, closer, guard):
                    task.cancel()
                await asyncio.gather(rounds, flusher, closer, guard, return_exceptions=True)

    async def _rounds(self, sampler: Sampler, scorer: ConfiguredScorer | None) -> None:
        """One round over all prompts; on a budget as many as it takes, each with at most one more step for every
        prompt, so that none takes what another has not had a chance of."""
        window = max(_LEAST_WINDOW, 4 * self._session.config.sampler.concurrent_requests, sampler.capacity)
        rules = self._rules if self._budget is None else replace(self._rules, max_attempts=self._rules.size_of(0))
        while True:
            for shard in self._parked:
                self._task.done -= self._reasons.pop(shard).total() - self._parked[shard]
            self._parked.clear()
            self._best_parked = 0.0
            self.postponed.clear()
            await Loop(
                sampler,
                scorer,
                self._recorder,
                rules,
                watcher=self,
                window=window,
                budget=self._budget,
            ).run(self._groups())
            if self._budget is None or self._budget.exhausted or not self._parked:
                break
            self._in_first_round = False
            rules = next_round(rules, self._best_parked)
            self._retry_errors = False
        if self.postponed:
            return  # what the budget has left is known when their answers are there
        if self._budget is not None and self._budget.exhausted:
            left = f"{self._parked.total()} prompts may need more"
            self._session.progress.say(f"the budget is spent: {left}. A run with a larger one goes on from here")
        for shard in self._parked:
            self._end_shard(shard)

    async def _groups(self) -> AsyncIterator[OpenGroup]:
        await asyncio.to_thread(self._recorder.flush)
        for shard in [n for n in self._numbers if n not in self._ended]:
            groups = self._read(shard)
            await asyncio.to_thread(self._recorder.open_rollouts, shard)
            while batch := await asyncio.to_thread(lambda: list(islice(groups, _READ_AT_ONCE))):  # noqa: B023
                self._open[shard] += len(batch)
                for group in batch:
                    yield OpenGroup(shard, group)
            self._read_whole.add(shard)
            self._offer(shard)

    def _read(self, shard: int) -> Iterator[Group]:
        work_dir = self._session.work_dir
        mark = score_mark(work_dir, shard, self._verifier) if self._verifier is not None else None
        for group in read_groups(work_dir, shard, mark):
            if self._retry_errors:
                group.again = {n for n, attempt in group.attempts.items() if attempt.error is not None}
            yield group

    def arrived(self, attempt: Attempt, usage: Usage) -> None:
        counts = self.counts
        counts["attempts"] += 1
        counts["rollouts"] += attempt.valid
        counts["truncated"] += attempt.truncated
        counts["errors"] += attempt.error is not None
        counts["prompt_tokens"] += usage.prompt
        counts["completion_tokens"] += usage.completion
        if usage.estimated and self._budget is not None and self._budget.estimated == 1:
            self._session.progress.warn(
                "the server tells no usage (token counts) with some answers: for the budget their tokens are "
                "estimated, four characters each"
            )
        if attempt.valid:
            self._drawn[attempt.id] += 1
            self._task.part += 1 / self._rules.max_rollouts
        self._guards.arrived(attempt)

    @property
    def tripped(self) -> bool:
        return self._guards.tripped

    def judged(self, attempt: Attempt, verdict: Verdict) -> None:
        self._guards.judged(attempt, verdict)

    def ended(self, opened: OpenGroup, reason: Ending) -> None:
        self._open[opened.shard] -= 1
        drawn = self._drawn.pop(opened.group.prompt.id, 0)
        self._task.part -= drawn / self._rules.max_rollouts
        if reason == "postponed":
            self.postponed[opened.shard] += 1
            return
        self._reasons[opened.shard][reason] += 1
        if reason == "budget":
            self._parked[opened.shard] += 1
            if self._rules.worth is not None:
                self._best_parked = max(self._best_parked, self._rules.worth(opened.group, 0))
        else:
            self.counts["prompts"] += 1
            self._task.done += 1
            self._task.before += not drawn and self._in_first_round
        self._offer(opened.shard)

    def _offer(self, shard: int) -> None:
        """Hand a shard to be closed once all of it was read and all its groups have ended for good."""
        if shard in self._read_whole and not self._open[shard]:
            self._read_whole.discard(shard)
            if not self._parked[shard] and not self.postponed[shard]:
                self._end_shard(shard)

    def _end_shard(self, shard: int) -> None:
        self._ended.add(shard)
        self._ready.put_nowait(shard)

    async def _close_shards(self) -> None:
        while (shard := await self._ready.get()) is not None:
            counts = await asyncio.to_thread(self._close, shard)
            state = self._session.state
            state.stages["sample"].by_shard[str(shard)] = counts
            inventory.note_rollouts(state, self._session.work_dir, shard)
            if self._verifier is not None:
                inventory.note(state, self._session.work_dir.score(shard))
            self._done.append(shard)
            self._done.sort()
            self._session.save_state()

    def _close(self, shard: int) -> dict[str, Any]:
        work_dir = self._session.work_dir
        self._recorder.close_rollouts(shard)
        if self._verifier is not None:
            self._recorder.close_scores(shard)
        reasons = self._reasons.pop(shard, Counter())
        return {"prompts": reasons.total(), **tally(work_dir.rollout(shard)), "end_reasons": dict(reasons)}

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self._recorder.flush_s)
            self._tell()
            await asyncio.to_thread(self._recorder.flush)

    def _what_is_left(self, numbers: list[int]) -> Budget | None:
        """The budget, less what the rollouts so far have cost; None where there is none."""
        config = self._session.config
        sampling, price = config.sampling, config.sampler.price
        if sampling.token_budget is None and sampling.cost_budget is None:
            return None
        backends = [config.sampler.in_full(member) for member in config.sampler.members] or [config.sampler]
        spent = spent_tokens(self._session.work_dir, numbers)
        return Budget(
            sampling.token_budget,
            sampling.cost_budget,
            (price.prompt, price.completion),
            max_tokens=max(settings.max_tokens for settings in backends),
            spent_prompt=spent["prompt_tokens"],
            spent_completion=spent["completion_tokens"],
            attempts=spent["attempts"],
            cancelled=self._session.state.stages["sample"].counts.get("cancelled", 0),
            other_cost=lambda: self._judged_before + self._judge_cost(),
        )

    def _judge_cost(self) -> float:
        """What the judges were paid in this run."""
        return self._scorer.cost() if self._scorer is not None else 0.0

    def _tell(self) -> None:
        """Show what was drawn and spent by all runs, and what the rest may come to if it goes on like this."""
        task, now = self._task, self.counts
        names = ("attempts", "truncated", "errors", "prompt_tokens", "completion_tokens")
        total = {name: self._before[name] + now[name] for name in names}
        judged = self._judge_cost()
        cost = self._session.plan.cost(total["prompt_tokens"], total["completion_tokens"])
        cost += self._judged_before + judged
        seconds = max(1e-9, time.monotonic() - task.began)
        done = task.done + task.part - task.before
        left = max(0, (task.total or 0) - task.done - task.part) / done if done > 0 else None
        details = [f"{total['attempts']:,} attempts"]
        details += [f"{total['errors']:,} failed"] if total["errors"] else []
        details += [f"{total['truncated']:,} truncated"] if total["truncated"] else []
        details.append(f"{now['completion_tokens'] / seconds:,.0f} tokens/s")
        if cost:
            to_go = self._session.plan.cost(now["prompt_tokens"], now["completion_tokens"]) + judged
            details.append(f"{significant(cost)} spent")
            details += [f"about {significant(left * to_go)} to go"] if left is not None else []
        else:
            details.append(f"{total['completion_tokens']:,} tokens")
            details += [f"about {left * now['completion_tokens']:,.0f} to go"] if left is not None else []
        task.details = details
        task.figures = total | ({"cost": cost} if cost else {})
        task.shown()

    def _say_stopping(self) -> None:
        self._session.progress.say(
            self._recorder.flushed(f"stopping: {self.counts['attempts']} attempts that arrived are kept")
            + ", those in flight are cancelled; rsr resume goes on from here (again to leave at once)"
        )


def guards(session: Session, config: Config | None = None) -> Guards:
    """Guards that warn as the session does, with the limits of its config or of the one that is given."""
    root, plan = quote(str(session.work_dir.root)), session.plan
    warn = session.progress.warn
    return Guards(config or plan.config, plan.passes, root, warn, lambda late: unscored_advice(plan, root, late=late))


def spent_tokens(work_dir: WorkDir, numbers: Iterable[int]) -> Counter[str]:
    """What the attempts of these shards have cost, estimated where no server has counted; and how many they are."""
    spent: Counter[str] = Counter()
    for shard in numbers:
        counts = tally(work_dir.rollout(shard)) + tally_journal(work_dir.rollout_journal(shard))
        spent += _with_estimates(work_dir, shard, counts) if counts["without_usage"] else counts
    return spent


def spent_money(session: Session) -> float:
    """What the work dir has cost, its judges too."""
    spent = spent_tokens(session.work_dir, session.work_dir.shards())
    drawn = session.plan.cost(spent["prompt_tokens"], spent["completion_tokens"])
    return drawn + judge_cost(session.plan.verifier, session.work_dir.cache())


def _with_estimates(work_dir: WorkDir, shard: int, counts: Counter[str]) -> Counter[str]:
    """The counts of a shard, its tokens with those estimated that no server has counted."""
    tokens: Counter[str] = Counter()
    for group in read_groups(work_dir, shard):
        for attempt in group.attempts.values():
            usage = usage_of(attempt, group.prompt.messages)
            tokens.update(prompt_tokens=usage.prompt, completion_tokens=usage.completion)
    return Counter({**counts, **tokens})


def drawn_so_far(work_dir: WorkDir, record: StageState) -> Counter[str]:
    """The counts of what the shards hold, however many runs drew it; those in open shards have no `prompts`."""
    counts: Counter[str] = Counter()
    for shard in work_dir.shards():
        if shard in record.shards_done and str(shard) in record.by_shard:
            closed = record.by_shard[str(shard)]
            counts.update({name: value for name, value in closed.items() if name != "end_reasons"})
        else:
            counts.update(tally(work_dir.rollout(shard)) + tally_journal(work_dir.rollout_journal(shard)))
    return counts


def is_closed(work_dir: WorkDir, shard: int) -> bool:
    return work_dir.rollout(shard).exists() and not work_dir.is_open(shard)
