"""The commands that work: the stages, their chain, and import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsr_cli.cli.help import add
from rsr_cli.cli.options import (
    AllowMixed,
    Arguments,
    ConfigOption,
    Executor,
    ExecutorOption,
    Json,
    Limit,
    Redraw,
    RetryErrors,
    Trust,
    WorkDirOption,
    split_arguments,
    with_limit,
)
from rsr_cli.cli.probe import probe_first
from rsr_cli.cli.terminal import fail, guarded
from rsr_cli.errors import GuardStop, RsrError
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.locate import locate
from rsr_cli.streams import OutputLost

if TYPE_CHECKING:
    from rsr_cli.stages.session import Session, StageResult
    from rsr_cli.store.work_dir import WorkDir


@contextmanager
def _session(
    command: str,
    work_dir: Storage | None,
    config: Path | None,
    arguments: list[str] | None,
    *,
    may_create: bool = False,
    executor: Executor = "local",
    trust: bool = False,
) -> Iterator[Session]:
    from rsr_cli.stages.progress import Progress
    from rsr_cli.stages.session import open_session

    config, overrides = split_arguments(arguments, config)
    # Stdout is for the result: what a user's transform or formatter prints goes where the log goes.
    with (
        redirect_stdout(sys.stderr),
        open_session(
            command,
            Progress(),
            work_dir=work_dir,
            config_path=config,
            overrides=overrides,
            may_create=may_create,
            trust=trust,
        ) as session,
    ):
        session.executor = executor
        yield session


def _report(session: Session, results: list[StageResult], as_json: bool, *, told: bool) -> None:
    from rsr_cli.cli.tables import print_results
    from rsr_cli.stages.hopeless import raise_if_for_nothing

    failure: RsrError | None = None
    try:
        raise_if_for_nothing(session, results)
    except GuardStop as stop:
        failure = stop
    try:
        print_results(session.work_dir, results, failure, as_json=as_json, name_work_dir=not told)
        sys.stdout.flush()
    except OutputLost as lost:
        # The work is done and on the disk: it has not failed for that.
        print(f"warning: the result can't be shown on stdout ({lost}): see {session.work_dir.root}", file=sys.stderr)
    if failure is not None:
        fail(failure.message, failure.hint, failure.exit_code)  # its JSON is printed


def _over_shards(name: str, summary: str) -> Callable[..., None]:
    """The command of a stage whose only choice is where its shards are worked on."""

    @guarded
    def command(
        arguments: Arguments = None,
        work_dir: WorkDirOption = None,
        config: ConfigOption = None,
        executor: ExecutorOption = "local",
        trust: Trust = False,
        json: Json = False,
    ) -> None:
        module = import_module(f"rsr_cli.stages.{name}")
        stage = getattr(module, name, None) or getattr(module, f"{name}_")
        with _session(name, work_dir, config, arguments, executor=executor, trust=trust) as session:
            result = stage(session)
        _report(session, [result], json, told=True)

    command.__doc__ = summary
    return command


@guarded
def format_(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    check_template: Annotated[
        str | None,
        typer.Option(
            "--check-template",
            metavar="MODEL_OR_DIR",
            help="Then render the rows through this model's chat template, and say what it loses.",
        ),
    ] = None,
    executor: ExecutorOption = "local",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Scored rollouts into training files."""
    from rsr_cli.stages import format as stage

    with _session("format", work_dir, config, arguments, executor=executor, trust=trust) as session:
        result = stage.format_(session)
    if check_template is None:
        _report(session, [result], json, told=True)
        return
    from rsr_cli.cli.templates import print_checked
    from rsr_cli.stages.check_template import check_template as look

    checked = look(session.work_dir, list(session.plan.formatters), check_template)
    print_checked(checked, as_json=json)
    if not all(item.is_good for item in checked):
        raise typer.Exit(1)


analyze = _over_shards("analyze", "What happened and what it cost, into summary/.")


@guarded
def prepare(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    trust: Trust = False,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Raw input, transformed and checked, into data/."""
    from rsr_cli.stages import prepare as stage

    arguments = with_limit(arguments, limit)
    with _session("prepare", work_dir, config, arguments, may_create=True, trust=trust) as session:
        result = stage.prepare(session)
    _report(session, [result], json, told=work_dir is not None)


@guarded
def sample(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    limit: Limit = None,
    retry_errors: RetryErrors = False,
    allow_mixed: AllowMixed = False,
    redraw: Redraw = False,
    batch_files: Annotated[
        bool,
        typer.Option(
            "--batch-files", help="With openai-batch: write files of requests, read the answers put beside them."
        ),
    ] = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Draw the attempts that are missing."""
    from rsr_cli.stages import sample as stage
    from rsr_cli.stages.prepare import prepare as make_data

    arguments = with_limit(arguments, limit)
    if batch_files:
        arguments = [*(arguments or []), "sampler.batch_files=true"]
    with _session("sample", work_dir, config, arguments, trust=trust) as session:
        results = [make_data(session)] if limit is not None else []
        results.append(stage.sample(session, retry_errors=retry_errors, allow_mixed=allow_mixed, redraw=redraw))
    _report(session, results, json, told=True)


@guarded
def verify(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    retry_unknown: Annotated[
        bool, typer.Option("--retry-unknown", help="Score again what timed out or failed to score.")
    ] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Then look for bad golds and disagreements, into summary/audit*.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", help="A second verifier to compare with in the audit: a type, or {type: …} in YAML."
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(metavar="ID[:ATTEMPT]", help="Only show what the rules read in these rollouts; score nothing."),
    ] = None,
    executor: ExecutorOption = "local",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Score every rollout; say which verdicts changed."""
    if explain is not None:
        from rsr_cli.cli.explain import explain as show_claims

        show_claims(_opened(work_dir), explain, as_json=json)
        return
    from rsr_cli.stages import verify as stage
    from rsr_cli.stages.audit import audit as look

    with _session("verify", work_dir, config, arguments, executor=executor, trust=trust) as session:
        results = [stage.verify(session, retry_unknown=retry_unknown)]
        if audit or against:
            results.append(look(session, against=against))
    _report(session, results, json, told=True)


def _opened(path: Storage | None) -> WorkDir:
    """A work dir to look into."""
    from rsr_cli.errors import InputError
    from rsr_cli.store.work_dir import WorkDir

    if path is None:
        raise InputError("no work dir is given", "name it with --work-dir (-w)")
    target = WorkDir(path)
    target.load_state()
    return target


@guarded
def run(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the config and the most it can spend; write nothing.")
    ] = False,
    limit: Limit = None,
    probe: Annotated[bool, typer.Option("--probe", help="Probe first, and stop there if that is red.")] = False,
    retry_errors: RetryErrors = False,
    allow_mixed: AllowMixed = False,
    redraw: Redraw = False,
    executor: ExecutorOption = "local",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """The five stages, one after the other."""
    from rsr_cli.stages import pipeline

    arguments = with_limit(arguments, limit)
    if dry_run:
        _dry_run(work_dir, config, arguments, trust=trust, as_json=json)
        return
    if probe:
        probe_first(arguments, work_dir, config, trust=trust)
    with _session("run", work_dir, config, arguments, may_create=True, executor=executor, trust=trust) as session:
        results = pipeline.run(session, retry_errors=retry_errors, allow_mixed=allow_mixed, redraw=redraw)
    _report(session, results, json, told=work_dir is not None)


@guarded
def resume(
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    retry_errors: RetryErrors = False,
    allow_mixed: AllowMixed = False,
    redraw: Redraw = False,
    executor: ExecutorOption = "local",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Finish what is unfinished or out of date."""
    from rsr_cli.stages import pipeline

    place: Storage | None = work_dir
    if place is None and arguments and "=" not in arguments[0] and locate(arguments[0]).is_dir():
        place = locate(arguments.pop(0))
    with _session("resume", place, config, arguments, executor=executor, trust=trust) as session:
        results = pipeline.run(session, retry_errors=retry_errors, allow_mixed=allow_mixed, redraw=redraw)
    _report(session, results, json, told=True)


@guarded
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSONL or Parquet with id or messages, and response.")],
    arguments: Arguments = None,
    work_dir: WorkDirOption = None,
    config: ConfigOption = None,
    transform: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:NAME", help="file.py:function that maps a row to such a row, a list of them, or None."
        ),
    ] = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Leave bad rows out.")] = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Bring in completions that were made elsewhere."""
    from rsr_cli.stages import import_ as stage

    with _session("import", work_dir, config, arguments, trust=trust) as session:
        result = stage.import_(session, file, transform=transform, skip_invalid=skip_invalid)
    _report(session, [result], json, told=True)


def _dry_run(
    work_dir: Storage | None, config: Path | None, arguments: list[str] | None, *, trust: bool, as_json: bool
) -> None:
    from rsr_cli.cli.tables import print_plan
    from rsr_cli.plan import resolve
    from rsr_cli.stages.hopeless import refuse_hopeless
    from rsr_cli.stages.pipeline import most_it_can_spend
    from rsr_cli.stages.prepare import Counts, read_dataset
    from rsr_cli.stages.session import settle

    config, overrides = split_arguments(arguments, config)
    loaded, _ = settle(work_dir, config, overrides, may_create=True, trust=trust)
    plan = resolve(loaded.config)
    refuse_hopeless(plan, read_dataset(plan, Counts()))
    print_plan(loaded, most_it_can_spend(plan), as_json=as_json)


def add_commands(app: typer.Typer) -> None:
    names = ("prepare", "sample", "verify", "format", "analyze", "run", "resume", "import")
    commands: list[Callable[..., None]] = [prepare, sample, verify, format_, analyze, run, resume, import_]
    for name, command in zip(names, commands, strict=True):
        add(app, "Stages", name, command)
