"""Rows of input files: jsonl, json, parquet and csv, the .gz and .zst of them, and Hugging Face datasets."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from rsr_cli.errors import InputError
from rsr_cli.store.cells import column, plain, repeated_names

_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_JSON_COLUMNS = ("messages", "metadata")
_DELIMITERS = ",;\t|"
_BATCH_BYTES = 32 * 2**20
_BATCH_ROWS = 1024


class BadRow(str):
    """Stands in for a row that can't be read, and says why."""

    __slots__ = ()


Row = tuple[str, dict[str, Any] | BadRow]
"""Where a row stands (`file:line`, or `file row 3`) and the row."""


def read_input(path: str, columns: Collection[str] | None = None) -> Iterator[Row]:
    """The rows of an input file; InputError where it is missing, empty, or no file of its kind.

    Of a wide file no more than `columns` need be read, where it has them.
    """
    rows = _dataset_rows(path) if path.startswith("hf://") else _file_rows(Path(path).expanduser(), columns)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise InputError(f"the input {path} is empty: it holds no rows", "check data.input_path")


def input_file(path: str) -> Path:
    """The file with an input's content, to be read as often as needed: what comes through a pipe is copied once."""
    file = Path(path).expanduser()
    if file.is_fifo():
        return Path(_copied(file, file.stat().st_ino).name)
    if not file.is_file():
        what = "does not exist" if not file.exists() else "is a folder, not a file" if file.is_dir() else "is no file"
        raise InputError(f"the input {path} {what}", "check data.input_path")
    return file


@lru_cache(maxsize=64)
def _copied(pipe: Path, inode: int) -> IO[bytes]:
    """A copy that lives as long as this process."""
    copy = NamedTemporaryFile(prefix="rsr-input-")  # noqa: SIM115
    with pipe.open("rb") as source:
        shutil.copyfileobj(source, copy)
    copy.flush()
    return copy


def _file_rows(path: Path, columns: Collection[str] | None) -> Iterator[Row]:
    file = input_file(str(path))
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSION.get(suffixes[-1]) if suffixes else None
    kind = (suffixes[-2:-1] or [""])[0] if compression else (suffixes or [""])[-1]
    try:
        if not suffixes and path.is_relative_to("/dev"):  # a pipe, or stdin: it has no name to go by
            compression, kind = _sniffed(file)
        with pa.input_stream(str(file), compression=compression) as stream:
            if kind == ".parquet":
                yield from _parquet(path, stream, columns)
                return
            reader = {
                ".jsonl": _jsonl,
                ".ndjson": _jsonl,
                ".json": _json,
                ".csv": _csv,
                ".tsv": _csv,
            }.get(kind)
            if reader is None:
                raise InputError(
                    f"the input {path} is of no known kind", "jsonl, json, parquet, csv, tsv, and .gz or .zst of them"
                )
            text = io.BufferedReader(stream)
            _refuse_wide_text(path, text.peek(4)[:4])
            yield from reader(path, text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise InputError(
            f"the input {path} can't be read: {(str(error) or repr(error)).splitlines()[0][:200]}"
        ) from None


def _sniffed(file: Path) -> tuple[str | None, str]:
    """The compression and the kind of a file, by how it begins."""
    with file.open("rb") as raw:
        head = raw.read(4)
    compression = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    with pa.input_stream(str(file), compression=compression) as stream:
        start = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = ".parquet" if start.startswith(b"PAR1") else ".json" if start.startswith(b"[") else ".jsonl"
    return compression, kind if start.startswith((b"PAR1", b"[", b"{")) else ".csv"


def _refuse_wide_text(path: Path, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        raise InputError(
            f"the input {path} is UTF-16 or UTF-32 text, not UTF-8", "iconv -f UTF-16 -t UTF-8 converts it"
        )


def _jsonl(path: Path, stream: io.BufferedReader) -> Iterator[Row]:
    # Binary lines: a universal newline or U+2028 inside a text must not end a row.
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield f"{path}:{number}", _parsed(line)


def _json(path: Path, stream: io.BufferedReader) -> Iterator[Row]:
    document = _parsed(stream.read(), list)
    if isinstance(document, BadRow):
        raise InputError(f"the input {path} is no list of objects: {document}", "one object per line is .jsonl")
    for number, row in enumerate(document, 1):
        yield f"{path} row {number}", row if isinstance(row, dict) else BadRow(f"is a {type(row).__name__}, no object")


def _parsed(text: bytes | str, kind: type = dict) -> Any:
    """The JSON in `text`, a BadRow where it is not valid or not of `kind`. NaN and infinities are null."""
    try:
        value = json.loads(
            text.decode("utf-8-sig") if isinstance(text, bytes) else text,
            parse_constant=lambda name: None,
            parse_float=_finite,
            object_pairs_hook=_object,
        )
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate can be written nowhere
    except RecursionError:
        return BadRow("is nested too deep")
    except UnicodeDecodeError as error:
        return BadRow(f"is not valid UTF-8: {error}; iconv -f LATIN1 -t UTF-8 converts Latin-1")
    except UnicodeError as error:
        return BadRow(f"is not valid UTF-8: {error}")
    except ValueError as error:
        return BadRow(f"is not valid JSON: {error}")
    return value if isinstance(value, kind) else BadRow(f"is a {type(value).__name__}, not a {kind.__name__}")


def _finite(text: str) -> float | None:
    """A number; null where it is too large to be one."""
    number: float | None = plain(float(text))
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is given twice in {str(made)[:100]}")
    return made


def _parquet(path: Path, stream: pa.NativeFile, columns: Collection[str] | None) -> Iterator[Row]:
    source = stream if stream.seekable() else pa.BufferReader(stream.read())
    with pq.ParquetFile(source) as file:
        if twice := repeated_names(pa.struct(list(file.schema_arrow))):
            raise InputError(f"the input {path} has more than one column {twice[0]!r}", "rename one of them")
        there = file.schema_arrow.names
        # Where what is needed is missing, the error is to name what is there.
        wanted = list(columns) if columns and {"id", "messages"} <= set(there) else there
        number = 0
        for batch in file.iter_batches(_rows_at_once(file, wanted), columns=[name for name in there if name in wanted]):
            names = batch.schema.names
            for cells in zip(*(column(array) for array in batch.columns), strict=True):
                number += 1
                yield f"{path} row {number}", _json_columns(dict(zip(names, cells, strict=True)))


def _rows_at_once(file: pq.ParquetFile, wanted: Collection[str]) -> int:
    """How many rows are read together: their cells, which may be whole documents or pictures, are held in memory."""
    largest = 1
    for place in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(place)
        chunks = (group.column(index) for index in range(group.num_columns))
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] in wanted)
        largest = max(largest, size // max(group.num_rows, 1))
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // largest))


def _csv(path: Path, stream: io.BufferedReader) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    number = 0
    try:
        header = text.readline()
        before = 0
        if header.startswith("sep=") and len(header.strip()) <= len("sep=") + 1:  # a line for Excel
            delimiter, header, before = header[len("sep=")], text.readline(), 1
        else:
            # The one that tells the most columns apart; the comma where none does better.
            delimiter = max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
        reader = csv.DictReader(chain([header], text), delimiter=delimiter)
        names = list(reader.fieldnames or [])
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"the input {path} has more than one column {twice[0]!r}", "rename one of them")
        for row in reader:
            number = reader.line_num + before
            where = f"{path}:{number}"
            if None in row or None in row.values():
                yield where, BadRow(f"does not have the {len(names)} columns of the header: {', '.join(names)[:200]}")
            else:
                yield where, _json_columns(row)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, after line {number}: not valid UTF-8: {error}",
            "iconv -f LATIN1 -t UTF-8 converts Latin-1",
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}:{number + 1}: not valid CSV: {error}") from None


def _json_columns(row: dict[str, Any]) -> dict[str, Any] | BadRow:
    """A tabular row, its messages and metadata read from the JSON that a flat file holds them as; empty is absent."""
    for name in _JSON_COLUMNS:
        if isinstance(text := row.get(name), str):
            value = _parsed(text, object) if text.strip() else None
            if isinstance(value, BadRow):
                return BadRow(f"{name} {value}")
            row[name] = value
    return row


def _dataset_rows(path: str) -> Iterator[Row]:
    """`hf://owner/name?name=config&split=train`, read as a stream through `datasets`."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(f"{path} needs the package datasets", "pip install 'rsr-cli[hf]'") from None
    parts = urlsplit(path)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    split = query.pop("split", "train")
    try:
        dataset = load_dataset(f"{parts.netloc}{parts.path}", split=split, streaming=True, **query)
        for number, row in enumerate(dataset, 1):
            yield f"{path} row {number}", _json_columns({name: plain(value) for name, value in row.items()})
    except Exception as error:
        raise InputError(f"{path} can't be loaded: {type(error).__name__}: {str(error)[:300]}") from None
