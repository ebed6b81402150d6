"""A work dir in a file system: files are replaced by a rename, journals are appended, the lock is the kernel's."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from re import Pattern
from typing import BinaryIO, ClassVar

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.journal_file import JournalFile
from rsr_cli.storage.local_path import LocalPath
from rsr_cli.storage.lock import LOCK, is_locked, locked


class LocalStorage(LocalPath):
    __slots__ = ()
    flush_s: ClassVar[float] = 0.25
    """An attempt is to be kept within a second of its arrival."""

    def local_path(self) -> Path | None:
        return self.absolute()

    def stamp(self) -> tuple[int | str, ...] | None:
        try:
            found = self.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def refresh(self) -> None:
        """Nothing is kept."""

    def parquet_input(self, *, tail_only: bool = False) -> Path:
        self.require_regular()
        return self

    def renamed(self, name: str) -> LocalStorage:
        return self.rename(self.with_name(name))

    def remove_if_empty(self) -> bool:
        if self.is_dir() and not self.is_symlink() and not any(self.iterdir()):
            self.rmdir()
        return not self.exists()

    def append_journal(self) -> JournalFile:
        return JournalFile(self)

    def open_journal(self, *, only_first: bool = False) -> BinaryIO | None:
        self.require_regular()
        try:
            return self.open("rb")
        except FileNotFoundError:
            return None

    def has_journal(self) -> bool:
        return self.exists()

    def journal_size(self) -> int:
        try:
            return self.stat().st_size
        except FileNotFoundError:
            return 0

    def remove_journal(self) -> None:
        self.remove()

    def lock(self) -> AbstractContextManager[None]:
        """The lock is the kernel's: it goes with the process, however that ends."""
        return locked(self)

    def is_locked(self) -> bool:
        return is_locked(self / LOCK)

    def local_folder(self, name: str) -> LocalStorage:
        return self / name

    def scratch_folder(self, name: str) -> LocalStorage:
        return self / name

    def stored_at(self, path: Path) -> LocalStorage:
        return LocalStorage(path)

    def require_plain(self, files: set[str], folders: dict[str, Pattern[str]]) -> None:
        if not self.is_dir():
            return
        for name in files:
            _require_kind(self / name, stat.S_ISREG, "file")
        for name, parts in folders.items():
            folder = self / name
            _require_kind(folder, stat.S_ISDIR, "folder")
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    for entry in entries:
                        plain = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
                        if not plain and parts.match(entry.name):
                            _require_kind(Path(entry.path), stat.S_ISREG, "file")


def _require_kind(path: Path, is_kind: Callable[[int], bool], kind: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not is_kind(mode):
        found = "a link" if stat.S_ISLNK(mode) else f"no {kind}"
        raise WorkDirError(
            f"{path} is {found}: a part of a work dir has to be a plain {kind}",
            f"put the {kind} itself there, or move it away; the work dir as a whole may be a link",
        )
