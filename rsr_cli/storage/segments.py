"""The journal of an open shard where there is no append: a folder of small numbered objects, written once each.

They are read in the order of their numbers, as if they were one file. The first of them stands for the whole: it goes
first when a journal is removed, and what is left without it is no journal, for the Parquet file holds it already.
"""

from __future__ import annotations

import logging
from io import BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from rsr_cli.errors import RsrError, WorkDirError
from rsr_cli.storage.journal_lines import KEPT_BYTES, is_whole
from rsr_cli.storage.object_path import ObjectPath

log = logging.getLogger(__name__)

_FIRST = "00000001"
_AT_ONCE = 256


class Segments:
    """Writes the next segments of a journal."""

    def __init__(self, folder: ObjectPath) -> None:
        self._folder = folder
        if not there(folder):
            remove(folder)
        self._sizes = {name: entry.size for name, entry in folder.store.entries(folder.key).items() if name.isdigit()}
        self._last = max((int(name) for name in self._sizes), default=0)
        self._kept: dict[str, bytes] = {}
        """What was written last, in memory."""
        found = fetch(folder)
        with found or BytesIO() as file:
            self.lines = sum(map(is_whole, file))

    def write(self, lines: bytes) -> None:
        """Put whole lines as one segment; StorageError where the store does not take it."""
        if not lines:
            return
        self._last += 1
        name = f"{self._last:08d}"
        if not (self._folder / name).create(lines):
            raise WorkDirError(f"{self._folder / name} stands already: another process writes here", "stop one of them")
        self._sizes[name], self._kept[name] = len(lines), lines
        self.lines += lines.count(b"\n")
        while sum(map(len, self._kept.values())) > KEPT_BYTES and len(self._kept) > 1:
            del self._kept[next(iter(self._kept))]

    def verify(self) -> None:
        """Put again what somebody has removed; RsrError where that is no longer known."""
        found = self._folder.store.listed(self._folder.key)
        gone = [name for name, size in self._sizes.items() if name not in found or found[name].size != size]
        for name in gone:
            if name in self._kept:
                (self._folder / name).write_bytes(self._kept[name])
        told = f"{self._folder}: another process has removed or changed {len(gone)} segments of the journal"
        if lost := [name for name in gone if name not in self._kept]:
            for name in lost:
                del self._sizes[name]
            raise RsrError(f"{told}, {len(lost)} of them are lost", "rsr resume goes on with what is there")
        if gone:
            log.warning("%s: they are put there again", told)

    def close(self) -> None:
        """Nothing is held open."""


def there(folder: ObjectPath) -> bool:
    return (folder / _FIRST).exists()


def size(folder: ObjectPath) -> int:
    """Bytes of all segments."""
    entries = folder.store.entries(folder.key)
    return sum(entry.size for entry in entries.values()) if _FIRST in entries else 0


def fetch(folder: ObjectPath, *, only_first: bool = False) -> BinaryIO | None:
    """The segments as one file, which goes away when it is closed; None where there is no journal."""
    names = _names(folder)
    if not names or names[0] != _FIRST:
        return None
    if missing := int(names[-1]) - len(names):
        log.warning("%s lacks %d of its segments: what they held is asked again", folder, missing)
    file = cast(BinaryIO, TemporaryFile())  # noqa: SIM115 - the caller closes it
    wanted = names[:1] if only_first else names
    try:
        for start in range(0, len(wanted), _AT_ONCE):
            file.writelines(folder.read_all(wanted[start : start + _AT_ONCE]))
    except FileNotFoundError:
        file.close()
        return None  # removed meanwhile: its Parquet file is there
    file.seek(0)
    return file


def remove(folder: ObjectPath) -> None:
    """The first one first: a crash leaves a whole journal, or none."""
    if names := _names(folder):
        (folder / names[0]).unlink(missing_ok=True)
        folder.remove_all(names[1:])


def _names(folder: ObjectPath) -> list[str]:
    return sorted(name for name in folder.store.entries(folder.key) if name.isdigit())
