"""The journal of an open shard: one checked line per record, appended and flushed to disk.

A line that is torn or damaged is no record: what it held is owed again, every other line counts. On a disk it is one
file; an object store has the same lines in `segments`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rsr_cli.store import files, segments
from rsr_cli.store.journal_file import JournalFile
from rsr_cli.store.journal_lines import decode, encode
from rsr_cli.store.locations import Location


class Journal:
    """Appends records: `append` buffers, `take` hands out what is buffered, `write` puts it on the disk.

    `append` and `take` may be called from different threads; `write` from one at a time.
    """

    def __init__(self, path: Location) -> None:
        self._buffer: list[bytes] = []
        self._lock = threading.Lock()
        self._place = JournalFile(path) if isinstance(path, Path) else segments.Segments(path)

    def append(self, record: dict[str, Any]) -> None:
        line = encode(record)
        with self._lock:
            self._buffer.append(line)

    def take(self) -> bytes:
        with self._lock:
            lines, self._buffer = self._buffer, []
        return b"".join(lines)

    def write(self, lines: bytes) -> None:
        """Append whole lines and sync them; OSError where the disk does not take them, RsrError where lines that were
        written before are lost. With no lines just look whether they are."""
        self._place.write(lines)

    @property
    def lines(self) -> int:
        """How many it is to hold."""
        return self._place.lines

    def verify(self) -> int:
        """Compare what is there with what was written, and write again what is missing; how many lines there are.
        RsrError where some are lost."""
        self._place.verify()
        return self._place.lines

    def close(self) -> None:
        self._place.close()


def open_journal(path: Location, *, only_first: bool = False) -> BinaryIO | None:
    """The lines of a journal as they stand now, at least the first of them; None where there is no journal."""
    if not isinstance(path, Path):
        return segments.fetch(path, only_first=only_first)
    files.require_regular(path)
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def records(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each whole record with the offset of its line."""
    offset = 0
    for line in file:
        record = decode(line)
        if record is not None:
            yield offset, record
        offset += len(line)


def read_journal(path: Location) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a journal with their offsets; nothing where there is none."""
    file = open_journal(path)
    if file is not None:
        with file:
            yield from records(file)


def first_record(path: Location) -> dict[str, Any]:
    """The record that a journal begins with, {} where there is none."""
    file = open_journal(path, only_first=True)
    if file is None:
        return {}
    with file:
        _, record = next(records(file), (0, {}))
        return record


def has_journal(path: Location) -> bool:
    return path.exists() if isinstance(path, Path) else segments.there(path)


def journal_size(path: Location) -> int:
    """Bytes of its lines, 0 where there is no journal."""
    if not isinstance(path, Path):
        return segments.size(path)
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove_journal(path: Location) -> None:
    if isinstance(path, Path):
        files.remove(path)
    else:
        segments.remove(path)
