"""`rsr status`: what each stage of a work dir has done, what is out of date, how far a run is."""

from __future__ import annotations

import sys
import time
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from rsr_cli.cli.help import add
from rsr_cli.cli.options import Json, WorkDirArgument, WorkDirOption, required_work_dir
from rsr_cli.cli.terminal import Output, guarded, print_json
from rsr_cli.errors import printable
from rsr_cli.words import counted

if TYPE_CHECKING:
    from rsr_cli.stages.status import Status

NOT_DONE = 4


@guarded
def status(
    directory: WorkDirArgument = None,
    work_dir: WorkDirOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again until nothing is written any more.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.1, metavar="SECONDS", help="How often to look.")] = 2.0,
    json: Json = False,
) -> None:
    """What each stage of a work dir has done. Exit code 4 where it is not all done and up to date."""
    from rsr_cli.stages.status import status as look

    target = required_work_dir(work_dir or directory)
    found = look(target)
    drawn = _show(found, 0, watch, as_json=json)
    while watch and found.has_writer:
        time.sleep(every)
        found = look(target)
        drawn = _show(found, drawn, watch, as_json=json)
    if found.overall != "done":
        raise typer.Exit(NOT_DONE)


def _show(found: Status, drawn: int, watch: bool, *, as_json: bool) -> int:
    """Print it, in place of the `drawn` lines of the last time where that is a terminal; how many lines it has."""
    if as_json:
        print_json(found.as_dict())
        sys.stdout.flush()
        return 0
    lines = _lines(found)
    if watch and not sys.stdout.isatty() and found.has_writer:
        lines = [_under_way(found)]  # a log is no place for a table every two seconds
    if drawn:
        sys.stdout.write(f"\x1b[{drawn}F\x1b[J")
    print(printable("\n".join(lines)), flush=True)
    return len(lines) if sys.stdout.isatty() else 0


def _lines(found: Status) -> list[str]:
    from rsr_cli.cli.tables import lines_of, stage_table, told_counts

    console = Output()
    table = stage_table("stage", "status", "shards", "seconds", "result")
    for name, record in found.stages.items():
        seconds = "" if record.seconds is None else f"{record.seconds:,.1f}"
        done = f"{len(record.shards_done)}/{found.shards}" if record.shards_done else ""
        reasons = found.stale.get(name, [])
        word = "stale" if reasons else record.status
        result = "; ".join(reasons) or told_counts(name, record.counts)
        if found.live is not None and found.has_writer and found.live.stage == name:
            word, seconds, result = "running", "", _progress(found)
        table.add_row(name, word, done, seconds, escape(result))
    lines = lines_of(console, table)
    lines += found.notes
    where = quote(str(found.work_dir.root))
    if found.has_writer:
        lines.append(_writer(found))
    elif found.next and not found.notes:
        lines.append(f"rsr resume -w {where} goes on with {', '.join(found.next)}")
    return lines


def _writer(found: Status) -> str:
    return f"the process {found.live.pid} writes here" if found.live else "a process writes here"


def _under_way(found: Status) -> str:
    if found.live is None:
        return "running"
    return f"{found.live.stage}: {_progress(found)}"


def _progress(found: Status) -> str:
    """How far the writer is, the most important first."""
    from rsr_cli.stages.progress import duration, significant

    live = found.live
    assert live is not None
    parts = [f"{live.done:,}" + (f"/{live.total:,}" if live.total is not None else "")]
    parts += [f"{duration(live.seconds_left)} left"] if live.seconds_left is not None else []
    parts += [f"{significant(live.rate)}/s"] if live.rate is not None else []
    names = {"errors": "failed", "truncated": "truncated", "asked_again": "asked again"}
    figures = {name: live.figures.get(name) for name in ("attempts", *names, "completion_tokens", "cost")}
    if isinstance(figures["attempts"], int) and figures["attempts"]:
        parts.append(counted(figures["attempts"], "attempts"))
    parts += [
        f"{figures[name]:,} {word}" for name, word in names.items() if figures[name] and isinstance(figures[name], int)
    ]
    if isinstance(figures["completion_tokens"], int):
        parts.append(counted(figures["completion_tokens"], "completion tokens"))
    if isinstance(figures["cost"], int | float):
        parts.append(f"cost {significant(figures['cost'])}")
    return " · ".join(parts)


def add_commands(app: typer.Typer) -> None:
    add(app, "Look", "status", status)
