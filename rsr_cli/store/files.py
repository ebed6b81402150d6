"""Files that are whole or not there: written beside their place, flushed to disk, renamed; or put in one go where a
work dir lies in an object store."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from rsr_cli.errors import WorkDirError
from rsr_cli.store.locations import Location

_NOT_KNOWN = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems say that can't flush a folder (CIFS, 9p, vboxsf): they need not, or there is no way to."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: Location) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and is removed when it does not."""
    if not isinstance(path, Path):
        with TemporaryDirectory(prefix="rsr-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            path.upload(temporary)
        return
    temporary = path.with_name(f".{path.name}.tmp")
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # What a kill has left goes. A link in its place is removed, and never followed.
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """That the disk is full comes without a name, from wherever it was noticed: it is this file that has no room."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def require_regular(path: Path) -> None:
    """WorkDirError where a pipe or a device lies in the place of a file: it might be waited for without end."""
    if path.exists() and not path.is_file():
        raise WorkDirError(f"{path} is not a file", "something else lies in its place: move it away")


def write_text(path: Location, text: str) -> None:
    if not isinstance(path, Path):
        path.write_bytes(text.encode())
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def install(file: Path, path: Location) -> None:
    """Move a file that is whole to its place; on a disk it is to be on the same one."""
    if not isinstance(path, Path):
        path.upload(file)
        return
    with _naming(path):
        path.parent.mkdir(exist_ok=True)
        file.replace(path)
        sync_directory(path.parent)


def remove(path: Location) -> None:
    path.unlink(missing_ok=True)
    if isinstance(path, Path) and path.parent.is_dir():
        sync_directory(path.parent)


def lexists(path: Location) -> bool:
    """Something has this name, be it a link that leads nowhere."""
    return os.path.lexists(path) if isinstance(path, Path) else path.exists()


def is_empty_folder(path: Location) -> bool:
    return path.is_dir() and not any(path.iterdir()) and not (isinstance(path, Path) and path.is_symlink())


def digest_of(path: Location) -> str | None:
    """A digest of a file's content; None where there is no file, empty where something else lies in its place."""
    if isinstance(path, Path):
        if not lexists(path):
            return None
        if path.is_symlink() or not path.is_file():
            return ""
    elif not path.exists():
        return None
    with path.open("rb") as file:
        found = hashlib.sha256()
        while block := file.read(2**20):
            found.update(block)
        return found.hexdigest()[:32]


def set_aside(path: Location) -> Location:
    """Rename a file to the first of NAME.kept, NAME.kept2, … that is free; the new path."""
    for number in count(1):
        kept = path.parent / f"{path.name}.kept{number if number > 1 else ''}"
        if not lexists(kept):
            path.rename(kept)  # type: ignore[arg-type]
            return kept
    raise AssertionError


def sync_directory(directory: Path) -> None:
    """Make renames and removals in `directory` survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_KNOWN:
            raise
    finally:
        os.close(descriptor)
