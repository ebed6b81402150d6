"""Cells of a table as JSON has them, whatever Arrow holds them as, and texts that a file can hold."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pyarrow as pa


class Struct(dict[str, Any]):
    """A struct of a table. All structs of a column have the same fields, so a null one may be one that is not there."""


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN and infinities are null, dates and other numbers are text. Bytes that are no text
    stay bytes: a transform may want them."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return Struct({str(name): plain(item) for name, item in value.items()})
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return str(value)


def column(array: pa.Array) -> list[Any]:
    """The cells of a column."""
    if pa.types.is_string(array.type) or pa.types.is_integer(array.type):
        return array.to_pylist()  # type: ignore[no-any-return]
    return [cell(scalar) for scalar in array]


def cell(scalar: pa.Scalar) -> Any:
    """A cell: a map is an object, a dictionary's cell what it stands for, and what Python can't hold is text."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if pa.types.is_struct(kind):
        return Struct({kind.field(place).name: cell(scalar[place]) for place in range(kind.num_fields)})
    if pa.types.is_map(kind):
        pairs = scalar.values
        return {str(cell(key)): cell(value) for key, value in zip(pairs.field(0), pairs.field(1), strict=True)}
    if isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar | pa.ListViewScalar):
        return [cell(item) for item in scalar.values]
    if isinstance(scalar, pa.DictionaryScalar):
        return cell(scalar.value)
    try:
        return plain(scalar.as_py())
    except (ValueError, OverflowError, pa.ArrowException):
        return _time(scalar)


def _time(scalar: pa.Scalar) -> str:
    """A date, a time or a duration that is too fine or too far away for Python, as text."""
    number = f"{scalar.value if hasattr(scalar, 'value') else scalar} {getattr(scalar.type, 'unit', 'days')}"
    if pa.types.is_duration(scalar.type):
        return number
    try:
        text: str = scalar.cast(pa.string()).as_py()
    except pa.ArrowException:
        return number
    return number if text.startswith("<") else text


def repeated_names(kind: pa.DataType) -> list[str]:
    """The names that fields of a struct, at any depth of the type, have in common."""
    fields = [kind.field(place) for place in range(kind.num_fields)]
    found = [name for name, count in Counter(item.name for item in fields).items() if count > 1]
    if not pa.types.is_struct(kind):
        found = []
    return found + [name for item in fields for name in repeated_names(item.type)]


def without_fills(value: Any) -> Any:
    """`value` without the null fields of structs, which may be fields that are not there."""
    if isinstance(value, list):
        return [without_fills(item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = isinstance(value, Struct)
    return {name: without_fills(item) for name, item in value.items() if item is not None or not filled}


def whole_text(value: Any) -> Any:
    """`value` with half surrogate pairs in its texts replaced: a plugin may read one out of an answer's JSON, and no
    file takes it."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {whole_text(name): whole_text(item) for name, item in value.items()}
    return [whole_text(item) for item in value] if isinstance(value, list | tuple) else value
