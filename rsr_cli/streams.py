"""The standard streams, made such that what can't be shown never ends the work that it is about.

A terminal that is closed, a reader that has ended, a full disk under a log: what is said on stderr is dropped then, and
stderr is given up. A result on stdout that does not arrive is an `OutputLost`. Characters that the locale does not have
are spelled out.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_AT_ONCE = 4096
"""What a pipe takes without blocking once it is ready (PIPE_BUF)."""
_PATIENCE_S = 1.0
"""How long a reader of stderr that does not read may hold up the work, once."""
_SPELLED = {"·": "-", "━": "=", "─": "-", "—": "-", "–": "-", "…": "...", "→": "->", "≥": ">=", "≤": "<=", "×": "x"}
_ERRORS = "rsr-spelled"


class OutputLost(Exception):
    """What was printed on stdout did not arrive. `gone`: nobody is there to read it any more."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.gone = error.errno in (errno.EPIPE, errno.EIO)


class _Stream(io.RawIOBase):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._given_up = False

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def give_up(self) -> None:
        """From now on all goes nowhere, what child processes write too."""
        self._given_up = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._descriptor)
        os.close(nowhere)


class _Results(_Stream):
    """Stdout: waits for its reader."""

    def write(self, data: ReadableBuffer, /) -> int:
        block = memoryview(data).cast("B")
        while not self._given_up:
            try:
                return os.write(self._descriptor, block)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.give_up()
                raise OutputLost(error) from None
        return len(block)


class _Messages(_Stream):
    """Stderr: never raises, and waits for a reader that has stopped reading only once."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._patience_s = _PATIENCE_S

    def write(self, data: ReadableBuffer, /) -> int:
        block = memoryview(data).cast("B")
        size = len(block)
        try:
            while block and not self._given_up and self._has_room():
                block = block[os.write(self._descriptor, block[:_AT_ONCE]) :]
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self.give_up()
        return size

    def _has_room(self) -> bool:
        _, ready, _ = select.select([], [self._descriptor], [], self._patience_s)
        self._patience_s = _PATIENCE_S if ready else 0.0
        return bool(ready)


def guard_streams() -> None:
    """Guard stdout and stderr of this process; one that was closed becomes /dev/null."""
    # Before any file is opened: it would take the number of a closed stream, and get what is printed.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = _text(_Results(1), sys.stdout)
    guard_stderr()


def guard_stderr() -> None:
    sys.stderr = _text(_Messages(2), sys.stderr)


def _text(stream: _Stream, before: TextIO | None) -> TextIO:
    codecs.register_error(_ERRORS, _spell)
    encoding = getattr(before, "encoding", None) or "utf-8"
    by_line = stream.isatty() or isinstance(stream, _Messages)
    return io.TextIOWrapper(io.BufferedWriter(stream), encoding, _ERRORS, line_buffering=by_line)


def _spell(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_SPELLED.get(char) or ascii(char)[1:-1] for char in missing), error.end
