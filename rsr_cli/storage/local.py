"""Files and folders of a file system: flushed to disk, replaced by a rename, never written or locked through a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PosixPath
from re import Pattern
from typing import BinaryIO, ClassVar

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.journal_file import JournalFile
from rsr_cli.storage.lock import LOCK, is_locked, locked

_NOT_KNOWN = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems say that can't flush a folder (CIFS, 9p, vboxsf): they need not, or there is no way to."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalStorage(PosixPath):
    """A path with the members of `Storage` that `pathlib` lacks."""

    __slots__ = ()
    flush_s: ClassVar[float] = 0.25
    """An attempt is to be kept within a second of its arrival."""

    def local_path(self) -> Path | None:
        return self.absolute()

    def lexists(self) -> bool:
        return os.path.lexists(self)

    def stamp(self) -> tuple[int | str, ...] | None:
        try:
            found = self.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def refresh(self) -> None:
        """Nothing is kept."""

    def require_regular(self) -> None:
        """Raise WorkDirError if it is a pipe or a device, which might block forever."""
        if self.exists() and not self.is_file():
            raise WorkDirError(f"{self} is not a file", "something else lies in its place: move it away")

    def parquet_input(self, *, tail_only: bool = False) -> Path:
        self.require_regular()
        return self

    @contextmanager
    def replacing(self, *, durable: bool = True) -> Iterator[LocalStorage]:
        with self._named():
            temporary = self.new_temporary()
            try:
                yield temporary
                self.replace_by(temporary, durable=durable)
            finally:
                temporary.unlink(missing_ok=True)

    def new_temporary(self) -> LocalStorage:
        """Create an empty file beside this one, for its next content."""
        temporary = self.with_name(f".{self.name}.tmp")
        self.parent.mkdir(parents=True, exist_ok=True)
        # What a kill has left goes. A link in its place is removed, and never followed.
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        return temporary

    def replace_by(self, temporary: Path, *, durable: bool = True) -> None:
        """Make `temporary` the file; `durable`: so that it survives a loss of power."""
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(self)
        if durable:
            self.parent.sync_entries()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the file in an error that the disk is full, which has no name wherever it was noticed."""
        try:
            yield
        except OSError as error:
            if error.filename is not None or error.errno not in _FULL:
                raise
            raise OSError(error.errno, os.strerror(error.errno), str(self)) from error

    def install(self, file: Path) -> None:
        with self._named():
            self.parent.mkdir(exist_ok=True)
            file.replace(self)
            self.parent.sync_entries()

    def remove(self) -> None:
        self.unlink(missing_ok=True)
        if self.parent.is_dir():
            self.parent.sync_entries()

    def renamed(self, name: str) -> LocalStorage:
        return self.rename(self.with_name(name))

    def remove_if_empty(self) -> bool:
        if self.is_dir() and not self.is_symlink() and not any(self.iterdir()):
            self.rmdir()
        return not self.exists()

    def sync_entries(self) -> None:
        """Make renames and removals in the folder survive a loss of power."""
        descriptor = os.open(self, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NOT_KNOWN:
                raise
        finally:
            os.close(descriptor)

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
