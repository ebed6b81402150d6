"""Results as tables for people and as JSON for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rsr_cli.cli.terminal import Output, described, print_json
from rsr_cli.config.load import LoadedConfig
from rsr_cli.errors import RsrError, printable
from rsr_cli.stages.progress import duration, significant
from rsr_cli.stages.session import StageResult
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.words import counted

if TYPE_CHECKING:
    from rsr_cli.stages.probe import Probe


def print_results(
    work_dir: WorkDir, results: list[StageResult], failure: RsrError | None, *, as_json: bool, name_work_dir: bool
) -> None:
    """What each stage did; where the user did not name the work dir, its path as the last line."""
    if as_json:
        stages = {item.stage: {"up_to_date": item.skipped, **item.counts} for item in results}
        error = {"error": described(failure)} if failure else {}
        print_json({"work_dir": str(work_dir.root), "stages": stages, **error})
        return
    console = Output()
    table = stage_table("stage", "", "result")
    for item in results:
        status = "up to date" if item.skipped else "waits" if item.postponed else "done"
        table.add_row(item.stage, status, told_counts(item.stage, item.counts))
    print_table(console, table)
    for item in results:
        for note in item.notes:
            console.print(escape(printable(note)), soft_wrap=True)
    if all(item.skipped for item in results):
        console.print("nothing to do: everything is up to date")
    for path in _written(work_dir, results):
        console.print(escape(path), soft_wrap=True)
    if name_work_dir:
        console.print(escape(str(work_dir.root)), soft_wrap=True)


def print_plan(loaded: LoadedConfig, spend: dict[str, Any], *, as_json: bool) -> None:
    """The resolved config and the most that a run can spend."""
    if as_json:
        print_json({"config": loaded.document, **spend})
        return
    console = Output()
    console.print(escape(loaded.to_yaml()), soft_wrap=True)
    table = stage_table("the most that this run can take", "")
    for name, value in spend.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    print_table(console, table)


def print_probe(report: Probe, *, as_json: bool) -> None:
    """What was found, what to change, what the full run may take, what the probe has cost."""
    if as_json:
        print_json({"probe": report.as_dict()})
        return
    console = Output()
    table = stage_table("probe", "", "seen")
    for item in report.findings:
        table.add_row(item.name, f"[{item.light}]{item.light}[/]", escape(printable(item.told)))
    ahead, spent = report.forecast, report.spent
    table.add_row(
        "full run", "", "about " + _taken(ahead.prompts, ahead.attempts, ahead.prompt_tokens, ahead.completion_tokens)
    )
    table.add_row("", "", _span(*ahead.seconds) + (f" · cost {significant(ahead.cost)}" if ahead.cost else ""))
    table.add_row("this probe", "", _taken(spent.prompts, spent.attempts, spent.prompt_tokens, spent.completion_tokens))
    rate = f"{spent.attempts / spent.seconds:,.1f} attempts/s · {spent.completion_tokens / spent.seconds:,.0f} tokens/s"
    cost = f" · cost {significant(spent.cost)}" if spent.cost else ""
    table.add_row("", "", f"{duration(spent.seconds)} · {rate}{cost} · nothing of it is kept")
    print_table(console, table)
    for item in report.findings:
        if item.change:
            console.print(f"{item.name}: {escape(printable(item.change))}", soft_wrap=True)


def _taken(prompts: int, attempts: int, prompt_tokens: int, completion_tokens: int) -> str:
    taken = {"prompts": prompts, "attempts": attempts, "prompt tokens": prompt_tokens}
    return " · ".join(counted(count, name) for name, count in {**taken, "completion tokens": completion_tokens}.items())


def _span(least: float, most: float) -> str:
    low, high = duration(least), duration(most)
    return low if low == high else f"{low} to {high}"


def told_counts(stage: str, counts: dict[str, Any]) -> str:
    """The counts of a stage in one line."""
    if not counts:
        return ""
    if stage == "analyze" and "pass_rate" in counts:
        rates, attempts = counts["pass_rate"], counts["attempts"]
        parts = [
            f"{counts['prompts']['with_a_pass']}/{counted(counts['prompts']['total'], 'prompts', '')} with a pass",
            _pass_rate(rates, attempts["truncated"]),
            f"{100 * (attempts['truncation_rate'] or 0):.1f} % truncated",
            f"{counted(counts['early_stop']['attempts_saved'], 'attempts')} saved by early stop",
        ]
        if counts["cost"]:
            parts.append(f"cost {significant(counts['cost']['total'])}")
        return " · ".join(parts)
    if stage == "format":
        return " · ".join(f"{name}: {counted(count, 'rows')}" for name, count in counts.get("rows", {}).items())
    hidden = {"changes", "examples", "end_reasons"}
    parts = [
        counted(value, name.replace("_", " "))
        for name, value in counts.items()
        if name not in hidden and isinstance(value, int) and (value or name in ("prompts", "rollouts", "imported"))
    ]
    parts += [f"{name}: {count:,}" for name, count in counts.get("end_reasons", {}).items()]
    return " · ".join(parts)


def _pass_rate(rates: dict[str, Any], truncated: int) -> str:
    """The headline: of the attempts whose number no outcome decided, the truncated ones counted as wrong."""
    if rates.get("mean") is None:
        return "no pass rate"
    first = rates["mean_from"] == "first step"
    told = f"{'first-step ' if first else ''}pass rate {100 * rates['mean']:.1f} %"
    valid = rates["first_step_mean_valid" if first else "mean_of_prompts_valid"]
    return f"{told} ({100 * valid:.1f} % without cut ones)" if truncated and valid is not None else told


def _written(work_dir: WorkDir, results: list[StageResult]) -> list[str]:
    """The files that a user wants next."""
    stages = {item.stage for item in results}
    paths = []
    if "format" in stages and work_dir.train.is_dir():
        paths += sorted(str(path) for path in work_dir.train.glob("*.jsonl"))
    if "analyze" in stages:
        paths += [str(work_dir.summary / "stats.json"), str(work_dir.summary / "report.html")]
    return paths


def print_table(console: Console, table: Table) -> None:
    for line in lines_of(console, table):
        print(line)


def lines_of(console: Console, table: Table) -> list[str]:
    """Without the spaces that would fill its last column; folded to the width of a terminal only."""
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def stage_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    return table
