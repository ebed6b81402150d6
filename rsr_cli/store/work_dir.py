"""The work dir: where everything lies, who may write in it, and its groups read shard by shard."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rsr_cli.errors import WorkDirError
from rsr_cli.store import shards
from rsr_cli.store.journal import has_journal, journal_size
from rsr_cli.store.lease import has_holder, leased
from rsr_cli.store.locations import Location
from rsr_cli.store.mirror import mirror_of, mirrored
from rsr_cli.store.state import State

log = logging.getLogger(__name__)

LOCK = ".lock"
STAGING = ".staging"
UNLOCKED = "RSR_NO_LOCK"
"""Set to 1 in the environment, a work dir may lie in a file system that has no locks."""
_SHARD = re.compile(r"shard_(\d{4,})\.parquet")
_SHARD_PART = re.compile(r"\.?shard_\d{4,}\.(parquet|journal)(\.tmp)?")
_FILES = {"config.yaml", "state.json", LOCK}
_FOLDERS: dict[str, re.Pattern[str]] = {
    **dict.fromkeys(("data", "rollout", "score", STAGING), _SHARD_PART),
    "train": re.compile(r"(?!)"),  # what formatters may write there, format itself looks at
    "summary": re.compile(r"(stats|audit)\.json|prompts\.parquet|report\.html|audit_cases\.jsonl"),
    **dict.fromkeys(("cache", "batches", "logs"), re.compile("")),
}
"""The folders of a work dir, and the names in them that are rsr's."""
_LOCK_CONTENT = re.compile(rb"\d*\s*")
_WAIT_FOR_LOCK_S = 0.5
"""A reader that asks who writes holds the lock for an instant."""


@dataclass(frozen=True)
class WorkDir:
    root: Location

    def absolute(self) -> WorkDir:
        """The same, wherever the process that is handed it stands."""
        return WorkDir(self.root.absolute()) if isinstance(self.root, Path) else self

    def look_again(self) -> None:
        """Processes that work for this one have written here."""
        if not isinstance(self.root, Path):
            self.root.store.look_again()

    @property
    def config_path(self) -> Location:
        return self.root / "config.yaml"

    @property
    def state_path(self) -> Location:
        return self.root / "state.json"

    @property
    def train(self) -> Location:
        return self.root / "train"

    @property
    def summary(self) -> Location:
        return self.root / "summary"

    @property
    def logs(self) -> Path:
        return self._on_disk("logs")

    @property
    def cache(self) -> Path:
        """What judges were answered, by content."""
        return self._on_disk("cache")

    @property
    def batches(self) -> Path:
        """The files of requests and answers of a sampler that draws in batches."""
        return self._on_disk("batches")

    @property
    def staging(self) -> Path:
        """Where prepare writes until all of its input is known to be good."""
        return (self.root if isinstance(self.root, Path) else mirror_of(self.root).base) / STAGING

    def clear_staging(self) -> None:
        """Remove what prepare has left there, and nothing else; WorkDirError where more lies there."""
        if not self.staging.exists():
            return
        for path in self.staging.iterdir():
            if not _SHARD_PART.fullmatch(path.name) or path.is_dir():
                raise WorkDirError(f"{path} was not written by rsr", "move it away: the folder is rsr's own")
            path.unlink()
        self.staging.rmdir()

    def _on_disk(self, name: str) -> Path:
        """A folder that has to lie in a file system; of an object store it is mirrored there while somebody writes."""
        return self.root / name if isinstance(self.root, Path) else mirror_of(self.root).folder(name)

    def place(self, path: Path) -> Location:
        """Where a file of `logs`, `cache` or `batches` is found when nobody writes."""
        return path if isinstance(self.root, Path) else mirror_of(self.root).place(path)

    def data(self, shard: int) -> Location:
        return self.root / "data" / _name(shard)

    def rollout(self, shard: int) -> Location:
        return self.root / "rollout" / _name(shard)

    def score(self, shard: int) -> Location:
        return self.root / "score" / _name(shard)

    def rollout_journal(self, shard: int) -> Location:
        return self.rollout(shard).with_suffix(".journal")

    def score_journal(self, shard: int) -> Location:
        return self.score(shard).with_suffix(".journal")

    def shards(self) -> list[int]:
        """The numbers of the data shards that are there."""
        names = (path.name for path in (self.root / "data").glob("shard_*"))
        return sorted(int(match[1]) for name in names if (match := _SHARD.fullmatch(name)))

    def has_rollouts(self, shard: int) -> bool:
        return self.rollout(shard).exists() or has_journal(self.rollout_journal(shard))

    def is_open(self, shard: int) -> bool:
        return has_journal(self.rollout_journal(shard)) or has_journal(self.score_journal(shard))

    def open_shards(self) -> list[int]:
        """The data shards that have a journal."""
        journals = {path.name for name in ("rollout", "score") for path in (self.root / name).glob("*.journal")}
        return [
            shard for shard in self.shards() if self.rollout_journal(shard).name in journals and self.is_open(shard)
        ]

    def require_no_links(self) -> None:
        """WorkDirError where a part of it is a link, a pipe or a device: what is written there lands elsewhere, and
        what is read may never end. The work dir itself may be a link."""
        if not isinstance(self.root, Path) or not self.root.is_dir():
            return
        for name in _FILES:
            _require_kind(self.root / name, stat.S_ISREG, "file")
        for name, parts in _FOLDERS.items():
            folder = self.root / name
            _require_kind(folder, stat.S_ISDIR, "folder")
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    for entry in entries:
                        plain = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
                        if not plain and parts.match(entry.name):
                            _require_kind(Path(entry.path), stat.S_ISREG, "file")

    def load_state(self) -> State:
        self.require_no_links()
        if not self.state_path.exists():
            raise WorkDirError(f"{self.root} is not a work dir: it has no state.json", "rsr prepare makes one")
        return State.load(self.state_path)

    def require_own_shards(self, shard: int) -> None:
        """WorkDirError where one of the files of a shard was not written by rsr."""
        for path in (self.data(shard), self.rollout(shard), self.score(shard)):
            shards.require_own(path)

    def rollouts_digest(self, shard: int) -> str:
        """Changes whenever a shard's rollouts do, those in its journal included."""
        return f"{shards.digest(self.rollout(shard))}+{journal_size(self.rollout_journal(shard))}"

    def scores_digest(self, shard: int) -> str:
        return f"{shards.digest(self.score(shard))}+{journal_size(self.score_journal(shard))}"

    def has_writer(self) -> bool:
        """Some process is writing here now."""
        return _is_locked(self.root / LOCK) if isinstance(self.root, Path) else has_holder(self.root)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer of this work dir; WorkDirError with the other's pid where there is one.

        In a file system the lock is the kernel's: it goes with the process, however that ends. In an object store it
        is a lease: whoever loses it gets a WorkDirError from every write.
        """
        if isinstance(self.root, Path):
            with _locked(self.root):
                yield
        else:
            with leased(self.root), mirrored(self.root):
                yield

    def take_back(self, *, whole: bool) -> None:
        """Remove what its writer made that came to nothing, and nothing else that may lie there; `whole`: the folder
        too, where nothing is left in it."""
        self.clear_staging()
        self.state_path.unlink(missing_ok=True)
        if isinstance(self.root, Path):
            (self.root / LOCK).unlink(missing_ok=True)
            if whole and not any(self.root.iterdir()):
                self.root.rmdir()


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


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    path = root / LOCK
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    try:
        if not _LOCK_CONTENT.fullmatch(os.pread(descriptor, 200, 0)):
            raise WorkDirError(f"{path} was not written by rsr", "move it away: its name is wanted for the lock")
        _take_lock(descriptor, root)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, root: Path) -> None:
    """WorkDirError with the pid of the one that has it, and where the file system has no locks."""
    end = time.monotonic() + _WAIT_FOR_LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                raise WorkDirError(
                    f"{root} is in use by " + (f"the process with pid {holder}" if holder else "another process"),
                    "wait for it, or stop it with kill -INT",
                ) from None
            time.sleep(0.02)
        except OSError as error:
            if os.environ.get(UNLOCKED) == "1":
                log.warning("%s: no lock can be had here; nothing keeps a second rsr from writing too", root)
                return
            raise WorkDirError(
                f"{root} lies in a file system that gives no lock ({error.strerror}): "
                "two commands that write at once would go unnoticed",
                f"use a local disk or an object store (docs/object-storage.md); or set {UNLOCKED}=1, and see to it "
                "that only one command writes",
            ) from None


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.ELOOP):
            return False
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return _is_alive(os.pread(descriptor, 200, 0))  # no locks here: its pid is all there is to go by
    finally:
        os.close(descriptor)
    return False


def _is_alive(pid: bytes) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OSError, OverflowError):
        return False
    return True


def new_work_dir(parent: Path = Path("output")) -> WorkDir:
    """A fresh output/YYYYMMDD_HHMMSS, with a number behind it where that second is taken."""
    stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
    number = 1
    while True:
        root = parent / (stamp if number == 1 else f"{stamp}_{number}")
        try:
            root.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return WorkDir(root)


def _name(shard: int) -> str:
    return f"shard_{shard:04d}.parquet"
