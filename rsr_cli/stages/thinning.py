"""`max_rows` and `quota`: which rows of all shards stay, once it is known how many there are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from rsr_cli.formatters.base import ScoredFormatter
from rsr_cli.stages.training_files import INPUT_KEY, training_shard
from rsr_cli.store import shards
from rsr_cli.store.work_dir import WorkDir

Place = tuple[int, int]
"""A shard, and a row in it."""


def is_thinned(formatter: object) -> TypeGuard[ScoredFormatter]:
    """Return whether how many rows a shard keeps depends on the others."""
    return isinstance(formatter, ScoredFormatter) and (formatter.max_rows is not None or formatter.quota is not None)


def thin(work_dir: WorkDir, name: str, formatter: ScoredFormatter, numbers: list[int]) -> list[str]:
    """Take out of these shards what is above `max_rows` and the quota; return what has not come to its number."""
    places = list(_in_turn(_rows(work_dir, name, formatter, numbers)))
    kept, got = _within_quota(formatter, places)
    missing = []
    if formatter.quota is not None:
        missing = [
            f"{value}: {got[value]} of {most}" for value, most in formatter.quota.rows.items() if got[value] < most
        ]
    elif formatter.max_rows is not None and len(kept) < formatter.max_rows:
        missing = [f"{len(kept)} of {formatter.max_rows}"]
    if len(kept) < len(places):
        of_shard: dict[int, set[int]] = {number: set() for number in numbers}
        for number, row in kept:
            of_shard[number].add(row)
        for number, rows in of_shard.items():
            _keep(work_dir, name, number, rows)
    return missing


def _rows(
    work_dir: WorkDir, name: str, formatter: ScoredFormatter, numbers: list[int]
) -> Iterator[tuple[Place, str, str | None]]:
    """Yield the place of each row, its prompt and the value of its quota field."""
    field = formatter.quota.field if formatter.quota else None
    for number in numbers:
        row = 0
        for batch in shards.read_batches(training_shard(work_dir, name, number), ["id", *([field] if field else [])]):
            values = batch.column(1).to_pylist() if field else [None] * batch.num_rows
            for prompt, value in zip(batch.column(0).to_pylist(), values, strict=True):
                yield (number, row), prompt, value
                row += 1


def _in_turn(rows: Iterable[tuple[Place, str, str | None]]) -> list[tuple[Place, str | None]]:
    """Return the rows in the order in which they are taken: of every prompt its first, then its second, and so on; the
    prompts in an order that looks random and is the same in every run."""
    nth: Counter[str] = Counter()
    ordered = []
    for place, prompt, value in rows:
        digest = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[:8]
        ordered.append((nth[prompt], digest, place, value))
        nth[prompt] += 1
    return [(place, value) for _, _, place, value in sorted(ordered, key=lambda item: item[:3])]


def _within_quota(
    formatter: ScoredFormatter, places: list[tuple[Place, str | None]]
) -> tuple[set[Place], Counter[str | None]]:
    """Return the rows that stay, and how many there are of each value."""
    kept: set[Place] = set()
    got: Counter[str | None] = Counter()
    for place, value in places:
        if formatter.max_rows is not None and len(kept) >= formatter.max_rows:
            break
        if formatter.quota is None or got[value] < formatter.quota.rows.get(value or "", 0):
            kept.add(place)
            got[value] += 1
    return kept, got


def _keep(work_dir: WorkDir, name: str, number: int, kept: set[int]) -> None:
    path = training_shard(work_dir, name, number)
    schema, mark = shards.schema(path), shards.footer(path)[INPUT_KEY]
    rows = [row for place, row in enumerate(shards.read_rows(path, schema)) if place in kept]
    with shards.writing_shard(path, schema, {INPUT_KEY: mark}) as writer:
        for row in rows:
            writer.write(row)
