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
from rsr_cli.store.state import State

_SHARD = re.compile(r"shard_(\d{4,})\.parquet")


@dataclass(frozen=True)
class WorkDir:
    root: Path

    @property
    def config_path(self) -> Path:
        return self.root / "config.yaml"

    @property
    def state_path(self) -> Path:
        return self.root / "state.json"

    @property
    def train(self) -> Path:
        return self.root / "train"

    @property
    def summary(self) -> Path:
        return self.root / "summary"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def cache(self) -> Path:
        """What judges were answered, by content."""
        return self.root / "cache"

    @property
    def lock_path(self) -> Path:
        return self.root / ".lock"

    @property
    def staging(self) -> Path:
        """Where prepare writes until all of its input is known to be good."""
        return self.root / ".staging"

    def data(self, shard: int) -> Path:
        return self.root / "data" / _name(shard)

    def rollout(self, shard: int) -> Path:
        return self.root / "rollout" / _name(shard)

    def score(self, shard: int) -> Path:
        return self.root / "score" / _name(shard)

    def rollout_journal(self, shard: int) -> Path:
        return self.rollout(shard).with_suffix(".journal")

    def score_journal(self, shard: int) -> Path:
        return self.score(shard).with_suffix(".journal")

    def shards(self) -> list[int]:
        """The numbers of the data shards that are there."""
        names = (path.name for path in (self.root / "data").glob("shard_*"))
        return sorted(int(match[1]) for name in names if (match := _SHARD.fullmatch(name)))

    def has_rollouts(self, shard: int) -> bool:
        return self.rollout(shard).exists() or self.rollout_journal(shard).exists()

    def is_open(self, shard: int) -> bool:
        return self.rollout_journal(shard).exists() or self.score_journal(shard).exists()

    def load_state(self) -> State:
        if not self.state_path.exists():
            raise WorkDirError(f"{self.root} is not a work dir: it has no state.json", "rsr prepare makes one")
        return State.load(self.state_path)

    def rollouts_digest(self, shard: int) -> str:
        """Changes whenever a shard's rollouts do, those in its journal included."""
        return f"{shards.digest(self.rollout(shard))}+{_size(self.rollout_journal(shard))}"

    def scores_digest(self, shard: int) -> str:
        return f"{shards.digest(self.score(shard))}+{_size(self.score_journal(shard))}"

    def has_writer(self) -> bool:
        """Some process is writing here now."""
        try:
            descriptor = os.open(self.lock_path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer of this work dir; WorkDirError with the other's pid where there is one.

        The lock is the kernel's: it goes with the process, however that ends.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
                raise WorkDirError(
                    f"{self.root} is in use by the process with pid {holder}", "wait for it, or stop it with kill -INT"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)


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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
