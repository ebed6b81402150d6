"""The command that opens a work dir in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from rsr_cli.cli.help import add
from rsr_cli.cli.options import WorkDirArgument, WorkDirOption, required_work_dir
from rsr_cli.cli.terminal import guarded


@guarded
def view(
    directory: WorkDirArgument = None,
    work_dir: WorkDirOption = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="The port on 127.0.0.1; 0: a free one.")
    ] = 0,
) -> None:
    """Read prompts, attempts and verdicts in the browser, live while a run goes on."""
    import asyncio

    from rsr_cli.cli.viewer.server import Viewer

    async def serve() -> None:
        async with Viewer(required_work_dir(work_dir or directory), port) as viewer:
            typer.echo(viewer.url)
            await asyncio.Event().wait()

    asyncio.run(serve())


def add_commands(app: typer.Typer) -> None:
    add(app, "Look", "view", view)
