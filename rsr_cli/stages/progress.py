"""Progress of long work: a bar on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from rsr_cli.errors import printable

_SECONDS_BETWEEN_LINES = 10.0
_log = logging.getLogger("rsr_cli")


@dataclass
class Task:
    """One piece of long work. `detail` is said beside its count."""

    name: str
    total: int | None
    done: int = 0
    part: float = 0.0
    """What has been done of those that are not done yet."""
    detail: str = ""
    began: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1, detail: str | None = None) -> None:
        self.done += count
        if detail is not None:
            self.detail = detail
        self.shown()

    def shown(self) -> None:
        """Overwritten by the progress that shows it."""

    def line(self) -> str:
        seconds = time.monotonic() - self.began
        done = self.done + self.part
        rate = done / seconds if seconds else 0.0
        left = f", {duration((self.total - done) / rate)} left" if self.total and rate else ""
        of = f"/{self.total}" if self.total is not None else ""
        return f"{self.name}: {self.done}{of}{left}" + (f" · {self.detail}" if self.detail else "")


class _ToConsole(logging.Handler):
    """Says what is logged anywhere in rsr, without tearing a bar."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        head = "[yellow]warning:[/] " if record.levelno >= logging.WARNING else ""
        self._console.print(f"{head}{escape(printable(record.getMessage()))}", soft_wrap=True)


class Progress:
    """Says on stderr what is going on, and in a log file once there is a work dir."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._to_file: logging.Handler | None = None
        _log.setLevel(logging.DEBUG)
        _log.propagate = False
        _log.handlers = [_ToConsole(self.console)]

    def log_to(self, path: Path) -> None:
        if self._to_file is None:
            path.parent.mkdir(exist_ok=True)
            self._to_file = logging.FileHandler(path, encoding="utf-8")
            self._to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            _log.addHandler(self._to_file)

    def close(self) -> None:
        if self._to_file is not None:
            _log.removeHandler(self._to_file)
            self._to_file.close()

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
        if self.console.is_terminal:
            with Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}"),
                console=self.console,
                transient=True,
            ) as bars:
                bar = bars.add_task(name, total=total, detail="")
                task.shown = lambda: bars.update(bar, completed=task.done + task.part, detail=escape(task.detail))  # type: ignore[method-assign]
                yield task
        else:
            said = time.monotonic()

            def shown() -> None:
                nonlocal said
                if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
                    said = time.monotonic()
                    self.say(task.line())

            task.shown = shown  # type: ignore[method-assign]
            yield task


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
