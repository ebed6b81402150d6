"""Read a judge's reply strictly: only its own closing JSON object can set a score."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from rsr_cli.reply import final_reply

_CLOSING = re.compile(r"[\s`*.]*")
_BEGUN_OBJECT = re.compile(r'\{\s*"')
_LONGEST = 200_000
"""Characters. No verdict is so long."""


class Unreadable(ValueError):
    """The reply is no verdict; the message says why, in words that the judge can be told."""


def read_object(text: str, keys: Iterable[str], material: str = "") -> dict[str, Any]:
    """The JSON object that the reply consists of or ends with, which must have exactly these keys.

    A judge may quote what it judges, so an object is never taken that is not the last thing said, that stands inside
    one which can't be read, or that stands in the material as well. Raises Unreadable.
    """
    if len(text) > _LONGEST:
        raise Unreadable("it was far too long")
    # As a whole first: a rationale in JSON may speak of </think>, which would be taken for the end of the thinking.
    found = _whole(text)
    if found is None:
        reply = final_reply(text)
        if reply is None:
            raise Unreadable("the thinking never ended")
        if not reply:
            raise Unreadable("it was empty")
        found = _whole(reply) or _closing(reply)
    if found.value.keys() != set(keys):
        raise Unreadable(f"its keys were not {' and '.join(keys)}")
    if _squeezed(found.source) in _squeezed(material):
        raise Unreadable("it only repeated what it was to judge")
    return found.value


def number_within(value: Any, lowest: float, highest: float) -> float:
    """The value where it is a number of the scale. Raises Unreadable."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable("the score was not a number")
    if not lowest <= value <= highest:  # nor is NaN
        raise Unreadable(f"the score was not within {lowest:g} and {highest:g}")
    return float(value)


class _Found(NamedTuple):
    value: dict[str, Any]
    source: str


def _whole(text: str) -> _Found | None:
    source = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        value = _DECODER.decode(source)
    except (ValueError, RecursionError):
        return None
    return _Found(value, source) if isinstance(value, dict) else None


def _closing(reply: str) -> _Found:
    """The last object of a reply that ends with one."""
    last: _Found | None = None
    end = 0
    start = reply.find("{")
    while start >= 0:
        try:
            value, end = _DECODER.raw_decode(reply, start)
        except (ValueError, RecursionError):
            if _BEGUN_OBJECT.match(reply, start):
                raise Unreadable("its JSON was broken") from None
            start = reply.find("{", start + 1)
        else:
            last = _Found(value, reply[start:end])
            start = reply.find("{", end)
    if last is None:
        raise Unreadable("it held no JSON object")
    if not _CLOSING.fullmatch(reply, end):
        raise Unreadable("it did not end with its JSON object")
    return last


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Not strict on line breaks within a string, which models write and no other reading would fit.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number, strict=False)
