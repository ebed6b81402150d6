"""What people and pipes see: results on stdout, errors on stderr, exit codes; nothing that a model wrote acts on the
terminal."""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec

import typer
from rich.console import Console

from rsr_cli.errors import Interrupted, RsrError, printable

P = ParamSpec("P")


class Output(Console):
    """Stdout for tables and texts; a reader that has gone away is a BrokenPipeError, not an exit of rich's own."""

    def __init__(self) -> None:
        super().__init__(highlight=False)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = 400  # a pipe has no width to fold to

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Run a command so that every failure is one message and the exit code that belongs to it."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from rsr_cli.stages.interrupts import interruptible

        try:
            with interruptible():
                command(*args, **kwargs)
                sys.stdout.flush()
        except RsrError as error:
            _fail(str(error), error.exit_code)
        except Interrupted as stop:
            _fail("stopped; what arrived is kept, rsr resume goes on from here", stop.exit_code)
        except BrokenPipeError:
            # The reader of our stdout has gone: nothing is wrong, and nothing more is to be said to it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = "make room; what was recorded before is kept, rsr resume goes on from there" if full else None
            _fail(f"{where}{error.strerror or error}", 1, hint)

        except Exception as error:
            _fail(
                f"{type(error).__name__}: {error}",
                1,
                "that is a fault of rsr itself: please report it with what RSR_DEBUG=1 shows; rsr resume goes on",
            )

    return run


def _fail(message: str, exit_code: int, hint: str | None = None) -> NoReturn:
    if os.environ.get("RSR_DEBUG") == "1":
        traceback.print_exc()
    lines = printable(message) + (f"\n  {hint}" if hint else "")
    print(f"error: {lines}" if exit_code in (1, 2, 3) else lines, file=sys.stderr)
    raise typer.Exit(exit_code)
