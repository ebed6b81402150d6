"""Files and folders of an object store that fsspec reaches: each object is put whole, in one go.

The library behind it is imported on first use. Credentials are its affair: they come from its environment and profiles,
and no URL has any.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from re import Pattern
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, ClassVar, Literal, cast

from rsr_cli.errors import StorageError
from rsr_cli.storage import segments
from rsr_cli.storage.lease import has_holder, leased
from rsr_cli.storage.local import LocalStorage
from rsr_cli.storage.mirror import mirror_of, mirrored
from rsr_cli.storage.object_store import PASSWORD, Entry, Guard, ObjectStore

_BLOCK_BYTES = 4 * 2**20
"""What is fetched at once of a file that is read from its beginning to its end."""


@dataclass(frozen=True)
class ObjectStorage:
    """A name under a root in an object store. Every method may raise StorageError."""

    store: ObjectStore
    key: str
    flush_s: ClassVar[float] = 0.75
    """An attempt is to be kept within a second of its arrival, and every put costs money."""

    def __str__(self) -> str:
        return f"{self.store.scheme}://{PASSWORD.sub('…@', '//' + self.key)[2:].partition('?')[0]}"

    def __truediv__(self, name: str) -> ObjectStorage:
        return ObjectStorage(self.store, f"{self.key}/{name}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes to another process with its guard, and connects anew there."""
        return _connected, (self.store.scheme, self.store.root, self.key, self.store.guard)

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> ObjectStorage:
        return ObjectStorage(self.store, self.key.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> ObjectStorage:
        return ObjectStorage(self.store, str(PurePosixPath(self.key).with_suffix(suffix)))

    def absolute(self) -> ObjectStorage:
        return self

    def local_path(self) -> Path | None:
        return None

    def unguarded(self) -> ObjectStorage:
        """Return the same as one who does not hold the lease sees it."""
        return ObjectStorage(ObjectStore(self.store.scheme, self.store.root), self.key)

    def exists(self) -> bool:
        if self.key == self.store.root:
            return self.is_dir()
        return self.name in self.store.entries(self.parent.key)

    def lexists(self) -> bool:
        return self.exists()

    def is_symlink(self) -> bool:
        return False

    def is_file(self) -> bool:
        entry = self._entry()
        return entry is not None and not entry.is_folder

    def is_dir(self) -> bool:
        return bool(self.store.entries(self.key))

    def iterdir(self) -> Iterator[ObjectStorage]:
        return (self / name for name in sorted(self.store.entries(self.key)))

    def glob(self, pattern: str) -> Iterator[ObjectStorage]:
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def stamp(self) -> tuple[int | str, ...] | None:
        entry = self._entry()
        return (entry.size, entry.stamp) if entry else None

    def _entry(self) -> Entry | None:
        return self.store.entries(self.parent.key).get(self.name)

    def refresh(self) -> None:
        self.store.look_again()

    def open(self, mode: Literal["rb"] = "rb", /) -> BinaryIO:
        return self.parquet_input()

    def parquet_input(self, *, tail_only: bool = False) -> BinaryIO:
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

    @contextmanager
    def replacing(self) -> Iterator[LocalStorage]:
        with TemporaryDirectory(prefix="rsr-") as folder:
            temporary = LocalStorage(folder) / self.name
            yield temporary
            self.upload(temporary)

    def install(self, file: Path) -> None:
        self.upload(file)

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

    def renamed(self, name: str) -> ObjectStorage:
        """Copied within the store, then removed here."""
        target, entry = self.parent / name, self._entry()
        target.store.check()
        with self.store.telling(self.key):
            self.store.fs.cp_file(self.key, target.key)
        target.store.wrote(target.key, entry.size if entry else 0)
        self.unlink()
        return target

    def unlink(self, missing_ok: bool = False) -> None:
        self.store.check()
        try:
            with self.store.telling(self.key):
                self.store.fs.rm_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise
        self.store.removed(self.key)

    def remove(self) -> None:
        self.unlink(missing_ok=True)

    def remove_if_empty(self) -> bool:
        """A folder is there as long as something is in it."""
        return not self.exists()

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

    def append_journal(self) -> segments.Segments:
        return segments.Segments(self)

    def open_journal(self, *, only_first: bool = False) -> BinaryIO | None:
        return segments.fetch(self, only_first=only_first)

    def has_journal(self) -> bool:
        return segments.there(self)

    def journal_size(self) -> int:
        return segments.size(self)

    def remove_journal(self) -> None:
        segments.remove(self)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The lock is a lease: whoever loses it gets a WorkDirError from every write."""
        with leased(self), mirrored(self):
            yield

    def is_locked(self) -> bool:
        return has_holder(self)

    def local_folder(self, name: str) -> LocalStorage:
        return mirror_of(self).folder(name)

    def scratch_folder(self, name: str) -> LocalStorage:
        return mirror_of(self).base / name

    def stored_at(self, path: Path) -> ObjectStorage:
        return mirror_of(self).place(path)

    def require_plain(self, files: set[str], folders: dict[str, Pattern[str]]) -> None:
        """There are no links in an object store."""

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

    def __init__(self, path: ObjectStorage, file: Any) -> None:
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


def _connected(scheme: str, root: str, key: str, guard: Guard | None) -> ObjectStorage:
    return ObjectStorage(_unguarded(scheme, root) if guard is None else ObjectStore(scheme, root, guard), key)


@cache
def _unguarded(scheme: str, root: str) -> ObjectStore:
    """The one of this process that a guard looks through: it is asked before every write."""
    return ObjectStore(scheme, root)
