"""The options that commands share, and how their positional arguments are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rsr_cli.errors import ConfigError
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.locate import locate

if TYPE_CHECKING:
    from rsr_cli.store.work_dir import WorkDir

WorkDirOption = Annotated[
    Storage | None,
    typer.Option(
        "--work-dir",
        "-w",
        help="The work dir: a folder, or a URL such as s3://bucket/folder.",
        show_default=False,
        metavar="DIR",
        parser=locate,
    ),
]
WorkDirArgument = Annotated[
    Storage | None, typer.Argument(help="The work dir.", show_default=False, metavar="DIR", parser=locate)
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The config file.", show_default=False, metavar="FILE")
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(help="A config file, and overrides as dotted.key=value.", metavar="FILE|KEY=VALUE"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
RetryErrors = Annotated[bool, typer.Option("--retry-errors", help="Ask again for attempts that failed for good.")]
AllowMixed = Annotated[
    bool, typer.Option("--allow-mixed", help="Let rollouts of another model or temperature stand beside those here.")
]
Redraw = Annotated[
    bool, typer.Option("--redraw", help="Draw again, and pay again for, rollouts that were recorded here and are lost.")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Let the code in a work dir run that was not made here, now and later: read it.")
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, metavar="N", help="Take the first N prompts only (data.limit); it may grow later."),
]
Executor = Literal["local", "ray"]
ExecutorOption = Annotated[
    Executor,
    typer.Option(help="Where shards are worked on: on the cores here, or on a Ray cluster.", metavar="local|ray"),
]


def split_arguments(arguments: list[str] | None, config: Path | None) -> tuple[Path | None, list[str]]:
    """The config file and the overrides."""
    overrides = list(arguments or [])
    if overrides and "=" not in overrides[0]:
        if config is not None:
            raise ConfigError(f"two config files are given: {config} and {overrides[0]}")
        config = Path(overrides.pop(0))
    return config, overrides


def with_limit(arguments: list[str] | None, limit: int | None) -> list[str] | None:
    """The arguments, with `--limit` as the override that it is."""
    return arguments if limit is None else [*(arguments or []), f"data.limit={limit}"]


def required_work_dir(path: Storage | None) -> WorkDir:
    """The work dir that a command is given; an error where it is none, or none is given."""
    from rsr_cli.errors import InputError
    from rsr_cli.store.work_dir import WorkDir

    if path is None:
        raise InputError("no work dir is given", "name it with --work-dir (-w)")
    target = WorkDir(path)
    target.load_state()
    return target
