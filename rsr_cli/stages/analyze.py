"""analyze: what happened, into `summary/`."""

from __future__ import annotations

import json
from array import array
from dataclasses import asdict
from functools import partial
from typing import Any

from rsr_cli import __version__, fingerprints
from rsr_cli.analysis.difficulty import Prior
from rsr_cli.analysis.report import render_report
from rsr_cli.plan import Plan
from rsr_cli.scoring.judge_costs import judge_prices
from rsr_cli.stages.run_facts import run_facts
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.stages.shard_figures import Figures, analyze_shard
from rsr_cli.storage.interface import Storage
from rsr_cli.store import shards
from rsr_cli.store.ownership import keep_if_foreign
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.verifiers.judging.calls import money
from rsr_cli.verifiers.judging.ledger import read_ledger


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
    figures = Figures.of(plan)
    counts = array("i")
    rows = sum(shards.row_count(work_dir.rollout(shard)) for shard in numbers)
    with (
        session.running("analyze", mark) as result,
        session.progress.task("analyze", sum(shards.row_count(work_dir.data(shard)) for shard in numbers)) as task,
    ):
        keep_if_foreign(prompts_path, own=not prompts_path.exists() or shards.damage(prompts_path) is None)
        with shards.writing_shard(prompts_path, shards.PROMPTS) as writer:
            for found in session.over_shards(partial(analyze_shard, work_dir.absolute(), plan), numbers, rows=rows):
                figures.merge(found.figures)
                for row in found.prompts:
                    writer.write(row)
                counts.extend(found.counts)
                task.advance(len(found.prompts))
        _add_posterior(prompts_path, counts, figures.statistics.prior)
        about = {"rsr_version": __version__, "work_dir": work_dir.root.name, "run": run_facts(session)}
        summary = about | figures.summary()
        _add_judges(summary, plan, work_dir)
        summary["scores"] |= dict(zip(("pass_threshold", "fail_threshold"), plan.thresholds, strict=True))
        session.write(stats_path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        session.write(report_path, render_report(summary, figures.examples))
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


def _add_posterior(path: Storage, counts: array[int], prior: Prior) -> None:
    """Give each prompt the estimate that its own outcomes and the prior make, which only all prompts tell."""
    names = ("pass_rate_mean", "pass_rate_low", "pass_rate_high")
    own = zip(counts[::2], counts[1::2], strict=True)
    with shards.writing_shard(path, shards.PROMPTS) as writer:
        for row, (passed, drawn) in zip(shards.read_rows(path, shards.PROMPTS), own, strict=True):
            estimate = prior.estimate(passed, drawn) if drawn else (None, None, None)
            writer.write(row | dict(zip(names, estimate, strict=True)))
