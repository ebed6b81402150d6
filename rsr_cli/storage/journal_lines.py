"""The lines of a journal: the CRC-32 of a record's JSON in eight hex digits, a space, the JSON, a newline."""

from __future__ import annotations

import zlib
from typing import Any

import orjson

KEPT_BYTES = 32 * 2**20
"""Of the lines that were written last to a journal, kept in memory to write them again."""


def encode(record: dict[str, Any]) -> bytes:
    body = orjson.dumps(record)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> dict[str, Any] | None:
    """The record in a line, None where the line is torn or damaged."""
    if not is_whole(line):
        return None
    try:
        record = orjson.loads(line[9:-1])
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def is_whole(line: bytes) -> bool:
    if len(line) < 11 or line[8:9] != b" " or line[-1:] != b"\n":
        return False
    try:
        return zlib.crc32(line[9:-1]) == int(line[:8], 16)
    except ValueError:
        return False


def checksum(line: bytes) -> int:
    """The one that a whole line bears."""
    return int(line[:8], 16)
