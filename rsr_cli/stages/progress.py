"""Progress of long work: a line that is drawn anew on a terminal, one now and then elsewhere; always on stderr.

What can't be shown or logged never ends the work: see `streams` for stderr, `_ToFile` for the log.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from rsr_cli.errors import printable
from rsr_cli.secrecy import redact
from rsr_cli.store.live import LIVE_FILE, Live, write_live

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_DRAWINGS = 0.1
_SECONDS_BETWEEN_RECORDS = 1.0
_COLUMNS = 80
"""Of a terminal that does not say its width."""
_log = logging.getLogger("rsr_cli")


@dataclass
class Task:
    """One piece of long work."""

    name: str
    total: int | None
    done: int = 0
    part: float = 0.0
    """What has been done of those that are not done yet."""
    before: int = 0
    """What of `done` had been done when this task began."""
    details: Sequence[str] = ()
    """Said beside the count, the most important first: where a line is short of room, the last ones are left out."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs."""
    began: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1) -> None:
        self.done += count
        self.shown()

    def shown(self) -> None:
        """Overwritten by the progress that shows it."""

    def rate(self) -> float | None:
        """Done in a second; None as long as nothing is."""
        seconds = time.monotonic() - self.began
        done = self.done + self.part - self.before
        return done / seconds if seconds > 0 and done > 0 else None

    def seconds_left(self) -> float | None:
        rate = self.rate()
        if self.total is None or rate is None:
            return None
        return max(0.0, self.total - self.done - self.part) / rate

    def live(self) -> Live:
        return Live(self.name, self.done, self.total, self.rate(), self.seconds_left(), dict(self.figures))

    def line(self, columns: int | None = None) -> str:
        """Count, time left and rate come first; `columns` is how many there are."""
        rate, left = self.rate(), self.seconds_left()
        parts = [f"{self.name}: {self.done}" + (f"/{self.total}" if self.total is not None else "")]
        parts += [f"{duration(left)} left"] if left is not None else []
        parts += [f"{significant(rate)}/s"] if rate is not None else []
        text = parts[0]
        if columns is not None and len(" · ".join(parts)) > columns:
            text = self._short()
            parts = []
        for part in [*parts[1:], *self.details]:
            if columns is not None and len(text) + len(part) + 3 > columns:
                break
            text += f" · {part}"
        return text if columns is None else text[:columns]

    def _short(self) -> str:
        """The same three for a narrow terminal."""
        rate, left = self.rate(), self.seconds_left()
        parts = [f"{self.done}" + (f"/{self.total}" if self.total is not None else "")]
        parts += [f"{duration(left).replace(' ', '').replace('min', 'm')} left"] if left is not None else []
        parts += [f"{rate:,.0f}/s" if rate >= 10 else f"{significant(rate)}/s"] if rate is not None else []
        return " ".join(parts)


class _ToConsole(logging.Handler):
    """Says what is logged anywhere in rsr, without tearing the line of a task."""

    def __init__(self, console: Console, line: _Line) -> None:
        super().__init__(logging.INFO)
        self._console, self._line = console, line

    def emit(self, record: logging.LogRecord) -> None:
        head = "[yellow]warning:[/] " if record.levelno >= logging.WARNING else ""
        with self._line.away():
            self._console.print(f"{head}{escape(printable(redact(record.getMessage())))}", soft_wrap=True)

    def handleError(self, record: logging.LogRecord) -> None:
        """A message that can't be shown is dropped."""


class _ToFile(logging.Handler):
    """The log of a work dir. What the disk does not take is dropped, and the next message is tried again."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, 0o644)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise OSError(f"{path} is no plain file")
        self._fails = False
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(self._descriptor, f"{printable(redact(self.format(record)))}\n".encode())
        except OSError as error:
            if not self._fails:
                self._fails = True
                _log.warning("%s can't be written (%s): the run goes on", self._path, error.strerror)
        else:
            self._fails = False

    def handleError(self, record: logging.LogRecord) -> None:
        """A message that can't be logged is dropped."""

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)
        super().close()


class _Line:
    """The last line of a terminal, which tells of the task under way."""

    def __init__(self) -> None:
        self._text = ""
        self._drawn = 0.0

    def draw(self, task: Task) -> None:
        if time.monotonic() - self._drawn >= _SECONDS_BETWEEN_DRAWINGS:
            self._drawn = time.monotonic()
            # One column stays free: some terminals break a line that fills the last one.
            self._show(printable(task.line(_width() - 1)))

    def clear(self) -> None:
        if self._text:
            self._show("")
        self._drawn = 0.0

    @contextmanager
    def away(self) -> Iterator[None]:
        """Make room for what is printed meanwhile."""
        text = self._text
        if text:
            self._show("")
        yield
        if text:
            self._show(text)

    def _show(self, text: str) -> None:
        self._text = text
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


class Progress:
    """Says on stderr what is going on, and in the work dir once there is one: in a log, and how far a task is."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._line = _Line()
        self._draws = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._to_file: logging.Handler | None = None
        self._live: Path | None = None
        self._recorded = 0.0
        _log.setLevel(logging.DEBUG)
        _log.propagate = False
        _log.handlers = [_ToConsole(self.console, self._line)]

    def log_to(self, folder: Path) -> None:
        """Keep the log and the live progress in this folder of a work dir."""
        if self._to_file is not None:
            return
        try:
            folder.mkdir(exist_ok=True)
            self._to_file = _ToFile(folder / "rsr.log")
        except OSError as error:
            self.warn(f"there is no log: {error.strerror or error}")
            return
        _log.addHandler(self._to_file)
        self._live = folder / LIVE_FILE

    def close(self) -> None:
        """The work has ended, well or not."""
        if self._to_file is not None:
            _log.removeHandler(self._to_file)
            self._to_file.close()
        if self._live is not None:
            with suppress(OSError):
                self._live.unlink(missing_ok=True)

    def log(self, message: str) -> None:
        """Into the log file only."""
        _log.debug(message)

    def say(self, message: str) -> None:
        _log.info(message)

    def warn(self, message: str) -> None:
        _log.warning(message)

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        task = Task(name, total)
        said = time.monotonic()

        def shown() -> None:
            nonlocal said
            now = time.monotonic()
            if self._live is not None and now - self._recorded > _SECONDS_BETWEEN_RECORDS:
                self._recorded = now
                write_live(self._live, task.live())
            if self._draws:
                self._line.draw(task)
            elif now - said > _SECONDS_BETWEEN_LINES:
                said = now
                self.say(task.line())

        task.shown = shown  # type: ignore[method-assign]
        try:
            yield task
        finally:
            self._line.clear()


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def significant(value: float) -> str:
    """A figure with two decimals, or with as many as its first two digits take."""
    if value == 0 or abs(value) >= 0.1:
        return f"{value:,.2f}"
    return f"{float(f'{value:.2g}'):.10f}".rstrip("0")


def _width() -> int:
    """The columns of the terminal on stderr."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    try:
        return os.get_terminal_size(2).columns or _COLUMNS
    except OSError:
        return _COLUMNS
