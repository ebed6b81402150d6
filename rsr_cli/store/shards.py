"""Parquet shards: their columns, how they are written whole, how they are read in bounded memory."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.interface import Storage
from rsr_cli.words import counted

DATA = pa.schema([("id", pa.string()), ("messages", pa.string()), ("metadata", pa.string())])
DATA_PLACED = DATA.append(pa.field("left_out", pa.bool_()))
"""With prompts that are left out: those that have rollouts and are not in the input any more."""
DATA_ID = pa.schema([DATA.field("id")])
ROLLOUT = pa.schema(
    [
        ("id", pa.string()),
        ("attempt", pa.int32()),
        ("step", pa.int32()),
        ("step_size", pa.int32()),
        ("response", pa.string()),
        ("reasoning", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("model", pa.string()),
        ("params", pa.string()),
        ("seed", pa.int64()),
        ("error", pa.string()),
        ("latency_s", pa.float64()),
        ("source", pa.string()),
        ("tool_calls", pa.string()),
    ]
)
SCORE = pa.schema(
    [
        ("id", pa.string()),
        ("attempt", pa.int32()),
        ("score", pa.float64()),
        ("status", pa.string()),
        ("extracted_answer", pa.string()),
        ("explanation", pa.string()),
        ("details", pa.string()),
        ("response_digest", pa.int64()),
        ("group_digest", pa.int64()),
    ]
)
PROMPTS = pa.schema(
    [
        ("id", pa.string()),
        ("n_valid", pa.int32()),
        ("n_scored", pa.int32()),
        ("n_pass", pa.int32()),
        ("n_fail", pa.int32()),
        ("n_truncated", pa.int32()),
        ("n_error", pa.int32()),
        ("n_attempts", pa.int32()),
        ("pass_rate", pa.float64()),
        ("pass_rate_first_step", pa.float64()),
        ("end_reason", pa.string()),
        ("pass_rate_valid", pa.float64()),
        ("pass_rate_first_step_valid", pa.float64()),
        ("pass_rate_unbiased", pa.float64()),
        ("pass_rate_unbiased_from", pa.string()),
        ("pass_rate_mean", pa.float64()),
        ("pass_rate_low", pa.float64()),
        ("pass_rate_high", pa.float64()),
    ]
)

_BATCH_ROWS = 1024
_REQUIRED = {"id", "attempt", "messages", "metadata", "score", "status"}
_REQUIRED |= {"response", "reasoning", "finish_reason", "error", "extracted_answer"}
"""Columns of every version: without one of them a shard is damaged. Others are null where they are not there."""
_DIGEST_KEY = "rsr.digest"


class ShardWriter:
    """Writes rows to one Parquet file, a row group at a time, and takes a digest of what they say."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        # Neither zstd nor Parquet notices a flipped bit in most places: the checksum of every page does.
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self._inexact = [field.name for field in schema if not _keeps_its_values(field.type)]
        self._rows: list[Mapping[str, Any]] = []
        self._hash = hashlib.blake2b(digest_size=16)
        self.count = 0

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = {name: [row.get(name) for row in self._rows] for name in self._schema.names}
            table = pa.table(columns, schema=self._schema)
            self._hash.update(_digestible(columns | {name: table[name].to_pylist() for name in self._inexact}))
            self._writer.write_table(table)
            self._rows = []

    def close(self, metadata: Mapping[str, str]) -> str:
        """Finish the file with `metadata` in its footer; the digest of its rows."""
        self._flush()
        digest = self._hash.hexdigest()
        self._writer.add_key_value_metadata({_DIGEST_KEY: digest, **metadata})
        self._writer.close()
        return digest

    def abort(self) -> None:
        self._writer.close()


def _keeps_its_values(kind: pa.DataType) -> bool:
    """Values of this type are read back as they were given: a whole number in a column of floats is not."""
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _digestible(columns: Mapping[str, list[Any]]) -> bytes:
    return orjson.dumps(columns, option=orjson.OPT_SORT_KEYS, default=str)


@contextmanager
def writing_shard(path: Storage, schema: pa.Schema, metadata: Mapping[str, str] | None = None) -> Iterator[ShardWriter]:
    """A writer whose rows replace `path` when the block ends well."""
    require_own(path)
    with path.replacing() as temporary:
        writer = ShardWriter(temporary, schema)
        try:
            yield writer
        except BaseException:
            writer.abort()
            raise
        writer.close(metadata or {})


def require_own(path: Storage) -> None:
    """WorkDirError where a file stands in the place of a shard that rsr did not write."""
    if path.exists() and not digest(path):
        raise WorkDirError(f"{path} was not written by rsr", "move it away: its name is wanted for a shard")


def require_written(path: Storage, rows: int) -> None:
    """Read a shard that was just written, before what it was made from is removed: WorkDirError where it does not hold
    so many rows or a page fails its checksum."""
    with _reading(path) as file:
        found = sum(batch.num_rows for batch in file.iter_batches(batch_size=16 * _BATCH_ROWS))
    if found != rows:
        raise WorkDirError(
            f"{path} holds {counted(found, 'rows')}, not the {rows} that were written", "is the disk failing?"
        )


def read_rows(path: Storage, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    """The rows of a shard in order, with the columns of `schema`; nothing where there is no such file."""
    for row in read_tuples(path, schema):
        yield dict(zip(schema.names, row, strict=True))


def read_tuples(path: Storage, schema: pa.Schema) -> Iterator[tuple[Any, ...]]:
    """The rows of a shard in order, each in the order of `schema`; nothing where there is no such file."""
    if not path.exists():
        return
    with _reading(path) as file:
        there = set(file.schema_arrow.names)
        if missing := [name for name in schema.names if name not in there and name in _REQUIRED]:
            raise WorkDirError(f"{path} lacks the columns {', '.join(missing)}", _DAMAGED)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[n for n in schema.names if n in there]):
            # A column that came with a later version is null in older shards.
            yield from zip(*(batch[n].to_pylist() if n in there else repeat(None) for n in schema.names), strict=False)


def rows_of(path: Storage, schema: pa.Schema, prompt_id: str) -> list[tuple[Any, ...]]:
    """The rows of one prompt, each in the order of `schema`. Other columns than the id are read only of the row groups
    that hold it."""
    if not path.exists():
        return []
    rows: list[tuple[Any, ...]] = []
    with _reading(path) as file:
        there = set(file.schema_arrow.names)
        for place in range(file.num_row_groups):
            mask = pc.equal(file.read_row_group(place, columns=["id"])["id"], prompt_id)
            if pc.any(mask).as_py():
                table = file.read_row_group(place, columns=[n for n in schema.names if n in there]).filter(mask)
                columns = [table[n].to_pylist() if n in there else repeat(None) for n in schema.names]
                rows += zip(*columns, strict=False)
            elif rows:
                break  # rows of a prompt stand together
    return rows


def read_batches(path: Storage, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a shard as Arrow batches, with these columns; nothing where there is no such file."""
    if path.exists():
        with _reading(path) as file:
            yield from file.iter_batches(batch_size=16 * _BATCH_ROWS, columns=list(columns))


def row_count(path: Storage) -> int:
    return _footer(path).rows


def schema(path: Storage) -> pa.Schema:
    """The columns of a shard that stands."""
    with _reading(path, tail_only=True) as file:
        return file.schema_arrow


def footer(path: Storage) -> Mapping[str, str]:
    """The metadata that a shard was closed with, {} where there is no such file."""
    return _footer(path).metadata


def digest(path: Storage) -> str:
    """The digest of a shard's rows, empty where there is no such file."""
    return footer(path).get(_DIGEST_KEY, "")


def columns(path: Storage) -> frozenset[str]:
    """The names of a shard's columns, none where there is no such file."""
    return _footer(path).columns


def damage(path: Storage) -> str | None:
    """What is wrong with the content of a shard: pages that fail their checksum, rows that are not those of its digest;
    None where it is whole."""
    found = hashlib.blake2b(digest_size=16)
    try:
        with _reading(path) as file:
            for group in range(file.num_row_groups):
                found.update(_digestible(file.read_row_group(group).to_pydict()))
    except WorkDirError as error:
        return error.message.removeprefix(f"{path} ")
    except (pa.ArrowException, ValueError) as error:
        return f"can't be read: {str(error)[:200]}"
    return None if found.hexdigest() == digest(path) else "does not hold the rows that it was closed with"


@dataclass(frozen=True)
class _Footer:
    rows: int
    metadata: Mapping[str, str]
    columns: frozenset[str] = frozenset()


def _footer(path: Storage) -> _Footer:
    stamp = path.stamp()
    return _Footer(0, {}) if stamp is None else _read_footer(path, stamp)


@lru_cache(maxsize=4096)
def _read_footer(path: Storage, stamp: tuple[int | str, ...]) -> _Footer:
    """Kept as long as the file is the same: it is asked for over and over, and takes milliseconds to parse."""
    with _reading(path, tail_only=True) as file:
        pairs = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
        return _Footer(file.metadata.num_rows, pairs, frozenset(file.schema_arrow.names))


_DAMAGED = (
    "restore it from a backup; else move it away and run rsr resume, which makes it again (rollouts only with --redraw,"
    " since they are paid for again). rsr check lists all that is damaged"
)


@contextmanager
def _reading(path: Storage, *, tail_only: bool = False) -> Iterator[pq.ParquetFile]:
    try:
        source = path.parquet_input(tail_only=tail_only)
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EIO):
            raise  # no permission, too many open files: the file may well be whole
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise WorkDirError(f"{path} is damaged and can't be read: {reason}", _DAMAGED) from None


def combined(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]
