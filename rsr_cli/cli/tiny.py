"""The commands around the embedded model: serve-tiny and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsr_cli.cli.help import add
from rsr_cli.cli.options import Json, WorkDirOption
from rsr_cli.cli.stages import run
from rsr_cli.cli.terminal import guarded


@guarded
def serve_tiny(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 takes a free one.")] = 8765,
) -> None:
    """Serve the embedded model over HTTP."""
    from rsr_cli.tiny.server import serve

    serve(host, port)


def demo(work_dir: WorkDirOption = None, json: Json = False) -> None:
    """Run the quickstart recipe on the embedded model."""
    run([str(_recipe("quickstart"))], work_dir=work_dir, json=json)


def _recipe(name: str) -> Path:
    """A recipe's config: in an installed package, else in the repository."""
    package = Path(__file__).parents[1]
    inside, beside = (base / "recipes" / name / "config.yaml" for base in (package, package.parent))
    return inside if inside.exists() else beside


def add_commands(app: typer.Typer) -> None:
    add(app, "Start", "demo", demo)
    add(app, "Tools", "serve-tiny", serve_tiny)
