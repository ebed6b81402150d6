"""A work dir for a notebook: its tables as Arrow, its groups one by one. Nothing is written, nothing is locked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from os import PathLike
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rsr_cli.storage.interface import Storage
from rsr_cli.storage.locate import locate
from rsr_cli.store import shards
from rsr_cli.store.groups import attempt_row, read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group, Verdict

_ROWS_AT_ONCE = 10_000
_SCORES = pa.schema([shards.SCORE.field(name) for name in ("id", "attempt", *(item.name for item in fields(Verdict)))])


def open_work_dir(path: str | PathLike[str]) -> Reader:
    """Return a reader of the work dir at `path`, a folder or a URL. Raises WorkDirError where it is none.

    ```python
    import rsr_cli

    w = rsr_cli.open("w")
    w.rollouts().group_by("finish_reason").aggregate([("attempt", "count")])
    for group in w.groups():
        print(group.prompt.id, [rollout.score for rollout in group.rollouts()])
    ```
    """
    work_dir = WorkDir(locate(str(path)))
    work_dir.load_state()
    return Reader(work_dir)


class Reader:
    """What a work dir holds now, the open journals of a run under way included."""

    def __init__(self, work_dir: WorkDir) -> None:
        self._work_dir = work_dir

    def prompts(self) -> pa.Table:
        """Return one row per prompt that is in the input: the columns of `data/`, and those of summary/prompts.parquet
        if there."""
        work_dir = self._work_dir
        data = pa.Table.from_batches(
            [batch for shard in work_dir.shards() for batch in _kept(work_dir.data(shard))], shards.DATA
        )
        path = work_dir.summary / "prompts.parquet"
        if not path.exists():
            return data
        rates = _table(shards.schema(path), [path])
        places = pc.index_in(data["id"], rates["id"])  # a join would lose the order of the data
        for name in rates.column_names[1:]:
            data = data.append_column(rates.field(name), rates[name].take(places))
        return data

    def rollouts(self) -> pa.Table:
        """Return one row per attempt, valid or not: the columns of `rollout/`."""
        return self._rows(shards.ROLLOUT, lambda group: map(attempt_row, group.attempts.values()))

    def scores(self) -> pa.Table:
        """Return one row per attempt that was scored: the columns of `score/`. Attempt -1 is the reference."""
        return self._rows(_SCORES, _score_rows)

    def groups(self) -> Iterator[Group]:
        """Yield the group of each prompt, in the order of the data, in bounded memory."""
        for shard in self._work_dir.shards():
            yield from read_groups(self._work_dir, shard)

    def _rows(self, schema: pa.Schema, rows: Callable[[Group], Iterable[Mapping[str, Any]]]) -> pa.Table:
        batches: list[pa.RecordBatch] = []
        waiting: list[Mapping[str, Any]] = []
        for group in self.groups():
            waiting += rows(group)
            if len(waiting) >= _ROWS_AT_ONCE:
                batches.append(pa.RecordBatch.from_pylist(waiting, schema))
                waiting = []
        return pa.Table.from_batches([*batches, pa.RecordBatch.from_pylist(waiting, schema)], schema)


def _kept(path: Storage) -> Iterator[pa.RecordBatch]:
    """The prompts of a data shard, without those that are left out."""
    placed = "left_out" in shards.columns(path)
    for batch in shards.read_batches(path, shards.DATA_PLACED.names if placed else shards.DATA.names):
        kept = batch.filter(pc.invert(pc.fill_null(batch["left_out"], False))) if placed else batch
        yield pa.RecordBatch.from_arrays([kept[name] for name in shards.DATA.names], schema=shards.DATA)


def _score_rows(group: Group) -> Iterator[dict[str, Any]]:
    for number, verdict in sorted(group.verdicts.items()):
        yield {"id": group.prompt.id, "attempt": number, **asdict(verdict)}


def _table(schema: pa.Schema, paths: Sequence[Storage]) -> pa.Table:
    return pa.Table.from_batches([batch for path in paths for batch in shards.read_batches(path, schema.names)], schema)
