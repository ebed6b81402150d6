"""The part of a work dir in an object store that needs a file system: logs, what judges were answered, batches.

It lies in a temporary folder as long as the process writes. What the store holds of it is fetched when it is first
asked for, what changes is put there every few seconds and at the end.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from rsr_cli.errors import StorageError, WorkDirError
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.storage.object_path import ObjectPath

log = logging.getLogger(__name__)

_SECONDS = 5.0
_AT_THE_END = ".sqlite3"
"""A database that is open can't be copied."""
_UNFINISHED = (".tmp", "-wal", "-shm", "-journal")


@cache
def mirror_of(root: ObjectPath) -> Mirror:
    """The one of this process for the work dir at `root`."""
    return Mirror(root)


@contextmanager
def mirrored(root: ObjectPath) -> Iterator[None]:
    """What is in the mirror's folders is put into the store as long as the block runs; then they go away."""
    mirror = mirror_of(root)
    ended = threading.Event()

    def keep_up() -> None:
        while not ended.wait(_SECONDS):
            mirror.put()

    thread = threading.Thread(target=keep_up, name="rsr-mirror", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        mirror.put(with_databases=True)
        shutil.rmtree(mirror.base, ignore_errors=True)


class Mirror:
    def __init__(self, root: ObjectPath) -> None:
        self.base = LocalStorage(mkdtemp(prefix="rsr-"))
        self._root = root
        self._folders: list[str] = []
        self._known: dict[Path, tuple[int, int]] = {}
        """What the store has of each file: its size and the time it was changed, as they are here."""
        self._lock = threading.Lock()

    def folder(self, name: str) -> LocalStorage:
        """The folder of this name in the work dir, here."""
        with self._lock:
            if name not in self._folders:
                self._fetch(self._root / name, self.base / name)
                self._folders.append(name)
        return self.base / name

    def _fetch(self, source: ObjectPath, target: Path) -> None:
        target.mkdir()
        for name, entry in source.store.entries(source.key).items():
            if entry.is_folder:
                self._fetch(source / name, target / name)
            else:
                (source / name).download(target / name)
                self._known[target / name] = _stamp(target / name)

    def put(self, *, with_databases: bool = False) -> None:
        """Put what has changed; what the store does not take is tried again the next time."""
        with self._lock:
            for path in [path for name in self._folders for path in sorted((self.base / name).rglob("*"))]:
                if path.name.endswith(_UNFINISHED) or (path.name.endswith(_AT_THE_END) and not with_databases):
                    continue
                try:
                    if path.is_file() and self._known.get(path) != (stamp := _stamp(path)):
                        (self._root / path.relative_to(self.base).as_posix()).upload(path)
                        self._known[path] = stamp
                except FileNotFoundError:
                    continue  # removed meanwhile
                except (StorageError, WorkDirError) as error:
                    log.debug("%s is not in the store yet: %s", path.name, error.message)
                    return


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
