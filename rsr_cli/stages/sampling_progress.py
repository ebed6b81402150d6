"""The progress of a run: counts of what it has drawn, the detail line, and the figures of the live file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rsr_cli.clients.estimates import Usage
from rsr_cli.plan import Plan
from rsr_cli.sampling.queue import Ending, OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.stages.progress import Progress, Task, significant
from rsr_cli.types import Attempt
from rsr_cli.words import counted

_FIGURES = ("attempts", "truncated", "errors", "prompt_tokens", "completion_tokens")


class SamplingProgress(Watcher):
    """Counts attempts and prompts, and shows them.

    `prompts` is how many there are, `done` how many of them earlier runs have done; `before` are the counts of earlier
    runs, and `judged_before` the cost of their judges. `judges` returns the cost of the judges in this run. A prompt
    counts by the share of its rollouts until it has ended.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        prompts: int,
        done: int,
        before: Counter[str],
        judged_before: float,
        judges: Callable[[], float],
    ) -> None:
        self.drawn: Counter[str] = Counter()
        """What this run has drawn: attempts, truncated, errors, prompt_tokens, completion_tokens."""
        self.asked_again: Callable[[], int] = lambda: 0
        """How many requests of the sampler are under way that have failed at least once."""
        self._plan = plan
        self._before = before
        self._judged_before = judged_before
        self._judges = judges
        self._rollouts: Counter[str] = Counter()
        """The rollouts that this run has drawn for each prompt in the loop."""
        self._in_first_round = True
        self._task = Task("sample", prompts, done=done, before=done)

    @contextmanager
    def shown(self, progress: Progress) -> Iterator[None]:
        """Show the run while the block runs."""
        task = self._task
        with progress.task(task.name, task.total) as self._task:
            self._task.done = self._task.before = task.done
            yield

    def next_round(self, again: int) -> None:
        """A later round begins, in which so many prompts that have ended will end again."""
        self._in_first_round = False
        self._task.done -= again

    def arrived(self, attempt: Attempt, usage: Usage) -> None:
        drawn = self.drawn
        drawn["attempts"] += 1
        drawn["truncated"] += attempt.truncated
        drawn["errors"] += attempt.error is not None
        drawn["prompt_tokens"] += usage.prompt
        drawn["completion_tokens"] += usage.completion
        if attempt.valid:
            self._rollouts[attempt.id] += 1
            self._task.part += 1 / self._plan.rules.max_rollouts

    def ended(self, opened: OpenGroup, reason: Ending) -> None:
        rollouts = self._rollouts.pop(opened.group.prompt.id, 0)
        self._task.part -= rollouts / self._plan.rules.max_rollouts
        if reason not in ("postponed", "budget"):
            self._task.done += 1
            self._task.before += not rollouts and self._in_first_round

    def report(self) -> None:
        """Show what all runs have drawn and spent, and an estimate of what the rest will cost at this rate."""
        task, now = self._task, self.drawn
        total = {name: self._before[name] + now[name] for name in _FIGURES}
        judged = self._judges()
        cost = self._plan.cost(total["prompt_tokens"], total["completion_tokens"]) + self._judged_before + judged
        done = task.done + task.part - task.before
        left = max(0, (task.total or 0) - task.done - task.part) / done if done > 0 else None
        seconds = max(1e-9, time.monotonic() - task.began)
        again = self.asked_again()
        details = [f"{again:,} asked again"] if again else []
        details.append(counted(total["attempts"], "attempts"))
        details += [f"{total['errors']:,} failed"] if total["errors"] else []
        details += [f"{total['truncated']:,} truncated"] if total["truncated"] else []
        details.append(f"{now['completion_tokens'] / seconds:,.0f} tokens/s")
        if cost:
            so_far = self._plan.cost(now["prompt_tokens"], now["completion_tokens"]) + judged
            details.append(f"{significant(cost)} spent")
            details += [f"about {significant(left * so_far)} to go"] if left is not None else []
        else:
            details.append(f"{total['completion_tokens']:,} tokens")
            details += [f"about {left * now['completion_tokens']:,.0f} to go"] if left is not None else []
        task.details = details
        task.figures = total | {"asked_again": again} | ({"cost": cost} if cost else {})
        task.shown()
