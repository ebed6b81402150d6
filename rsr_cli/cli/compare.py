"""The commands that look at several work dirs: compare, ls."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rsr_cli.cli.help import add
from rsr_cli.cli.options import Json
from rsr_cli.cli.terminal import guarded, print_json
from rsr_cli.errors import printable
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.locate import locate

WorkDirs = Annotated[
    list[Storage],
    typer.Argument(help="The work dirs; each is compared with the first.", metavar="W1 W2 …", parser=locate),
]
Folder = Annotated[Path, typer.Argument(help="The folder that holds work dirs.", metavar="DIR")]


@guarded
def compare(work_dirs: WorkDirs, json: Json = False) -> None:
    """Compare work dirs over the same prompts: pass rates, flips, tokens, cost, settings."""
    from rsr_cli.cli.compare_tables import print_comparison
    from rsr_cli.stages.compare import compare as compared
    from rsr_cli.store.work_dir import WorkDir

    found = compared([WorkDir(path) for path in work_dirs])
    if json:
        print_json(found)
    else:
        print_comparison(found)


@guarded
def ls(folder: Folder = Path("output"), json: Json = False) -> None:
    """List the work dirs under a folder: model, progress, pass rate."""
    from rsr_cli.cli.compare_tables import print_listing
    from rsr_cli.stages.listing import work_dirs_under

    found = work_dirs_under(folder)
    if json:
        print_json({"work_dirs": [asdict(item) for item in found]})
    elif found:
        print_listing(found)
    else:
        typer.echo(printable(f"{folder} holds no work dir"))


def add_commands(app: typer.Typer) -> None:
    add(app, "Look", "compare", compare)
    add(app, "Look", "ls", ls)
