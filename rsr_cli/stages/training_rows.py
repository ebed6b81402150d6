"""Rows that formatters make, as files can hold them, and columns for the rows of a formatter that names none."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from rsr_cli.stages.training_files import INPUT_KEY
from rsr_cli.storage.interface import Storage
from rsr_cli.store import shards
from rsr_cli.store.cells import whole_text

_LINE_ENDS = {"\u2028": b"\\u2028", "\u2029": b"\\u2029", "\x85": b"\\u0085"}


def checked_row(row: Any) -> dict[str, Any]:
    """A row with half a surrogate pair replaced in its texts: a model may write one as an escape, and no file takes it.
    TypeError where it is no object."""
    if not isinstance(row, dict):
        raise TypeError(f"a row is a {type(row).__name__}, not a dict")
    found: dict[str, Any] = whole_text(row)
    return found


def columns_of(rows: list[dict[str, Any]]) -> pa.Schema:
    """The columns of rows: the keys of all of them, in the order in which they first come."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.schema([(name, pa.array([row.get(name) for row in rows]).type) for name in names])


def unify_columns(paths: list[Storage]) -> None:
    """Give shards that were written one by one the same columns, so that they can be read as one: a whole number in one
    and a fraction in another are both numbers with a fraction. ArrowTypeError where they have nothing in common."""
    schemas = {path: shards.schema(path) for path in paths}
    common = pa.unify_schemas(list(schemas.values()), promote_options="permissive")
    for path, schema in schemas.items():
        if schema != common:
            rows = list(shards.read_rows(path, schema))
            with shards.writing_shard(path, common, {INPUT_KEY: shards.footer(path)[INPUT_KEY]}) as writer:
                for row in rows:
                    writer.write(row)


def one_line(line: bytes) -> bytes:
    """A line of JSON that is one line to every reader: `str.splitlines` ends lines at other marks than newlines too."""
    for mark, escaped in _LINE_ENDS.items():
        line = line.replace(mark.encode(), escaped)
    return line
