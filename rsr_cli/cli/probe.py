"""The probe command, and the probe ahead of a run."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsr_cli.cli.help import add
from rsr_cli.cli.options import Arguments, ConfigOption, Json, Trust, WorkDirOption, split_arguments
from rsr_cli.cli.terminal import fail, guarded
from rsr_cli.errors import GuardStop
from rsr_cli.storage.interface import Storage

if TYPE_CHECKING:
    from rsr_cli.stages.probe import Probe

_PROMPTS, _ATTEMPTS = 20, 4


@guarded
def probe(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    prompts: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many prompts, spread over the input.")
    ] = _PROMPTS,
    attempts: Annotated[int, typer.Option(min=1, metavar="N", help="How many attempts for each.")] = _ATTEMPTS,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Try a few prompts: what would go wrong, how long the run takes, what it costs."""
    from rsr_cli.cli.tables import print_probe

    report = _probe(arguments, work_dir, config, prompts, attempts, trust)
    print_probe(report, as_json=json)
    try:
        report.raise_if_red()
    except GuardStop as stop:
        fail(stop.message, stop.hint, stop.exit_code)  # its JSON is printed


def probe_first(arguments: list[str] | None, work_dir: Storage | None, config: Path | None, *, trust: bool) -> None:
    """Probe ahead of a run and show it on stderr; GuardStop where it is red."""
    from rsr_cli.cli.tables import print_probe

    report = _probe(arguments, work_dir, config, _PROMPTS, _ATTEMPTS, trust)
    with redirect_stdout(sys.stderr):
        print_probe(report, as_json=False)
    report.raise_if_red()


def _probe(
    arguments: list[str] | None,
    work_dir: Storage | None,
    config: Path | None,
    prompts: int,
    attempts: int,
    trust: bool,
) -> Probe:
    from rsr_cli.stages.probe import probe as stage
    from rsr_cli.stages.progress import Progress
    from rsr_cli.stages.session import settle

    config, overrides = split_arguments(arguments, config)
    may_be_new = config is not None or work_dir is None
    loaded, root = settle(work_dir, config, overrides, may_create=may_be_new, trust=trust)
    with redirect_stdout(sys.stderr):
        return stage(loaded, root, Progress(), prompts=prompts, attempts=attempts)


def add_commands(app: typer.Typer) -> None:
    add(app, "Start", "probe", probe)
