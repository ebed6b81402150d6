"""analyze: what happened, into `summary/`."""

from __future__ import annotations

import json
from array import array
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from rsr_cli import __version__, fingerprints
from rsr_cli.analysis.difficulty import Prior, Stop
from rsr_cli.analysis.prompts import PromptStats, prompt_stats
from rsr_cli.analysis.report import Example, render_report
from rsr_cli.analysis.stats import Statistics
from rsr_cli.plan import Plan
from rsr_cli.sampling.fold import Draw, next_move
from rsr_cli.scoring.judge_costs import judge_prices
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.store import shards
from rsr_cli.store.groups import read_groups
from rsr_cli.store.locations import Location
from rsr_cli.store.ownership import keep_if_foreign
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group
from rsr_cli.verifiers.judging.calls import money
from rsr_cli.verifiers.judging.ledger import read_ledger

_EXAMPLES_OF_A_KIND = 3


def analyze(session: Session) -> StageResult:
    """Write stats.json, prompts.parquet and report.html; nothing where neither the input nor the prices changed."""
    plan, work_dir = session.plan, session.work_dir
    numbers = session.require_data()
    session.require_whole(numbers, scored=True)
    record = session.state.stages["analyze"]
    mark = fingerprints.of_summary(plan, work_dir, numbers)
    paths = [work_dir.summary / name for name in ("stats.json", "prompts.parquet", "report.html")]
    if session.is_done("analyze", mark) and all(path.exists() for path in paths):
        return session.up_to_date("analyze")
    stats_path, prompts_path, report_path = paths
    statistics = _statistics(plan)
    examples: list[Example] = []
    counts = array("i")
    rows = sum(shards.row_count(work_dir.rollout(shard)) for shard in numbers)
    with (
        session.running("analyze", mark) as result,
        session.progress.task("analyze", sum(shards.row_count(work_dir.data(shard)) for shard in numbers)) as task,
    ):
        keep_if_foreign(prompts_path, own=not prompts_path.exists() or shards.damage(prompts_path) is None)
        with shards.writing_shard(prompts_path, shards.PROMPTS) as writer:
            for found in session.over_shards(partial(analyze_shard, work_dir.absolute(), plan), numbers, rows=rows):
                statistics.merge(found.statistics)
                for row in found.prompts:
                    writer.write(row)
                counts.extend(found.counts)
                for example in found.examples:
                    _keep_example(examples, example)
                task.advance(len(found.prompts))
        _add_posterior(prompts_path, counts, statistics.prior)
        summary = {"rsr_version": __version__, "work_dir": work_dir.root.name, **statistics.summary()}
        _add_judges(summary, plan, work_dir)
        summary["scores"] |= dict(zip(("pass_threshold", "fail_threshold"), plan.thresholds, strict=True))
        session.write(stats_path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        session.write(report_path, render_report(summary, examples))
        record.shards_done = numbers
        result.counts = summary
    return result


def _add_judges(summary: dict[str, Any], plan: Plan, work_dir: WorkDir) -> None:
    """What the judges were paid for in all runs of the work dir, whatever became of their verdicts."""
    spent = read_ledger(work_dir.cache())
    summary["judge"] = None
    if not spent:
        return
    price = judge_prices(plan.verifier)
    by_model = {name: asdict(item) | {"cost": round(money(item, price(name)), 6)} for name, item in spent.items()}
    keys = next(iter(by_model.values()))
    judge = {key: round(sum(item[key] for item in by_model.values()), 6) for key in keys}
    summary["judge"] = judge | {"by_model": by_model}
    if summary["judge"]["cost"]:
        cost = summary["cost"] or {"prompt": 0.0, "completion": 0.0, "total": 0.0, "to_go_about": 0.0}
        total = round(cost["total"] + summary["judge"]["cost"], 6)
        summary["cost"] = cost | {"judge": summary["judge"]["cost"], "total": total}


@dataclass(frozen=True)
class Found:
    """What a shard holds: its figures, its rows of prompts.parquet, a few of its groups."""

    statistics: Statistics
    prompts: list[dict[str, Any]]
    counts: array[int]
    """Of each prompt the passes and the outcomes that its posterior follows from."""
    examples: list[Example]


def analyze_shard(work_dir: WorkDir, plan: Plan, shard: int) -> Found:
    """Depends on the files of the work dir alone, so that any process may do it."""
    stop = _stop(plan)
    found = Found(_statistics(plan), [], array("i"), [])
    for group in read_groups(work_dir, shard):
        stats = prompt_stats(group, plan.passes, plan.fails, _end_reason(group, plan), stop)
        found.statistics.add(group, stats)
        found.prompts.append(stats.row())
        found.counts.extend((stats.difficulty.passed, stats.difficulty.drawn))
        if stats.n_scored:
            _keep_example(found.examples, Example(_kind(stats), group))
    return found


def _add_posterior(path: Location, counts: array[int], prior: Prior) -> None:
    """Give each prompt the estimate that its own outcomes and the prior make, which only all prompts tell."""
    names = ("pass_rate_mean", "pass_rate_low", "pass_rate_high")
    own = zip(counts[::2], counts[1::2], strict=True)
    with shards.writing_shard(path, shards.PROMPTS) as writer:
        for row, (passed, drawn) in zip(shards.read_rows(path, shards.PROMPTS), own, strict=True):
            estimate = prior.estimate(passed, drawn) if drawn else (None, None, None)
            writer.write(row | dict(zip(names, estimate, strict=True)))


def _stop(plan: Plan) -> Stop:
    """When groups end, for the estimates of difficulty."""
    rules, sampling = plan.rules, plan.config.sampling
    return Stop(
        rules.satisfied,
        rules.max_rollouts,
        whole_steps=rules.whole_steps,
        by_more=sampling.allocation in ("prop2diff", "adaptive"),
    )


def _end_reason(group: Group, plan: Plan) -> str:
    """Why the group has ended; `unfinished` where it would draw more (it was imported, or the run was cut short)."""
    move = next_move(group, plan.rules)
    if not isinstance(move, Draw):
        return str(move)
    sampling = plan.config.sampling
    return "unfinished" if sampling.token_budget is None and sampling.cost_budget is None else "budget"


def _statistics(plan: Plan) -> Statistics:
    price = plan.config.sampler.price
    return Statistics(plan.config.sampling.max_rollouts, plan.stops_by_outcome, (price.prompt, price.completion))


def _kind(stats: PromptStats) -> str:
    if stats.n_pass == stats.n_scored:
        return "always passes"
    return "sometimes passes" if stats.n_pass else "never passes"


def _keep_example(examples: list[Example], example: Example) -> None:
    """Keep a few prompts of each kind to look at."""
    if sum(kept.kind == example.kind for kept in examples) < _EXAMPLES_OF_A_KIND:
        examples.append(example)
