"""What compare and ls print."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from rsr_cli.cli.tables import print_table, stage_table
from rsr_cli.cli.terminal import Output
from rsr_cli.errors import printable

if TYPE_CHECKING:
    from rsr_cli.stages.listing import Listed


def print_comparison(found: dict[str, Any]) -> None:
    """The figures of each work dir, then each but the first against the first."""
    console = Output()
    print_table(console, _figures(found["work_dirs"]))
    for name, pair in found["pairs"].items():
        _print_pair(console, found["against"], name, pair)


def print_listing(found: list[Listed]) -> None:
    table = stage_table("work dir", "created", "model", "prompts", "stage", "pass rate")
    for item in found:
        done = f" {item.done:,}" if item.done is not None else ""
        stage = item.problem or (f"{item.stage} {item.status}{done}" if item.stage else "empty")
        created = (item.created or "")[:16].replace("T", " ")
        cells = (item.path, created, item.model or "", _count(item.prompts), stage, _percent(item.pass_rate))
        table.add_row(*(escape(printable(text)) for text in cells))
    print_table(Output(), table)


def _figures(figures: dict[str, dict[str, Any]]) -> Table:
    table = stage_table("", *(escape(printable(name)) for name in figures))
    rows: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("model", lambda item: ", ".join(item["models"])),
        ("prompts", lambda item: _count(item["prompts"])),
        ("with a pass", lambda item: _count(item["with_a_pass"])),
        ("attempts", lambda item: _count(item["attempts"])),
        ("truncated", lambda item: _percent(item["truncation_rate"])),
        ("errors", lambda item: _count(item["errors"])),
        ("completion tokens", lambda item: _count(item["completion_tokens"])),
        ("per attempt", lambda item: _count(item["tokens_per_attempt"])),
        ("cost", lambda item: _count(item["cost"])),
    ]
    for name, told in rows:
        table.add_row(name, *(escape(printable(told(item))) for item in figures.values()))
    return table


def _print_pair(console: Output, first: str, second: str, pair: dict[str, Any]) -> None:
    def say(text: str, style: str = "") -> None:
        body = escape(printable(text))
        console.print(f"[{style}]{body}[/]" if style else body, soft_wrap=True)

    console.print()
    say(f"━━ {second} against {first}: {pair['prompts']:,} prompts in both", "bold")
    if pair["only_in_first"] or pair["only_in_second"]:
        say(f"with a rate in one of them only: {pair['only_in_first']:,} and {pair['only_in_second']:,}")
    if pair["asked_otherwise"]:
        say(f"{pair['asked_otherwise']:,} prompts of the same id have other messages")
    if pair["prompts"]:
        say(f"pass rate: {_interval(pair['first'])} → {_interval(pair['second'])}")
        change = pair["difference"]
        low, high = 100 * change["low"], 100 * change["high"]
        say(f"difference: {100 * change['mean']:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}")
        say(f"now right: {pair['now_right']:,} · now wrong: {pair['now_wrong']:,}")
    for kind, style in (("now_right", "green"), ("now_wrong", "red")):
        for item in pair["examples"][kind]:
            rates = " → ".join(_percent(rate) for rate in item["rates"])
            say(f"── {kind.replace('_', ' ')}: {item['id']} · answer {item['answer']} · {rates}", style)
            say(item["question"])
            before, after = (", ".join(answers) or "nothing" for answers in item["answers"])
            say(f"answered before: {before}\nanswered now:    {after}")
    for key, (before, after) in pair["config"].items():
        say(f"{key}: {before!r} → {after!r}", "dim")


def _interval(item: dict[str, float]) -> str:
    return f"{_percent(item['mean'])} ({100 * item['low']:.1f} to {100 * item['high']:.1f})"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,}"
