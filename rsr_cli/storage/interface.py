"""What rsr asks of the place of a work dir, whether that is a file system or an object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from re import Pattern
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from rsr_cli.storage.local_storage import LocalStorage


class JournalWriter(Protocol):
    """Appends checksummed lines and flushes them to where they survive a crash."""

    @property
    def lines(self) -> int:
        """How many whole lines the journal is to hold."""

    def write(self, lines: bytes) -> None:
        """Append whole lines and sync them. Raises OSError or StorageError if they can't be written, RsrError if lines
        written before are lost. With no lines only check for that."""

    def verify(self) -> None:
        """Compare the journal with what was written, and write again what is missing. Raises RsrError if some of it is
        lost."""

    def close(self) -> None: ...


class Storage(Protocol):
    """A file or folder, which need not exist. `storage / name` is the one of that name in it.

    A work dir is one, and so is each of its parts. The members that `pathlib.Path` has as well mean the same. Names are
    free of I/O; every method may raise OSError, and StorageError (one of it) if it lies in an object store.
    """

    flush_s: ClassVar[float]
    """How often to flush a journal, in seconds."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def parent(self) -> Storage: ...

    def __truediv__(self, name: str, /) -> Storage: ...

    def with_suffix(self, suffix: str) -> Storage: ...

    def absolute(self) -> Storage: ...

    def local_path(self) -> Path | None:
        """Return its absolute path if it lies in a file system, else None."""

    # What is there

    def exists(self) -> bool: ...

    def lexists(self) -> bool:
        """Like `exists`, and True for a link that leads nowhere."""

    def is_file(self) -> bool: ...

    def is_dir(self) -> bool: ...

    def is_symlink(self) -> bool: ...

    def iterdir(self) -> Iterator[Storage]: ...

    def glob(self, pattern: str) -> Iterator[Storage]: ...

    def stamp(self) -> tuple[int | str, ...] | None:
        """Return a value that changes with the content of the file, None if there is no file."""

    def refresh(self) -> None:
        """Forget what is known of the content: another process that works for this one has written here."""

    # Files, which are whole or not there

    def open(self, mode: Literal["rb"], /) -> BinaryIO: ...

    def read_bytes(self) -> bytes: ...

    def read_text(self, encoding: str) -> str: ...

    def parquet_input(self, *, tail_only: bool = False) -> Any:
        """Return what pyarrow reads the file from. `tail_only`: only its footer will be read. Raises WorkDirError if
        it is a pipe or a device, which might block forever."""

    def replacing(self) -> AbstractContextManager[LocalStorage]:
        """Yield a temporary path whose content atomically becomes that of the file when the block ends; it is removed
        if the block raises."""

    def install(self, file: Path) -> None:
        """Move a file that is whole to here; in a file system it has to be on the same one."""

    def remove(self) -> None:
        """Remove the file if there is one, for good: also after a loss of power."""

    def unlink(self, missing_ok: bool = False) -> None: ...

    def renamed(self, name: str) -> Storage:
        """Rename the file within its folder and return the new one."""

    def remove_if_empty(self) -> bool:
        """Remove the folder if nothing is in it; True if there is none afterwards."""

    # Journals: checksummed lines that are appended

    def append_journal(self) -> JournalWriter:
        """Create the journal, or go on with it."""

    def open_journal(self, *, only_first: bool = False) -> BinaryIO | None:
        """Open the lines as they are now, or at least (`only_first`) the first one; None if there is no journal."""

    def has_journal(self) -> bool: ...

    def journal_size(self) -> int:
        """Return the bytes of its lines, 0 if there is no journal."""

    def remove_journal(self) -> None: ...

    # The folder of a work dir

    def lock(self) -> AbstractContextManager[None]:
        """Be the one writer in this folder while the block runs. Raises WorkDirError that names the other one if there
        is one."""

    def is_locked(self) -> bool:
        """Some process is writing in this folder now."""

    def local_folder(self, name: str) -> LocalStorage:
        """Return the path of a folder in this one for what needs a file system. One of an object store is a temporary
        copy, which is put there as long as this process is the writer."""

    def scratch_folder(self, name: str) -> LocalStorage:
        """Return the path of such a folder for what is only temporary; it is never put into an object store."""

    def stored_at(self, path: Path) -> Storage:
        """Return where a file of a local folder is found when nobody writes."""

    def require_plain(self, files: set[str], folders: dict[str, Pattern[str]]) -> None:
        """Raise WorkDirError if one of these files or folders in this one, or an entry of a folder that has a name of
        its pattern, is a link, a pipe or a device."""
