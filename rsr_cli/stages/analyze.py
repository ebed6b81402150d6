"""analyze: what happened, into `summary/`."""

from __future__ import annotations

import json
from collections.abc import Callable

from rsr_cli import __version__
from rsr_cli.analysis.prompts import PromptStats, prompt_stats
from rsr_cli.analysis.report import Example, render_report
from rsr_cli.analysis.stats import Statistics
from rsr_cli.config.settings import Config
from rsr_cli.sampling.fold import Draw, Rules, next_move
from rsr_cli.stages.sample import group_rules
from rsr_cli.stages.session import Session, StageResult, build_formatters, fingerprint
from rsr_cli.store import shards
from rsr_cli.store.files import write_text
from rsr_cli.store.groups import read_groups
from rsr_cli.types import Group

_EXAMPLES_OF_A_KIND = 3


def analyze(session: Session) -> StageResult:
    """Write stats.json, prompts.parquet and report.html; nothing where neither the input nor the prices changed."""
    config, work_dir = session.config, session.work_dir
    numbers = session.require_data()
    record = session.state.stages["analyze"]
    mark = analyze_fingerprint(session, numbers)
    paths = [work_dir.summary / name for name in ("stats.json", "prompts.parquet", "report.html")]
    if session.is_done("analyze", mark) and all(path.exists() for path in paths):
        return StageResult("analyze", skipped=True, counts=record.counts)
    stats_path, prompts_path, report_path = paths
    rules = group_rules(config)
    price = config.sampler.price
    statistics = Statistics(config.sampling.max_rollouts, rules.satisfied is not None, (price.prompt, price.completion))
    passes, fails = thresholds(config)
    examples: list[Example] = []
    with (
        session.running("analyze", mark) as result,
        session.progress.task("analyze", _prompts(session, numbers)) as task,
    ):
        with shards.writing_shard(prompts_path, shards.PROMPTS) as writer:
            for shard in numbers:
                for group in read_groups(work_dir, shard):
                    stats = prompt_stats(group, passes, fails, _end_reason(group, rules))
                    statistics.add(group, stats)
                    writer.write(stats.row())
                    _pick_example(examples, group, stats)
                    task.advance()
        summary = {"rsr_version": __version__, "work_dir": work_dir.root.name, **statistics.summary()}
        write_text(stats_path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        write_text(report_path, render_report(summary, examples))
        record.shards_done = numbers
        result.counts = summary
    return result


def analyze_fingerprint(session: Session, numbers: list[int]) -> str:
    config, work_dir = session.config, session.work_dir
    inputs = [
        (shards.digest(work_dir.data(n)), work_dir.rollouts_digest(n), work_dir.scores_digest(n)) for n in numbers
    ]
    settings = [config.sampling.model_dump(), config.sampler.price.model_dump()]
    formatters = [[item.type, item.options] for item in config.formatter]
    return fingerprint([__version__, inputs, settings, formatters])


def thresholds(config: Config) -> tuple[Callable[[float], bool], Callable[[float], bool]]:
    """What a pass and a fail are for the figures: by the first formatter that has thresholds, else 1.0 and 0.0."""
    formatters = build_formatters(config).values()
    first = next((item for item in formatters if hasattr(item, "pass_threshold")), None)
    pass_at = float(getattr(first, "pass_threshold", 1.0))
    fail_at = float(getattr(first, "fail_threshold", 0.0))
    return (lambda score: score >= pass_at), (lambda score: score <= fail_at)


def _end_reason(group: Group, rules: Rules) -> str:
    """Why the group has ended; `unfinished` where it would draw more (it was imported, or the run was cut short)."""
    move = next_move(group, rules)
    return "unfinished" if isinstance(move, Draw) else move


def _prompts(session: Session, numbers: list[int]) -> int:
    return sum(shards.row_count(session.work_dir.data(shard)) for shard in numbers)


def _pick_example(examples: list[Example], group: Group, stats: PromptStats) -> None:
    """Keep a few prompts of each kind to look at: always passed, sometimes, never."""
    if not stats.n_scored:
        return
    kind = "always passes" if stats.n_pass == stats.n_scored else "sometimes passes" if stats.n_pass else "never passes"
    if sum(example.kind == kind for example in examples) < _EXAMPLES_OF_A_KIND:
        examples.append(Example(kind, group))
