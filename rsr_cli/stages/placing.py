"""Where prompts go when the input of a work dir with rollouts has changed: those that are here keep their places.

A pilot may grow into the whole data set, in whatever order that has them, and a prompt may be taken out of the input:
its place and its rollouts stay, and it is left out of everything else until it comes back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store import shards
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.words import counted


def place_prompts(work_dir: WorkDir, staged: int, size: int, limit: int | None) -> tuple[int, int]:
    """Give the prompts in the staging folder, in `staged` shards, the places of those that have rollouts here; how many
    shards there are then, and how many prompts were left out.

    WorkDirError where a prompt with rollouts is another one now, or most of them are gone.
    """
    fixed = [shard for shard in work_dir.shards() if work_dir.has_rollouts(shard)]
    old = sum(shards.row_count(work_dir.data(shard)) for shard in fixed)
    if limit is not None and limit < old and (kept := _kept(work_dir, fixed)) > limit:
        raise WorkDirError(
            f"data.limit={limit} is less than the {counted(kept, 'prompts')} that have rollouts here: "
            "a limit can only grow",
            "set it to more, or use a new work dir",
        )
    if all(_is_in_place(work_dir, shard) for shard in fixed):
        return staged, 0
    # Without a name it is a temporary file, and goes away with its connection.
    with closing(sqlite3.connect("")) as database:
        database.execute("CREATE TABLE new (id TEXT PRIMARY KEY, place INTEGER, messages TEXT, metadata TEXT)")
        for shard in range(staged):
            path = _staged(work_dir, shard)
            rows = enumerate(shards.read_tuples(path, shards.DATA), start=shard << 32)
            database.executemany("INSERT INTO new VALUES (?, ?, ?, ?)", ((r[0], n, r[1], r[2]) for n, r in rows))
            path.unlink()
        written, gone = _write(work_dir, database, fixed, size)
    if 2 * len(gone) > old:
        raise WorkDirError(
            f"{len(gone)} of the {counted(old, 'prompts')} that have rollouts here are not in the input any more, "
            f"such as {gone[0]!r}",
            "is it another data set? Then use a new work dir. Otherwise restore the prompts",
        )
    return written, len(gone)


def _write(work_dir: WorkDir, database: sqlite3.Connection, fixed: list[int], size: int) -> tuple[int, list[str]]:
    """Write the staging folder again; how many shards, and the ids of the prompts that are not in the input."""
    gone: list[str] = []
    database.execute("CREATE TABLE here (id TEXT PRIMARY KEY)")
    for shard in fixed:
        ids = shards.read_tuples(work_dir.data(shard), shards.DATA_ID)
        database.executemany("INSERT INTO here VALUES (?)", ids)
    fresh = iter(
        database.execute("SELECT id, messages, metadata FROM new WHERE id NOT IN (SELECT id FROM here) ORDER BY place")
    )
    following = next(fresh, None)
    shard = 0
    while shard <= max(fixed) or following is not None:
        rows = list(_placed(work_dir, database, shard, gone)) if shard in fixed else []
        schema = shards.DATA_PLACED if any("left_out" in row for row in rows) else shards.DATA
        with shards.writing_shard(_staged(work_dir, shard), schema) as writer:
            for row in rows:
                writer.write(row)
            while following is not None and writer.count < size:
                prompt_id, messages, metadata = following
                writer.write({"id": prompt_id, "messages": messages, "metadata": metadata})
                following = next(fresh, None)
        shard += 1
    return shard, gone


def _placed(work_dir: WorkDir, database: sqlite3.Connection, shard: int, gone: list[str]) -> Iterator[dict[str, Any]]:
    """The prompts of a shard as they are in the input now; those that are not there any more are left out."""
    for prompt_id, messages, metadata, _ in shards.read_tuples(work_dir.data(shard), shards.DATA_PLACED):
        found = database.execute("SELECT messages, metadata FROM new WHERE id = ?", (prompt_id,)).fetchone()
        if found is None:
            gone.append(prompt_id)
            yield {"id": prompt_id, "messages": messages, "metadata": metadata, "left_out": True}
        elif json.loads(found[0]) != json.loads(messages):
            raise WorkDirError(
                f"the input or its transform has changed: the prompt {prompt_id!r} has rollouts here and is another "
                "one now",
                "use a new work dir, or another id for what is another prompt (metadata may change)",
            )
        else:
            yield {"id": prompt_id, "messages": found[0], "metadata": found[1]}


def _is_in_place(work_dir: WorkDir, shard: int) -> bool:
    """The prompts of a shard are in the same places of the staged one, where more may follow."""
    new = shards.read_tuples(_staged(work_dir, shard), shards.DATA)
    for old in shards.read_tuples(work_dir.data(shard), shards.DATA_PLACED):
        match = next(new, None)
        if match is None or old[3] or match[0] != old[0] or json.loads(match[1]) != json.loads(old[1]):
            return False
    return True


def _kept(work_dir: WorkDir, fixed: list[int]) -> int:
    """The prompts of these shards that are not left out."""
    return sum(not row[3] for shard in fixed for row in shards.read_tuples(work_dir.data(shard), shards.DATA_PLACED))


def _staged(work_dir: WorkDir, shard: int) -> LocalStorage:
    return work_dir.staging() / work_dir.data(shard).name
