"""The commands that look: show, check, config."""

from __future__ import annotations

from typing import Annotated

import typer

from rsr_cli.cli.help import add
from rsr_cli.cli.options import (
    Arguments,
    ConfigOption,
    Json,
    WorkDirArgument,
    WorkDirOption,
    required_work_dir,
    split_arguments,
)
from rsr_cli.cli.terminal import guarded, print_json
from rsr_cli.words import counted


@guarded
def check(directory: WorkDirArgument = None, work_dir: WorkDirOption = None, json: Json = False) -> None:
    """Look for damaged and missing files, and for rows that do not belong together."""
    from dataclasses import asdict

    from rsr_cli.errors import InputError, printable
    from rsr_cli.stages.check import check as look
    from rsr_cli.store.work_dir import WorkDir

    place = work_dir or directory
    if place is None:
        raise InputError("no work dir is given", "name it with --work-dir (-w)")
    problems = look(WorkDir(place))
    if json:
        print_json({"work_dir": str(place), "whole": not problems, "problems": [asdict(item) for item in problems]})
    else:
        for item in problems:
            typer.echo(printable(f"{item.file}: {item.problem}\n  {item.fix}"))
        typer.echo(counted(len(problems), "problems") if problems else "all is whole")
    if problems:
        raise typer.Exit(1)


@guarded
def show(
    directory: WorkDirArgument = None,
    work_dir: WorkDirOption = None,
    id: Annotated[str | None, typer.Option(metavar="ID", help="Only the prompt of this id.")] = None,
    passed: Annotated[bool, typer.Option("--passed", help="Only rollouts that pass.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only rollouts that fail.")] = False,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS", help="Only rollouts of this status: scored, no_answer, timeout, error, unscored."
        ),
    ] = None,
    truncated: Annotated[bool, typer.Option("--truncated", help="Only truncated attempts.")] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Only attempts that failed.")] = False,
    row: Annotated[
        str | None, typer.Option(metavar="NAME:N", help="What row N, from 0, of a formatter was made from.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="The most prompts to show.")] = 5,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, not their first lines.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per prompt.")] = False,
) -> None:
    """Read prompts, attempts and verdicts."""
    from rsr_cli.cli.show import Filter, show_groups, show_row

    target = required_work_dir(work_dir or directory)
    if row is not None:
        show_row(target, row, full=full, as_json=json)
        return
    wanted = Filter(id, passed, failed, status, truncated, errors)
    show_groups(target, wanted, limit=limit, full=full, as_json=json)


@guarded
def config(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a config.")] = False,
    json: Json = False,
) -> None:
    """Print the resolved config, or its schema."""
    from rsr_cli.config.load import load_config
    from rsr_cli.config.settings import Config

    if schema:
        print_json(Config.model_json_schema())
        return
    path, overrides = split_arguments(arguments, config)
    saved = work_dir / "config.yaml" if path is None and work_dir is not None else None
    loaded = load_config(saved or path, overrides, saved=saved is not None)
    if json:
        print_json(loaded.document)
    else:
        typer.echo(loaded.to_yaml(), nl=False)


def add_commands(app: typer.Typer) -> None:
    add(app, "Look", "show", show)
    add(app, "Look", "check", check)
    add(app, "Tools", "config", config)
