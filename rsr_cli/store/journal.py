"""The journal of an open shard: one checked line per record, appended and flushed to disk.

A line is the CRC-32 of its JSON in eight hex digits, a space, the JSON, a newline. A line that is torn or damaged is
no record: what it held is owed again, every other line counts.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from rsr_cli.store.files import sync_directory


class Journal:
    """Appends records: `append` buffers, `take` hands out what is buffered, `write` puts it on the disk.

    `append` and `take` may be called from different threads; `write` from one at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._buffer: list[bytes] = []
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        self._file = path.open("ab", buffering=0)
        if existed:
            # A torn last line would swallow the next record: cut it off.
            os.truncate(self._file.fileno(), _end_of_last_line(path))
        else:
            sync_directory(path.parent)

    def append(self, record: dict[str, Any]) -> None:
        line = encode(record)
        with self._lock:
            self._buffer.append(line)

    def take(self) -> bytes:
        with self._lock:
            lines, self._buffer = self._buffer, []
        return b"".join(lines)

    def write(self, lines: bytes) -> None:
        """Append whole lines and sync them; OSError where the disk does not take them."""
        if not lines:
            return
        block = memoryview(lines)
        end = self._file.seek(0, os.SEEK_END)
        try:
            while block:
                block = block[self._file.write(block) :]
        except OSError:
            os.truncate(self._file.fileno(), end)
            raise
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def encode(record: dict[str, Any]) -> bytes:
    body = orjson.dumps(record)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> dict[str, Any] | None:
    """The record in a line, None where the line is torn or damaged."""
    if len(line) < 11 or line[8:9] != b" " or line[-1:] != b"\n":
        return None
    body = line[9:-1]
    try:
        if zlib.crc32(body) != int(line[:8], 16):
            return None
        record = orjson.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each whole record with the offset of its line; nothing where there is no journal."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        offset = 0
        for line in file:
            record = decode(line)
            if record is not None:
                yield offset, record
            offset += len(line)


def _end_of_last_line(path: Path) -> int:
    """The size to which a journal is cut before it is appended to."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
    return end
