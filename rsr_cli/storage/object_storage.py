"""A work dir in an object store: files are put whole, journals are folders of segments, the lock is a lease."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from re import Pattern
from tempfile import TemporaryDirectory
from typing import BinaryIO, ClassVar, Literal

from rsr_cli.storage import segments
from rsr_cli.storage.lease import has_holder, leased
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.storage.mirror import mirror_of, mirrored
from rsr_cli.storage.object_path import ObjectPath


class ObjectStorage(ObjectPath):
    flush_s: ClassVar[float] = 0.75
    """An attempt is to be kept within a second of its arrival, and every put costs money."""

    def absolute(self) -> ObjectStorage:
        return self

    def local_path(self) -> Path | None:
        return None

    def lexists(self) -> bool:
        return self.exists()

    def is_symlink(self) -> bool:
        return False

    def is_file(self) -> bool:
        entry = self.entry()
        return entry is not None and not entry.is_folder

    def stamp(self) -> tuple[int | str, ...] | None:
        entry = self.entry()
        return (entry.size, entry.stamp) if entry else None

    def refresh(self) -> None:
        self.store.look_again()

    def open(self, mode: Literal["rb"] = "rb", /) -> BinaryIO:
        return self.reader()

    def parquet_input(self, *, tail_only: bool = False) -> BinaryIO:
        return self.reader(tail_only=tail_only)

    @contextmanager
    def replacing(self) -> Iterator[LocalStorage]:
        with TemporaryDirectory(prefix="rsr-") as folder:
            temporary = LocalStorage(folder) / self.name
            yield temporary
            self.upload(temporary)

    def install(self, file: Path) -> None:
        self.upload(file)

    def renamed(self, name: str) -> ObjectStorage:
        target = self.parent / name
        self.copy(target)
        self.unlink()
        return target

    def remove(self) -> None:
        self.unlink(missing_ok=True)

    def remove_if_empty(self) -> bool:
        """A folder is there as long as something is in it."""
        return not self.exists()

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
        return self / path.relative_to(mirror_of(self).base).as_posix()

    def require_plain(self, files: set[str], folders: dict[str, Pattern[str]]) -> None:
        """There are no links in an object store."""
