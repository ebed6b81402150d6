"""One run of the sampling loop over the shards that are not closed: its parts, and the supervision of its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from rsr_cli.plugins.contracts import Sampler
from rsr_cli.sampling.loop import Loop
from rsr_cli.scoring.judge_costs import judge_cost
from rsr_cli.stages.hopeless import guards
from rsr_cli.stages.interrupts import run_interruptible
from rsr_cli.stages.rounds import Rounds
from rsr_cli.stages.sampling_progress import SamplingProgress
from rsr_cli.stages.session import Session
from rsr_cli.stages.shard_closing import ShardClosing
from rsr_cli.stages.spent import drawn_so_far, remaining_budget
from rsr_cli.store import inventory, shards
from rsr_cli.store.recorder import Recorder

_LEAST_WINDOW = 1024


class SamplingRun:
    """Draws what the groups of these shards still need.

    `verifier` is the fingerprint of the verifier whose verdicts end groups, None where verify scores later. With
    `retry_errors` the attempts that failed for good are requested again.
    """

    def __init__(self, session: Session, numbers: list[int], verifier: str | None, *, retry_errors: bool) -> None:
        plan, cache = session.plan, session.work_dir.cache()
        self._session = session
        self._recorder = Recorder(session.work_dir, verifier)
        self._scorer = plan.scorer(cache) if verifier is not None else None
        self._guards = guards(session)
        self.closing = ShardClosing(session, numbers, self._recorder, verifier, retry_errors=retry_errors)
        judged_before = judge_cost(plan.verifier, cache)
        self.budget = remaining_budget(session, numbers, lambda: judged_before + self._judges())
        self._rounds = Rounds(plan.rules, self.budget, session.progress)
        size = {number: shards.row_count(session.work_dir.data(number)) for number in numbers}
        self.progress = SamplingProgress(
            plan,
            prompts=sum(size.values()),
            done=sum(size[number] for number in numbers if number not in self.closing.to_draw),
            before=drawn_so_far(session.work_dir, session.state.stages["sample"]),
            judged_before=judged_before,
            judges=self._judges,
        )

    def run(self) -> None:
        """Run until every group has ended, the budget is spent, a guard trips or a signal arrives."""
        session, work_dir = self._session, self._session.work_dir
        with (
            self.progress.shown(session.progress),
            session.plan.sampler(work_dir.batches()) as sampler,
        ):
            self.progress.asked_again = lambda: sampler.asked_again
            try:
                run_interruptible(self._supervise(sampler), self._report_stopping)
            finally:
                for shard, lines in self._recorder.close().items():
                    inventory.note_journal(session.state, work_dir.rollout_journal(shard), lines)

    async def _supervise(self, sampler: Sampler) -> None:
        """Run the tasks of the run; the first one that fails ends it."""
        closer = asyncio.create_task(self.closing.run())
        background = [asyncio.create_task(self._flush()), closer, asyncio.create_task(self._guards.watch())]
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_cancel, background)
            await stack.enter_async_context(sampler)
            if self._scorer is not None:
                await stack.enter_async_context(self._scorer)
            draw = asyncio.create_task(self._draw(sampler))
            stack.push_async_callback(_cancel, [draw, *background])  # before the sampler is closed
            # A journal that can't be written ends the run, as a dead server or a guard does.
            await asyncio.wait([draw, *background], return_when=asyncio.FIRST_COMPLETED)
            for task in background:
                if task.done():
                    task.result()
            await draw
            self.closing.finish()
            await closer
            self._guards.raise_if_tripped()

    async def _draw(self, sampler: Sampler) -> None:
        """Run the loop once in each round."""
        window = max(_LEAST_WINDOW, 4 * self._session.config.sampler.concurrent_requests, sampler.capacity)
        watchers = [self.progress, self._guards, self._rounds, self.closing]
        for number, rules in enumerate(self._rounds):
            if number > 0:
                self.progress.next_round(again=self.closing.reopen())
            loop = Loop(sampler, self._scorer, self._recorder, rules, watchers, window, self.budget)
            await loop.run(self.closing.groups())
        if not self.closing.postponed:  # else the remaining budget is known when their answers have arrived
            self._rounds.report()
            self.closing.close_parked()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self._recorder.flush_s)
            self.progress.report()
            await asyncio.to_thread(self._recorder.flush)

    def _judges(self) -> float:
        """The cost of the judges in this run."""
        return self._scorer.cost() if self._scorer is not None else 0.0

    def _report_stopping(self) -> None:
        arrived = self.progress.drawn["attempts"]
        self._session.progress.say(
            self._recorder.flushed(f"stopping: {arrived} attempts that arrived are kept")
            + ", those in flight are cancelled; rsr resume goes on from here (again to leave at once)"
        )


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
