"""What one shard adds to the figures of a work dir."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Any

from rsr_cli.analysis.breakdown import Breakdown
from rsr_cli.analysis.difficulty import Stop
from rsr_cli.analysis.funnel import Funnel
from rsr_cli.analysis.grades import Grades
from rsr_cli.analysis.lengths import Lengths
from rsr_cli.analysis.prompts import PromptStats, prompt_stats
from rsr_cli.analysis.report import Example
from rsr_cli.analysis.stats import Statistics
from rsr_cli.config.settings import Config
from rsr_cli.plan import Plan
from rsr_cli.sampling.fold import Draw, next_move
from rsr_cli.stages.training_files import training_shard
from rsr_cli.store import shards
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group

_EXAMPLES_OF_A_KIND = 3


@dataclass
class Figures:
    """All that is counted, in bounded memory; those of several shards are merged."""

    statistics: Statistics
    funnel: Funnel
    lengths: Lengths
    grades: Grades
    breakdown: Breakdown
    examples: list[Example]

    @classmethod
    def of(cls, plan: Plan) -> Figures:
        config, price = plan.config, plan.config.sampler.price
        most = config.sampling.max_rollouts
        return cls(
            Statistics(most, plan.stops_by_outcome, (price.prompt, price.completion)),
            Funnel(),
            Lengths(_token_limit(config)),
            Grades(None if plan.stops_by_outcome else most),
            Breakdown(),
            [],
        )

    def merge(self, later: Figures) -> None:
        self.statistics.merge(later.statistics)
        self.funnel.merge(later.funnel)
        self.lengths.merge(later.lengths)
        self.grades.merge(later.grades)
        self.breakdown.merge(later.breakdown)
        for example in later.examples:
            self.keep(example)

    def keep(self, example: Example) -> None:
        """Keep a few prompts of each kind to look at."""
        if sum(kept.kind == example.kind for kept in self.examples) < _EXAMPLES_OF_A_KIND:
            self.examples.append(example)

    def summary(self) -> dict[str, Any]:
        return {
            **self.statistics.summary(),
            "funnel": self.funnel.summary(),
            "lengths": self.lengths.summary(),
            "grades": self.grades.summary(),
            "by_metadata": self.breakdown.summary(),
        }


@dataclass(frozen=True)
class Found:
    """What a shard holds: its figures, and its rows of prompts.parquet."""

    figures: Figures
    prompts: list[dict[str, Any]]
    counts: array[int]
    """Of each prompt the passes and the outcomes that its posterior follows from."""


def analyze_shard(work_dir: WorkDir, plan: Plan, shard: int) -> Found:
    """Depends on the files of the work dir alone, so that any process may do it."""
    figures, stop = Figures.of(plan), _stop(plan)
    found = Found(figures, [], array("i"))
    rows = _rows_by_prompt(work_dir, plan, shard)
    pairs = {name: item.makes_pairs for name, item in plan.formatters.items()}
    for group in read_groups(work_dir, shard):
        stats = prompt_stats(group, plan.passes, plan.fails, _end_reason(group, plan), stop)
        figures.statistics.add(group, stats)
        figures.lengths.add(group, plan.passes, plan.fails)
        figures.grades.add(group)
        figures.breakdown.add(group.prompt.metadata, stats)
        passed = [rollout.attempt.attempt for rollout, score in group.scored() if plan.passes(score)]
        own = {name: counts[group.prompt.id] for name, counts in rows.items()}
        figures.funnel.add(stats, passed, list(plan.filtering.left_out(group)), own, pairs)
        found.prompts.append(stats.row())
        found.counts.extend((stats.difficulty.passed, stats.difficulty.drawn))
        if stats.n_scored:
            figures.keep(Example(_kind(stats), group))
    return found


def _rows_by_prompt(work_dir: WorkDir, plan: Plan, shard: int) -> dict[str, Counter[str]]:
    """How many training rows each prompt has, by the formatters whose rows name their prompt."""
    result = {}
    for name in plan.formatters:
        path = training_shard(work_dir, name, shard)
        if path.exists() and "id" in shards.columns(path):
            batches = shards.read_batches(path, ["id"])
            result[name] = Counter(str(key) for batch in batches for key in batch["id"].to_pylist())
    return result


def _stop(plan: Plan) -> Stop:
    """When groups end, for the estimates of difficulty."""
    rules = plan.rules
    by_more = plan.config.sampling.allocation in ("prop2diff", "adaptive")
    own = all(type(item).__module__.startswith("rsr_cli.") for item in plan.formatters.values())
    alike = own and not plan.config.filters  # a filter, and a formatter of a user's own, may look at what texts say
    return Stop(rules.satisfied, rules.max_rollouts, alike, rules.whole_steps, by_more)


def _end_reason(group: Group, plan: Plan) -> str:
    """Why the group has ended; `unfinished` where it would draw more (it was imported, or the run was cut short)."""
    move = next_move(group, plan.rules)
    if not isinstance(move, Draw):
        return str(move)
    sampling = plan.config.sampling
    return "unfinished" if sampling.token_budget is None and sampling.cost_budget is None else "budget"


def _token_limit(config: Config) -> int:
    """The most tokens that an attempt may have."""
    limit, sampling = max(backend.max_tokens for backend in config.sampler.each()), config.sampling
    return limit if sampling.on_truncation == "drop" else sampling.truncation_limit or 4 * limit


def _kind(stats: PromptStats) -> str:
    if stats.n_pass == stats.n_scored:
        return "always passes"
    return "sometimes passes" if stats.n_pass else "never passes"
