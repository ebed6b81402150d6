"""The options that commands share, and how their positional arguments are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsr_cli.errors import ConfigError

WorkDirOption = Annotated[
    Path | None, typer.Option("--work-dir", "-w", help="The work dir.", show_default=False, metavar="DIR")
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


def split_arguments(arguments: list[str] | None, config: Path | None) -> tuple[Path | None, list[str]]:
    """The config file and the overrides."""
    overrides = list(arguments or [])
    if overrides and "=" not in overrides[0]:
        if config is not None:
            raise ConfigError(f"two config files are given: {config} and {overrides[0]}")
        config = Path(overrides.pop(0))
    return config, overrides
