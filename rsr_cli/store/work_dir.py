"""The work dir: where everything lies, who may write in it, and its groups read shard by shard."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rsr_cli.errors import WorkDirError
from rsr_cli.store import shards
from rsr_cli.store.files import remove_folder
from rsr_cli.store.journal import has_journal, journal_size
from rsr_cli.store.lease import has_holder, leased
from rsr_cli.store.locations import Location
from rsr_cli.store.mirror import mirror_of, mirrored
from rsr_cli.store.state import State

_LOCK = ".lock"
_SHARD = re.compile(r"shard_(\d{4,})\.parquet")


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
        return (self.root if isinstance(self.root, Path) else mirror_of(self.root).base) / ".staging"

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

    def load_state(self) -> State:
        if not self.state_path.exists():
            raise WorkDirError(f"{self.root} is not a work dir: it has no state.json", "rsr prepare makes one")
        return State.load(self.state_path)

    def rollouts_digest(self, shard: int) -> str:
        """Changes whenever a shard's rollouts do, those in its journal included."""
        return f"{shards.digest(self.rollout(shard))}+{journal_size(self.rollout_journal(shard))}"

    def scores_digest(self, shard: int) -> str:
        return f"{shards.digest(self.score(shard))}+{journal_size(self.score_journal(shard))}"

    def has_writer(self) -> bool:
        """Some process is writing here now."""
        return _is_locked(self.root / _LOCK) if isinstance(self.root, Path) else has_holder(self.root)

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
        """Remove what its writer made that came to nothing, and nothing else that may lie there."""
        remove_folder(self.staging)
        if isinstance(self.root, Path):
            (self.root / _LOCK).unlink(missing_ok=True)
            if whole:
                self.root.rmdir()


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
            raise WorkDirError(
                f"{root} is in use by the process with pid {holder}", "wait for it, or stop it with kill -INT"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


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
