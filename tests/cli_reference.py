"""`python -m tests.cli_reference` writes docs/cli.md, from what the commands say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from rsr_cli.cli.app import app

PAGE = Path(__file__).parents[1] / "docs/cli.md"


def reference() -> str:
    group: Any = typer.main.get_command(app)
    head = [
        "# Commands",
        "",
        "Generated from the commands: `python -m tests.cli_reference` makes it anew.",
        "",
    ]
    return "\n".join([*head, *(line for name in group.commands for line in _section(name, group.commands[name]))])


def _section(name: str, command: Any) -> Iterator[str]:
    yield from (f"## rsr {name}", "", " ".join((command.help or "").split()), "", "| | |", "|---|---|")
    for parameter in command.params:
        names = ", ".join(f"`{item}`" for item in parameter.opts if item.startswith("-"))
        names = names or f"`{parameter.metavar or parameter.name.upper()}`".replace("|", "\\|")
        default = parameter.default
        shown = "" if default is None or isinstance(default, bool) else f" Default: `{default}`."
        yield f"| {names} | {parameter.help or ''}{shown} |".replace("  ", " ")
    yield ""


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
