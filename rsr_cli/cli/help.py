"""What `--help` looks like: as wide as the terminal, commands in groups, values by their names, not by their types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

Panel = Literal["Stages", "Look", "Start", "Tools"]
_PANELS: tuple[Panel, ...] = ("Stages", "Look", "Start", "Tools")
_RANGE = re.compile(r"(\S+)<=x<=(\S+)(?=\])")
UNBOUNDED = 1_000_000
"""Columns: what limits the help is the terminal alone."""


class _Command(TyperCommand):
    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)


class Commands(TyperGroup):
    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)
        for panel in _PANELS:
            with formatter.section(panel):
                formatter.write_dl(
                    [
                        (name, command.help or "")
                        for name, command in self.commands.items()
                        if (getattr(command, "rich_help_panel", None) or _PANELS[-1]) == panel
                    ]
                )


def add(app: typer.Typer, panel: Panel, name: str, function: Callable[..., None]) -> None:
    """Make `function` a command of `app`."""
    app.command(name, cls=_Command, rich_help_panel=panel)(function)


def _write_parameters(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        named, text = record[0], _RANGE.sub(r"\1 to \2", record[1]).replace("x>=", "at least ")
        if parameter.param_type_name == "argument":
            sections["Arguments"].append((getattr(parameter, "metavar", None) or named, text))
        else:
            sections["Options"].append((named, text))
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
