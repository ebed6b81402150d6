"""What each shard held when rsr last closed it, as `state.json` has it, against what is there now.

Rows only come, so fewer of them than were recorded is a loss. More are none: the process may have been killed after it
had closed a shard and before it had said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rsr_cli.storage.interface import Storage
from rsr_cli.store import shards
from rsr_cli.store.journal import read_journal
from rsr_cli.store.state import Closed, State
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.words import counted


@dataclass(frozen=True)
class Loss:
    """A file that lacks rows; `shard` is its number."""

    path: Storage
    shard: int
    recorded: int
    found: int | None
    """None where there is no such file."""

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.path} is missing: it held {counted(self.recorded, 'rows')}"
        return f"{self.path} holds {self.found} of the {self.recorded} rows that were recorded in it"


def told(losses: Sequence[Loss]) -> str:
    """The losses as lines, the first of them."""
    more = [f"and {len(losses) - 5} more such files"] if len(losses) > 5 else []
    return "\n  ".join([*map(str, losses[:5]), *more])


def note(state: State, path: Storage) -> None:
    """Keep what a shard holds that was just closed."""
    state.closed[_key(path)] = Closed(shards.row_count(path), shards.digest(path))


def note_rollouts(state: State, work_dir: WorkDir, shard: int) -> None:
    """The same of a rollout shard, whose journal is no more."""
    note(state, work_dir.rollout(shard))
    state.closed.pop(_key(work_dir.rollout_journal(shard)), None)


def note_journal(state: State, path: Storage, lines: int) -> None:
    """Keep how many lines a journal has that is left for a later run."""
    state.closed[_key(path)] = Closed(lines)


def forget_rollouts(state: State, work_dir: WorkDir, shard: int) -> None:
    """What a rollout shard is known to hold is what is there."""
    for path in (work_dir.rollout(shard), work_dir.rollout_journal(shard)):
        state.closed.pop(_key(path), None)
    state.stages["sample"].by_shard.pop(str(shard), None)


def is_as_written(state: State, path: Storage) -> bool:
    """A data shard is the one that prepare wrote; not known of one of version 0.1."""
    recorded = state.closed.get(_key(path))
    return path.exists() and (recorded is None or recorded.digest == shards.digest(path))


def rollout_losses(state: State, work_dir: WorkDir, numbers: list[int]) -> list[Loss]:
    """The rollout shards and journals among these shards that lack attempts."""
    found: list[Loss] = []
    for shard in numbers:
        path, journal = work_dir.rollout(shard), work_dir.rollout_journal(shard)
        before = state.closed.get(_key(path))
        counts = state.stages["sample"].by_shard.get(str(shard), {})
        lost = _loss(path, shard, before.rows if before else counts.get("attempts", 0))
        lines = _rows(state, journal)
        if lost:
            found.append(lost)
        elif lines and shards.digest(path) == (before.digest if before else ""):
            # Else it has been folded into the shard since.
            there = sum(1 for _ in read_journal(journal))
            if there < lines:
                found.append(Loss(journal, shard, lines, there or None))
    return found


def score_losses(state: State, work_dir: WorkDir, numbers: list[int]) -> list[Loss]:
    """The score shards among these that lack verdicts."""
    paths = ((shard, work_dir.score(shard)) for shard in numbers)
    losses = (_loss(path, shard, _rows(state, path)) for shard, path in paths)
    return [loss for loss in losses if loss]


def _loss(path: Storage, shard: int, recorded: Any) -> Loss | None:
    if not isinstance(recorded, int) or shards.row_count(path) >= recorded:
        return None
    return Loss(path, shard, recorded, shards.row_count(path) if path.exists() else None)


def _rows(state: State, path: Storage) -> int:
    recorded = state.closed.get(_key(path))
    return recorded.rows if recorded else 0


def _key(path: Storage) -> str:
    return f"{path.parent.name}/{path.name}"
