"""The work dir: where everything lies, who may write in it, and its groups read shard by shard."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.storage.lock import LOCK
from rsr_cli.store import shards
from rsr_cli.store.state import State

STAGING = ".staging"
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


@dataclass(frozen=True)
class WorkDir:
    root: Storage

    def absolute(self) -> WorkDir:
        """The same, wherever the process that is handed it stands."""
        return WorkDir(self.root.absolute())

    @property
    def config_path(self) -> Storage:
        return self.root / "config.yaml"

    @property
    def state_path(self) -> Storage:
        return self.root / "state.json"

    @property
    def train(self) -> Storage:
        return self.root / "train"

    @property
    def summary(self) -> Storage:
        return self.root / "summary"

    def logs(self) -> LocalStorage:
        return self.root.local_folder("logs")

    def cache(self) -> LocalStorage:
        """What judges were answered, by content."""
        return self.root.local_folder("cache")

    def batches(self) -> LocalStorage:
        """The files of requests and answers of a sampler that draws in batches."""
        return self.root.local_folder("batches")

    def staging(self) -> LocalStorage:
        """Where prepare writes until all of its input is known to be good."""
        return self.root.scratch_folder(STAGING)

    def clear_staging(self) -> None:
        """Remove what prepare has left there, and nothing else; WorkDirError where more lies there."""
        staging = self.staging()
        if not staging.exists():
            return
        for path in staging.iterdir():
            if not _SHARD_PART.fullmatch(path.name) or path.is_dir():
                raise WorkDirError(f"{path} was not written by rsr", "move it away: the folder is rsr's own")
            path.unlink()
        staging.rmdir()

    def data(self, shard: int) -> Storage:
        return self.root / "data" / _name(shard)

    def rollout(self, shard: int) -> Storage:
        return self.root / "rollout" / _name(shard)

    def score(self, shard: int) -> Storage:
        return self.root / "score" / _name(shard)

    def rollout_journal(self, shard: int) -> Storage:
        return self.rollout(shard).with_suffix(".journal")

    def score_journal(self, shard: int) -> Storage:
        return self.score(shard).with_suffix(".journal")

    def shards(self) -> list[int]:
        """The numbers of the data shards that are there."""
        names = (path.name for path in (self.root / "data").glob("shard_*"))
        return sorted(int(match[1]) for name in names if (match := _SHARD.fullmatch(name)))

    def has_rollouts(self, shard: int) -> bool:
        return self.rollout(shard).exists() or self.rollout_journal(shard).has_journal()

    def is_open(self, shard: int) -> bool:
        return self.rollout_journal(shard).has_journal() or self.score_journal(shard).has_journal()

    def open_shards(self) -> list[int]:
        """The data shards that have a journal."""
        journals = {path.name for name in ("rollout", "score") for path in (self.root / name).glob("*.journal")}
        return [
            shard for shard in self.shards() if self.rollout_journal(shard).name in journals and self.is_open(shard)
        ]

    def require_no_links(self) -> None:
        """WorkDirError where a part of it is a link, a pipe or a device: what is written there lands elsewhere, and
        what is read may never end. The work dir itself may be a link."""
        self.root.require_plain(_FILES, _FOLDERS)

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
        return f"{shards.digest(self.rollout(shard))}+{self.rollout_journal(shard).journal_size()}"

    def scores_digest(self, shard: int) -> str:
        return f"{shards.digest(self.score(shard))}+{self.score_journal(shard).journal_size()}"

    def take_back(self, *, whole: bool) -> None:
        """Remove what its writer made that came to nothing, and nothing else that may lie there; `whole`: the folder
        too, where nothing is left in it."""
        self.clear_staging()
        self.state_path.unlink(missing_ok=True)
        (self.root / LOCK).unlink(missing_ok=True)
        if whole:
            self.root.remove_if_empty()


def new_work_dir() -> WorkDir:
    """A fresh output/YYYYMMDD_HHMMSS, with a number behind it where that second is taken."""
    stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
    number = 1
    while True:
        root = LocalStorage("output") / (stamp if number == 1 else f"{stamp}_{number}")
        try:
            root.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return WorkDir(root)


def _name(shard: int) -> str:
    return f"shard_{shard:04d}.parquet"
