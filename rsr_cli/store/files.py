"""Files that are whole or not there: written beside their place, flushed to disk, renamed; or put in one go where a
work dir lies in an object store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rsr_cli.errors import WorkDirError
from rsr_cli.store.locations import Location


@contextmanager
def replacing(path: Location) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and is removed when it does not."""
    if not isinstance(path, Path):
        with TemporaryDirectory(prefix="rsr-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            path.upload(temporary)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


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
    path.parent.mkdir(exist_ok=True)
    file.replace(path)
    sync_directory(path.parent)


def remove(path: Location) -> None:
    path.unlink(missing_ok=True)
    if isinstance(path, Path) and path.parent.is_dir():
        sync_directory(path.parent)


def remove_folder(path: Location) -> None:
    """Remove a folder with all that lies in it; no error where there is none."""
    if isinstance(path, Path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.rmtree()


def sync_directory(directory: Path) -> None:
    """Make renames and removals in `directory` survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
