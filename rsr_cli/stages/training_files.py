"""Which of the files in `train/` are rsr's own: models, notes and data that people keep there are never touched."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from rsr_cli.errors import InputError, WorkDirError
from rsr_cli.stages.session import Session
from rsr_cli.storage.files import is_empty_folder
from rsr_cli.storage.interface import Storage
from rsr_cli.store import shards
from rsr_cli.store.ownership import is_own_file
from rsr_cli.store.work_dir import WorkDir

INPUT_KEY = "rsr.input"
"""In the footer of a training shard: the digest of all that its rows depend on."""


def training_shard(work_dir: WorkDir, name: str, shard: int) -> Storage:
    return work_dir.train / name / work_dir.data(shard).name


def require_own_names(session: Session) -> None:
    """WorkDirError where a formatter would write into a folder, or over a file, of somebody else's."""
    train, known = session.work_dir.train, _names(session)
    for index, name in enumerate(session.config.formatter_names()):
        folder, jsonl = train / name, train / f"{name}.jsonl"
        if name in known or any(map(_bears_mark, _shards_in(folder))):
            foreign = [path for path, is_folder in ((folder, True), (jsonl, False)) if _is_another(path, is_folder)]
        else:
            foreign = [path for path in (folder, jsonl) if path.lexists() and not is_empty_folder(path)]
        if foreign:
            raise WorkDirError(
                f"{foreign[0]} was not written by rsr: the formatter {name!r} would write in its place",
                f"move it away, or give the formatter another name: formatter.{index}.name",
            )


def _is_another(path: Storage, is_folder: bool) -> bool:
    """A link, or no such thing as rsr writes there."""
    return path.lexists() and (path.is_symlink() or not (path.is_dir() if is_folder else path.is_file()))


def left_over(session: Session) -> list[Storage]:
    """What formatters that are no longer in the config wrote, as far as it is as they wrote it."""
    work_dir, found = session.work_dir, []
    for name in sorted(_names(session) - set(session.config.formatter_names())):
        found += [path for path in _shards_in(work_dir.train / name) if is_own_shard(path)]
        jsonl = work_dir.train / f"{name}.jsonl"
        found += [jsonl] if is_own_file(work_dir, session.state, jsonl) else []
    return found


def remove_left_over(session: Session, gone: list[Storage]) -> None:
    """Remove these files, and their folders where nothing else lies in them."""
    for path in gone:
        path.remove()
        if path.name.endswith(".jsonl"):
            session.state.written[f"train/{path.name}"] = []  # the name stays rsr's own
    for folder in sorted({path.parent for path in gone} - {session.work_dir.train}, key=str):
        if not folder.remove_if_empty():
            session.progress.warn(f"{folder} holds files that rsr did not write: they stay")


def is_own_shard(path: Storage) -> bool:
    """A training shard that is as rsr wrote it."""
    return _bears_mark(path) and shards.damage(path) is None


def _names(session: Session) -> set[str]:
    """The formatters that have written here."""
    counted = session.state.stages["format"].counts.get("rows")
    written = (name for name in session.state.written if name.startswith("train/") and name.endswith(".jsonl"))
    return {name[len("train/") : -len(".jsonl")] for name in written} | set(
        counted if isinstance(counted, dict) else ()
    )


def _shards_in(folder: Storage) -> list[Storage]:
    return sorted(folder.glob("shard_*.parquet"), key=str)


def _bears_mark(path: Storage) -> bool:
    try:
        return INPUT_KEY in shards.footer(path)
    except WorkDirError:
        return False  # no Parquet at all


@dataclass(frozen=True)
class RowOrigin:
    """What a training row was made from."""

    shard: int
    id: str
    attempts: dict[str, int]
    """The attempts by what they are in the row; none where it holds all of its prompt."""


def training_row(work_dir: WorkDir, name: str, number: int) -> RowOrigin:
    """Return what a row, counted from 0 over all shards, was made from. InputError where there is none."""
    before = 0
    for shard in work_dir.shards():
        path = training_shard(work_dir, name, shard)
        count = shards.row_count(path)
        if number >= before + count:
            before += count
            continue
        kinds = {"attempt": "attempt", "chosen_attempt": "chosen", "rejected_attempt": "rejected"}
        columns = [field for field in shards.schema(path) if field.name in ("id", *kinds)]
        row = next(islice(shards.read_rows(path, pa.schema(columns)), number - before, None))
        if "id" not in row:
            raise InputError(f"the rows of {name} have no id", "a formatter of your own needs one to be traced back")
        return RowOrigin(shard, row["id"], {kinds[key]: row[key] for key in kinds if row.get(key) is not None})
    if before:
        raise InputError(f"train/{name} has {before} rows, the last is {name}:{before - 1}")
    known = sorted(path.name.removesuffix(".jsonl") for path in work_dir.train.glob("*.jsonl"))
    raise InputError(f"there are no rows of a formatter {name!r}", f"known: {', '.join(known)}" if known else None)
