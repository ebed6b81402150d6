"""Files of a file system that are whole or not there: written beside their place, flushed to disk, renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import Self

from rsr_cli.errors import WorkDirError

_NOT_KNOWN = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems say that can't flush a folder (CIFS, 9p, vboxsf): they need not, or there is no way to."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalPath(PosixPath):
    """A path whose file is replaced atomically, and never written through a link."""

    __slots__ = ()

    def lexists(self) -> bool:
        return os.path.lexists(self)

    def require_regular(self) -> None:
        """Raise WorkDirError if it is a pipe or a device, which might block forever."""
        if self.exists() and not self.is_file():
            raise WorkDirError(f"{self} is not a file", "something else lies in its place: move it away")

    @contextmanager
    def replacing(self, *, durable: bool = True) -> Iterator[Self]:
        with self._named():
            temporary = self.new_temporary()
            try:
                yield temporary
                self.replace_by(temporary, durable=durable)
            finally:
                temporary.unlink(missing_ok=True)

    def new_temporary(self) -> Self:
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
