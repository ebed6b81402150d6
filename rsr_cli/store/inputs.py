"""Rows of input files: jsonl, json, parquet and csv, the .gz and .zst of them, and Hugging Face datasets."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from rsr_cli.errors import InputError

_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_JSON_COLUMNS = ("messages", "metadata")


class BadRow(str):
    """Stands in for a row that can't be read, and says why."""

    __slots__ = ()


Row = tuple[str, dict[str, Any] | BadRow]
"""Where a row stands (`file:line`, or `file row 3`) and the row."""


def read_input(path: str) -> Iterator[Row]:
    """The rows of an input file; InputError where it is missing, empty, or no file of its kind."""
    if path.startswith("hf://"):
        rows = _dataset_rows(path)
    else:
        file = Path(path).expanduser()
        if not file.is_file():
            what = "is a folder, not a file" if file.is_dir() else "does not exist"
            raise InputError(f"the input {path} {what}", "check data.input_path")
        rows = _file_rows(file)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise InputError(f"the input {path} is empty: it holds no rows", "check data.input_path")


def _file_rows(path: Path) -> Iterator[Row]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSION.get(suffixes[-1]) if suffixes else None
    kind = (suffixes[-2:-1] or [""])[0] if compression else (suffixes or [""])[-1]
    reader = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".parquet": _parquet, ".csv": _csv}.get(kind)
    if reader is None:
        raise InputError(f"the input {path} is of no known kind", "jsonl, json, parquet, csv, and .gz or .zst of them")
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            yield from reader(path, stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"the input {path} can't be read: {str(error).splitlines()[0][:200]}") from None


def _jsonl(path: Path, stream: pa.NativeFile) -> Iterator[Row]:
    # Binary lines: a universal newline or U+2028 inside a text must not end a row.
    for number, line in enumerate(io.BufferedReader(stream), 1):
        if line.strip():
            yield f"{path}:{number}", _parsed(line)


def _json(path: Path, stream: pa.NativeFile) -> Iterator[Row]:
    document = _parsed(stream.read(), list)
    if isinstance(document, BadRow):
        raise InputError(f"the input {path} is no list of objects: {document}", "one object per line is .jsonl")
    for number, row in enumerate(document, 1):
        yield f"{path} row {number}", row if isinstance(row, dict) else BadRow(f"is a {type(row).__name__}, no object")


def _parsed(text: bytes, kind: type = dict) -> Any:
    """The JSON in `text`, a BadRow where it is not valid or not of `kind`."""
    try:
        value = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate can be written nowhere
    except RecursionError:
        return BadRow("is nested too deep")
    except UnicodeError as error:
        return BadRow(f"is not valid UTF-8: {error}")
    except ValueError as error:
        return BadRow(f"is not valid JSON: {error}")
    return value if isinstance(value, kind) else BadRow(f"is a {type(value).__name__}, not a {kind.__name__}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _parquet(path: Path, stream: pa.NativeFile) -> Iterator[Row]:
    source = stream if stream.seekable() else pa.BufferReader(stream.read())
    with pq.ParquetFile(source) as file:
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"{path} row {number}", _json_columns(row)


def _csv(path: Path, stream: pa.NativeFile) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    reader = csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                yield where, BadRow(f"has not the {len(reader.fieldnames or [])} columns of the header")
            else:
                yield where, _json_columns(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}:{reader.line_num + 1}: not valid CSV: {error}") from None


def _json_columns(row: dict[str, Any]) -> dict[str, Any] | BadRow:
    """A tabular row, its messages and metadata read from the JSON that a flat file holds them as."""
    for name in _JSON_COLUMNS:
        if isinstance(text := row.get(name), str):
            try:
                row[name] = json.loads(text, parse_constant=_refuse_constant)
            except ValueError as error:
                return BadRow(f"{name} is not valid JSON: {error}")
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """Parquet values as JSON has them: NaN is null, dates and numbers of other types are text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


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
            yield f"{path} row {number}", _json_columns(dict(row))
    except Exception as error:
        raise InputError(f"{path} can't be loaded: {type(error).__name__}: {str(error)[:300]}") from None
