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

from rsr_cli.errors import CONTROL, Interrupted, RsrError, printable
from rsr_cli.secrecy import forget, redact
from rsr_cli.streams import OutputLost

P = ParamSpec("P")

_PIPE_COLUMNS = 400
"""A pipe has no width to fold to."""


class Output(Console):
    """Stdout for tables and texts."""

    def __init__(self) -> None:
        super().__init__(highlight=False)
        self.width = columns(sys.stdout) or _PIPE_COLUMNS


def columns(stream: Any) -> int | None:
    """The width to fold to: what COLUMNS says, else that of the terminal; None where there is neither."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def print_json(value: Any) -> None:
    """One line of JSON, with what would act on a terminal as escapes."""
    in_full = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not in_full)
    # Outside its strings JSON has no such characters.
    sys.stdout.write(CONTROL.sub(lambda match: json.dumps(match[0])[1:-1], text) + "\n")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Run a command so that every failure is one message and the exit code that belongs to it."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from rsr_cli.stages.interrupts import interruptible

        forget()  # what another command of this process has known
        as_json = bool(kwargs.get("json"))
        try:
            with interruptible():
                command(*args, **kwargs)
                sys.stdout.flush()
        except typer.Exit:
            raise
        except RsrError as error:
            fail(error.message, error.hint, error.exit_code, as_json=as_json)
        except Interrupted as stop:
            fail("; ".join(["stopped", *_notes(stop)]), None, stop.exit_code, as_json=as_json)
        except OutputLost as lost:
            if lost.gone:  # nothing is wrong, and there is nobody to say more to
                raise typer.Exit(0) from None
            fail(f"stdout: {lost}", None, 1)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = "; ".join([*(["make room"] if full else []), *_notes(error)])
            fail(f"{where}{error.strerror or error}", hint or None, 1, as_json=as_json)
        except Exception as error:
            report = "that is a fault of rsr itself: please report it with what RSR_DEBUG=1 shows"
            fail(f"{type(error).__name__}: {error}", "; ".join([report, *_notes(error)]), 1, as_json=as_json)

    return run


def described(error: RsrError) -> dict[str, Any]:
    """An error as --json has it."""
    return {"message": redact(error.message), "hint": error.hint and redact(error.hint), "exit_code": error.exit_code}


def _notes(error: BaseException) -> list[str]:
    """What the session that it has ended says of the work dir."""
    return getattr(error, "__notes__", [])


def fail(message: str, hint: str | None, exit_code: int, *, as_json: bool = False) -> NoReturn:
    """Say an error on stderr, with --json on stdout too, and leave."""
    message, hint = redact(message), redact(hint) if hint else None
    if os.environ.get("RSR_DEBUG") == "1":
        print(redact(traceback.format_exc()), end="", file=sys.stderr)
    lines = printable(f"{message}\n  {hint}" if hint else message)
    print(f"error: {lines}" if exit_code in (1, 2, 3) else lines, file=sys.stderr)
    if as_json:
        try:
            print_json({"error": {"message": message, "hint": hint, "exit_code": exit_code}})
            sys.stdout.flush()
        except OutputLost:
            pass  # it was said on stderr
    raise typer.Exit(exit_code)
