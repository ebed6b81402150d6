"""The names in an object store that fsspec reaches, read and written one by one.

The library behind it is imported on first use. Credentials are its affair: they come from its environment and profiles,
and no URL has any.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self, cast

from rsr_cli.errors import StorageError
from rsr_cli.storage.object_store import PASSWORD, Entry, Guard, ObjectStore

_BLOCK_BYTES = 4 * 2**20
"""What is fetched at once of a file that is read from its beginning to its end."""


@dataclass(frozen=True)
class ObjectPath:
    """A name under a root in an object store, with what is asked of `pathlib.Path` under the same names. Every method
    may raise StorageError."""

    store: ObjectStore
    key: str

    def __str__(self) -> str:
        return f"{self.store.scheme}://{PASSWORD.sub('…@', '//' + self.key)[2:].partition('?')[0]}"

    def __truediv__(self, name: str, /) -> Self:
        return replace(self, key=f"{self.key}/{name}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes to another process with its guard, and connects anew there."""
        return _connected, (type(self), self.store.scheme, self.store.root, self.key, self.store.guard)

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> Self:
        return replace(self, key=self.key.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> Self:
        return replace(self, key=str(PurePosixPath(self.key).with_suffix(suffix)))

    def unguarded(self) -> Self:
        """Return the same as one who does not hold the lease sees it."""
        return replace(self, store=ObjectStore(self.store.scheme, self.store.root))

    def exists(self) -> bool:
        if self.key == self.store.root:
            return self.is_dir()
        return self.name in self.store.entries(self.parent.key)

    def is_dir(self) -> bool:
        return bool(self.store.entries(self.key))

    def iterdir(self) -> Iterator[Self]:
        return (self / name for name in sorted(self.store.entries(self.key)))

    def glob(self, pattern: str) -> Iterator[Self]:
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def entry(self) -> Entry | None:
        return self.store.entries(self.parent.key).get(self.name)

    def reader(self, *, tail_only: bool = False) -> BinaryIO:
        """In large steps from the beginning on, or (`tail_only`) just the parts that are asked for."""
        with self.store.telling(self.key):
            caching = {"cache_type": "none"} if tail_only else {"block_size": _BLOCK_BYTES, "cache_type": "readahead"}
            return cast(BinaryIO, _Reader(self, self.store.fs.open(self.key, "rb", **caching)))

    def read_bytes(self) -> bytes:
        with self.store.telling(self.key):
            return cast(bytes, self.store.fs.cat_file(self.key))

    def read_all(self, names: list[str]) -> list[bytes]:
        """The contents of these files of the folder, fetched side by side."""
        with self.store.telling(self.key):
            return list(self.store.fs.cat([f"{self.key}/{name}" for name in names]).values())

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def download(self, file: Path) -> None:
        with self.store.telling(self.key):
            self.store.fs.get_file(self.key, str(file))

    def modified(self) -> datetime:
        """When it was written, by the clock of the store."""
        with self.store.telling(self.key):
            return cast(datetime, self.store.fs.modified(self.key))

    def write_bytes(self, content: bytes) -> None:
        """Put the whole of it in one go."""
        self.store.check()
        with self._writing():
            self.store.fs.pipe_file(self.key, content)
        self.store.wrote(self.key, len(content))

    def upload(self, file: Path) -> None:
        self.store.check()
        with self._writing():
            self.store.fs.put_file(str(file), self.key)
        self.store.wrote(self.key, file.stat().st_size)

    def create(self, content: bytes) -> bool:
        """Put it where nothing stands yet; False where another content does."""
        self.store.check()
        try:
            with self._writing():
                self.store.fs.pipe_file(self.key, content, mode="create")
        except (FileExistsError, StorageError) as error:
            # Also where a first try has arrived and its answer was lost, or a store words its refusal in its own way.
            try:
                standing = self.read_bytes()
            except FileNotFoundError:
                raise error from None
            if standing != content:
                return False
        self.store.wrote(self.key, len(content))
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        self.store.check()
        try:
            with self.store.telling(self.key):
                self.store.fs.rm_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise
        self.store.removed(self.key)

    def remove_all(self, names: list[str]) -> None:
        """Remove these files of the folder in this order, many at once."""
        for start in range(0, len(names), 1000):
            self.store.check()
            with self.store.telling(self.key):
                self.store.fs.rm([f"{self.key}/{name}" for name in names[start : start + 1000]])
        self.store.removed(self.key)

    def rmtree(self) -> None:
        """Remove all that lies under it; no error where nothing does."""
        self.store.check()
        with suppress(FileNotFoundError), self.store.telling(self.key):
            self.store.fs.rm(self.key, recursive=True)
        self.store.removed(self.key)

    def copy(self, target: ObjectPath) -> None:
        """Copy it within the store."""
        entry = self.entry()
        target.store.check()
        with self.store.telling(self.key):
            self.store.fs.cp_file(self.key, target.key)
        target.store.wrote(target.key, entry.size if entry else 0)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self.store.telling(self.key):
                yield
        except FileNotFoundError:
            raise StorageError(
                f"{self} can't be written: there is no such bucket", "make it, or name another"
            ) from None


class _Reader(io.RawIOBase):
    """A file that is read, whose errors are told as those of the store."""

    def __init__(self, path: ObjectPath, file: Any) -> None:
        self._path = path
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        with self._path.store.telling(self._path.key):
            return cast(bytes, self._file.read(-1 if size is None else size))

    def seek(self, offset: int, whence: int = 0) -> int:
        return cast(int, self._file.seek(offset, whence))

    def tell(self) -> int:
        return cast(int, self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def _connected(kind: type[ObjectPath], scheme: str, root: str, key: str, guard: Guard | None) -> ObjectPath:
    return kind(_unguarded(scheme, root) if guard is None else ObjectStore(scheme, root, guard), key)


@cache
def _unguarded(scheme: str, root: str) -> ObjectStore:
    """The one of this process that a guard looks through: it is asked before every write."""
    return ObjectStore(scheme, root)
