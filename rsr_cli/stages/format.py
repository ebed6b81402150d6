"""format: scored groups into training files, one folder and one JSONL per formatter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import orjson
import pyarrow as pa

from rsr_cli import fingerprints
from rsr_cli.errors import PluginError, RsrError
from rsr_cli.formatters.messages import Seen
from rsr_cli.plan import Plan
from rsr_cli.plugins.boundary import boundary
from rsr_cli.stages.beside_rows import pair_lengths, write_beside_rows
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.stages.thinning import is_thinned, thin
from rsr_cli.stages.training_files import (
    INPUT_KEY,
    is_own_shard,
    left_over,
    remove_left_over,
    require_own_names,
    training_shard,
)
from rsr_cli.stages.training_rows import checked_row, columns_of, one_line, unify_columns
from rsr_cli.stages.writable import common_tools, fitted, refuse_unwritable, seen_in_rollouts
from rsr_cli.storage.interface import Storage
from rsr_cli.store import shards
from rsr_cli.store.groups import read_groups, score_mark
from rsr_cli.store.ownership import keep_if_foreign, replacing_own
from rsr_cli.store.work_dir import WorkDir


def format_(session: Session) -> StageResult:
    """Write `train/` for every formatter whose options, code or input have changed."""
    plan, work_dir = session.plan, session.work_dir
    numbers = session.require_rollouts(scored=True)
    require_own_names(session)
    seen = seen_in_rollouts(work_dir, numbers)
    refuse_unwritable(plan, seen)
    formatters = plan.formatters
    marks = fingerprints.of_training_rows(plan, work_dir, numbers, [seen.to_json(), common_tools(plan)])
    for name in filter(lambda name: is_thinned(formatters[name]), formatters):
        # A shard's rows depend on those of all shards.
        marks[name] = dict.fromkeys(numbers, fingerprints.digest(marks[name]))
    stale = {name: [n for n in numbers if not _is_written(work_dir, name, n, marks[name][n])] for name in formatters}
    record = session.state.stages["format"]
    # A format that was cut off leaves a JSONL that is not that of its shards.
    todo = [
        name
        for name in formatters
        if stale[name] or record.status != "done" or not (work_dir.train / f"{name}.jsonl").exists()
    ]
    gone = left_over(session)
    if not todo and not gone and record.status == "done":
        return session.up_to_date("format")
    _warn_of_unknown(session, numbers)
    with session.running("format", fingerprints.digest(marks)) as result:
        for name in todo:
            session.state.written.setdefault(f"train/{name}.jsonl", [])
        session.save_state()
        remove_left_over(session, gone)
        _write_shards(session, seen, {n: {name: marks[name][n] for name in todo if n in stale[name]} for n in numbers})
        for name in todo:
            if formatters[name].schema is None:
                with _blaming_rows(name):
                    unify_columns([training_shard(work_dir, name, number) for number in numbers])
            if is_thinned(item := formatters[name]) and (missing := thin(work_dir, name, item, numbers)):
                session.progress.warn(f"train/{name} has fewer rows than it may: {', '.join(missing)}")
            _write_jsonl(session, name, numbers)
        record.shards_done = numbers
        result.counts = {"rows": {name: _rows(work_dir, name, numbers) for name in formatters}}
        write_beside_rows(session, numbers, result.counts["rows"])
        result.notes += pair_lengths(session, numbers, formatters)
        for name, count in result.counts["rows"].items():
            if not count:
                session.progress.warn(f"train/{name} holds no rows: no group has what that formatter asks for")
    return result


def _write_shards(session: Session, seen: Seen, marks: dict[int, dict[str, str]]) -> None:
    """Write the training shards that are named here, by shard and formatter, with their marks."""
    work_dir, due = session.work_dir, [(number, names) for number, names in marks.items() if names]
    prompts = sum(shards.row_count(work_dir.data(number)) for number, _ in due)
    rows = sum(shards.row_count(work_dir.rollout(number)) for number, _ in due)
    with session.progress.task("format", prompts) as task:
        work = partial(format_shard, work_dir.absolute(), session.plan, seen)
        for count in session.over_shards(work, due, rows=rows):
            task.advance(count)


def format_shard(work_dir: WorkDir, plan: Plan, seen: Seen, of_shard: tuple[int, dict[str, str]]) -> int:
    """Write the training rows of a shard for the formatters that have a mark in it; how many prompts it holds. The
    columns are those that the messages of all shards need.

    Depends on the files of the work dir alone, so that any process may do it.
    """
    shard, marks = of_shard
    formatters = {name: item for name, item in fitted(plan, seen).items() if name in marks}
    with ExitStack() as stack:
        writes = {}
        for name, item in formatters.items():
            stack.enter_context(_blaming_rows(name))
            path, schema = training_shard(work_dir, name, shard), item.schema
            writes[name] = stack.enter_context(_writing(path, schema, marks[name]))
        for group in map(plan.filtering.kept, read_groups(work_dir, shard)):
            for name, item in formatters.items():
                with _blaming_rows(name):
                    with boundary("formatter", item, f"the prompt {group.prompt.id!r}"):
                        rows = item.format(group)
                    for row in rows:
                        writes[name](checked_row(row))
    return shards.row_count(work_dir.data(shard))


def _is_written(work_dir: WorkDir, name: str, shard: int, mark: str) -> bool:
    return shards.footer(training_shard(work_dir, name, shard)).get(INPUT_KEY) == mark


@contextmanager
def _writing(path: Storage, schema: pa.Schema | None, mark: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Takes the training rows of a shard one by one; they stand in `path` when the block ends well."""
    keep_if_foreign(path, own=not path.lexists() or is_own_shard(path))
    if schema is not None:
        with shards.writing_shard(path, schema, {INPUT_KEY: mark}) as writer:
            yield writer.write
        return
    # A user's formatter need not say its columns: they are those of its rows.
    rows: list[dict[str, Any]] = []
    yield rows.append
    with shards.writing_shard(path, columns_of(rows), {INPUT_KEY: mark}) as writer:
        for row in rows:
            writer.write(row)


@contextmanager
def _blaming_rows(name: str) -> Iterator[None]:
    """Rows that Parquet can't hold are the formatter's fault."""
    try:
        yield
    except RsrError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise PluginError(f"the formatter {name} made rows that Parquet can't hold: {error}") from error


def _write_jsonl(session: Session, name: str, numbers: list[int]) -> None:
    work_dir = session.work_dir
    path = work_dir.train / f"{name}.jsonl"
    with replacing_own(work_dir, session.state, path) as temporary, temporary.open("wb") as file:
        for shard in numbers:
            path = training_shard(work_dir, name, shard)
            schema = shards.schema(path)
            nested = [field.name for field in schema if (field.metadata or {}).get(b"rsr") == b"json"]
            for row in shards.read_rows(path, schema):
                for column in nested:
                    row[column] = json.loads(row[column])
                # The standard library takes what metadata may hold: whole numbers of any size, deep nests.
                line = json.dumps(row, ensure_ascii=False).encode() if nested else orjson.dumps(row)
                file.write(one_line(line) + b"\n")


def _rows(work_dir: WorkDir, name: str, numbers: list[int]) -> int:
    return sum(shards.row_count(training_shard(work_dir, name, shard)) for shard in numbers)


def _warn_of_unknown(session: Session, numbers: list[int]) -> None:
    verifier = fingerprints.of_verifier(session.plan)
    stale = [
        shard
        for shard in numbers
        if shards.footer(session.work_dir.score(shard)).get("rsr.mark") != score_mark(session.work_dir, shard, verifier)
    ]
    if stale:
        session.progress.warn(
            f"{len(stale)} of {len(numbers)} shards have no scores of the present verifier: run rsr verify first"
        )
