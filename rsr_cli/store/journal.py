"""The journal of an open shard: one checked line per record, appended and flushed to disk.

A line that is torn or damaged is no record: what it held is owed again, every other line counts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

from rsr_cli.storage.interface import Storage
from rsr_cli.storage.journal_lines import decode, encode


class Journal:
    """Appends records: `append` buffers, `take` hands out what is buffered, `write` puts it on the disk.

    `append` and `take` may be called from different threads; `write` from one at a time.
    """

    def __init__(self, path: Storage) -> None:
        self._buffer: list[bytes] = []
        self._lock = threading.Lock()
        self._place = path.append_journal()

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


def records(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each whole record with the offset of its line."""
    offset = 0
    for line in file:
        record = decode(line)
        if record is not None:
            yield offset, record
        offset += len(line)


def read_journal(path: Storage) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a journal with their offsets; nothing where there is none."""
    file = path.open_journal()
    if file is not None:
        with file:
            yield from records(file)


def first_record(path: Storage) -> dict[str, Any]:
    """The record that a journal begins with, {} where there is none."""
    file = path.open_journal(only_first=True)
    if file is None:
        return {}
    with file:
        _, record = next(records(file), (0, {}))
        return record
