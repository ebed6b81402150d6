"""The journal of an open shard where there is no append: a folder of small numbered objects, written once each.

They are read in the order of their numbers, as if they were one file. The first of them stands for the whole: it goes
first when a journal is removed, and what is left without it is no journal, for the Parquet file holds it already.
"""

from __future__ import annotations

import logging
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from rsr_cli.errors import WorkDirError
from rsr_cli.store.locations import Remote

log = logging.getLogger(__name__)

_FIRST = "00000001"
_AT_ONCE = 256


class Segments:
    """Writes the next segments of a journal."""

    def __init__(self, folder: Remote) -> None:
        self._folder = folder
        if not there(folder):
            remove(folder)
        self._last = max((int(name) for name in _names(folder)), default=0)

    def write(self, lines: bytes) -> None:
        """Put whole lines as one segment; StorageError where the store does not take it."""
        self._last += 1
        segment = self._folder / f"{self._last:08d}"
        if not segment.create(lines):
            raise WorkDirError(f"{segment} stands already: another process writes here", "stop one of them")

    def close(self) -> None:
        """Nothing is held open."""


def there(folder: Remote) -> bool:
    return (folder / _FIRST).exists()


def size(folder: Remote) -> int:
    """Bytes of all segments."""
    entries = folder.store.entries(folder.key)
    return sum(entry.size for entry in entries.values()) if _FIRST in entries else 0


def fetch(folder: Remote, *, only_first: bool = False) -> BinaryIO | None:
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


def remove(folder: Remote) -> None:
    """The first one first: a crash leaves a whole journal, or none."""
    if names := _names(folder):
        (folder / names[0]).unlink(missing_ok=True)
        folder.remove_all(names[1:])


def _names(folder: Remote) -> list[str]:
    return sorted(name for name in folder.store.entries(folder.key) if name.isdigit())
