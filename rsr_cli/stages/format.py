"""format: scored groups into training files, one folder and one JSONL per formatter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from rsr_cli import registry
from rsr_cli.errors import PluginError, RsrError
from rsr_cli.scoring.build import verifier_fingerprint
from rsr_cli.stages.session import Session, StageResult, blaming, build_formatters, fingerprint
from rsr_cli.store import shards
from rsr_cli.store.files import replacing
from rsr_cli.store.groups import read_groups, score_mark
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Formatter, Group

_INPUT_KEY = "rsr.input"


def format_(session: Session) -> StageResult:
    """Write `train/` for every formatter whose options, code or input have changed."""
    config, work_dir = session.config, session.work_dir
    numbers = session.require_rollouts()
    formatters = build_formatters(config)
    marks = formatter_marks(session, numbers)
    todo = [name for name in formatters if not _is_written(work_dir, name, marks[name])]
    gone = _left_over(work_dir, set(formatters))
    record = session.state.stages["format"]
    if not todo and not gone and record.status == "done":
        return StageResult("format", skipped=True, counts=record.counts)
    _warn_of_unknown(session, numbers)
    with session.running("format", fingerprint(marks)) as result:
        for path in gone:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        total = sum(shards.row_count(work_dir.data(shard)) for shard in numbers) * len(todo)
        with session.progress.task("format", total) as task:
            for name in todo:
                for shard, mark in marks[name].items():
                    groups = read_groups(work_dir, shard)
                    try:
                        _write_shard(_shard_path(work_dir, name, shard), formatters[name], groups, mark)
                    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                        if isinstance(error, RsrError):
                            raise
                        raise PluginError(f"the formatter {name} made rows that Parquet can't hold: {error}") from error
                    task.advance(shards.row_count(work_dir.data(shard)), detail=name)
                _write_jsonl(work_dir, name, list(marks[name]))
        record.shards_done = numbers
        result.counts = {"rows": {name: _rows(work_dir, name, numbers) for name in formatters}}
        for name, count in result.counts["rows"].items():
            if not count:
                session.progress.warn(f"train/{name} holds no rows: no group has what that formatter asks for")
    return result


def formatter_marks(session: Session, numbers: list[int]) -> dict[str, dict[int, str]]:
    """Per formatter and shard, a digest of all that its rows depend on."""
    work_dir = session.work_dir
    inputs = {
        shard: [
            shards.digest(work_dir.data(shard)),
            work_dir.rollouts_digest(shard),
            work_dir.scores_digest(shard),
        ]
        for shard in numbers
    }
    marks: dict[str, dict[int, str]] = {}
    for name, item in zip(session.config.formatter_names(), session.config.formatter, strict=True):
        code = registry.code_digest("formatter", item.type)
        marks[name] = {shard: fingerprint([item.type, item.options, code, inputs[shard]]) for shard in numbers}
    return marks


def _is_written(work_dir: WorkDir, name: str, marks: dict[int, str]) -> bool:
    return (work_dir.train / f"{name}.jsonl").exists() and all(
        shards.footer(_shard_path(work_dir, name, shard)).get(_INPUT_KEY) == mark for shard, mark in marks.items()
    )


def _left_over(work_dir: WorkDir, names: set[str]) -> list[Path]:
    """What formatters that are no longer in the config wrote."""
    if not work_dir.train.is_dir():
        return []
    return [path for path in work_dir.train.iterdir() if path.name.removesuffix(".jsonl") not in names]


def _write_shard(path: Path, formatter: Formatter, groups: Iterator[Group], mark: str) -> None:
    schema: pa.Schema | None = getattr(formatter, "schema", None)
    rows = _formatted(formatter, groups)
    if schema is None:
        # A user's formatter need not say its columns: they are those of its rows.
        listed = list(rows)
        schema = pa.Table.from_pylist(listed).schema if listed else pa.schema([])
        rows = iter(listed)
    with shards.writing_shard(path, schema, {_INPUT_KEY: mark}) as writer:
        for row in rows:
            writer.write(row)


def _formatted(formatter: Formatter, groups: Iterator[Group]) -> Iterator[dict[str, Any]]:
    for group in groups:
        yield from blaming(formatter, formatter.format, group)


def _write_jsonl(work_dir: WorkDir, name: str, numbers: list[int]) -> None:
    with replacing(work_dir.train / f"{name}.jsonl") as temporary, temporary.open("wb") as file:
        for shard in numbers:
            path = _shard_path(work_dir, name, shard)
            schema = shards.schema(path)
            nested = [field.name for field in schema if (field.metadata or {}).get(b"rsr") == b"json"]
            for row in shards.read_rows(path, schema):
                for column in nested:
                    row[column] = json.loads(row[column])
                # The standard library takes what metadata may hold: whole numbers of any size, deep nests.
                file.write(
                    json.dumps(row, ensure_ascii=False).encode() + b"\n" if nested else orjson.dumps(row) + b"\n"
                )


def _rows(work_dir: WorkDir, name: str, numbers: list[int]) -> int:
    return sum(shards.row_count(_shard_path(work_dir, name, shard)) for shard in numbers)


def _shard_path(work_dir: WorkDir, name: str, shard: int) -> Path:
    return work_dir.train / name / work_dir.data(shard).name


def _warn_of_unknown(session: Session, numbers: list[int]) -> None:
    verifier = verifier_fingerprint(session.config)
    stale = [
        shard
        for shard in numbers
        if shards.footer(session.work_dir.score(shard)).get("rsr.mark") != score_mark(session.work_dir, shard, verifier)
    ]
    if stale:
        session.progress.warn(
            f"{len(stale)} of {len(numbers)} shards have no scores of the present verifier: run rsr verify first"
        )
