"""The `rsr` command. The commands import what they need when they run, so that `rsr --help` is quick."""

from __future__ import annotations

import gc
import sys

import typer

from rsr_cli import __version__
from rsr_cli.cli import compare, help, init, look, probe, stages, status, tiny, view
from rsr_cli.config.locate import is_utf8
from rsr_cli.streams import OutputLost, guard_streams

app = typer.Typer(
    name="rsr",
    cls=help.Commands,
    help="Training data by rejection sampling and best-of-N: sample, verify, keep what passes, know what it cost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": help.UNBOUNDED},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rsr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    pass


for _module in (stages, probe, status, compare, look, init, tiny, view):
    _module.add_commands(app)


def main() -> None:
    # Rows come and go by the thousand and hold no cycles: at its default pace the collector costs a third of a run.
    gc.set_threshold(50_000, 20, 20)
    guard_streams()
    if odd := [argument for argument in sys.argv[1:] if not is_utf8(argument)]:
        print(f"error: this is not UTF-8: {odd[0]}\n  rename it; or set PYTHONUTF8=1", file=sys.stderr)
        sys.exit(2)
    try:
        app()
    except OutputLost as lost:
        sys.exit(0 if lost.gone else f"error: stdout: {lost}")
