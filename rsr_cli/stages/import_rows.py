"""A row of an imported file as an attempt: checked, and read as generously as a server's answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rsr_cli.clients.finish_reasons import FAILED, FILTERED, LENGTH, judged, meaning_of, word_of
from rsr_cli.clients.tool_calls import read_tool_calls
from rsr_cli.clients.usage import count
from rsr_cli.types import Attempt

_TEXTS = ("response", "reasoning", "model")
_COUNTS = ("prompt_tokens", "completion_tokens")
_SHOWN_WORDS = 5


class ImportRows:
    """Makes attempts of rows and counts the ends that are not known."""

    def __init__(self, *, keep_truncated: bool) -> None:
        self._keep_truncated = keep_truncated
        self._unknown: Counter[str] = Counter()

    def attempt(self, row: dict[str, Any], prompt_id: str, source: str) -> Attempt:
        """The attempt in a row that has no problem, not yet numbered.

        An unknown word keeps the text: with which limit a completion was made elsewhere, nobody can tell here.
        """
        word = word_of(_known(row, "finish_reason"))
        reason = judged(word, None, None)
        if meaning_of(word) is None:
            self._unknown[word] += 1
        usable = reason not in (FAILED, FILTERED) and (reason != LENGTH or self._keep_truncated)
        return Attempt(
            id=prompt_id,
            attempt=0,
            step=0,
            step_size=0,
            response=(row.get("response") or "") if usable else None,
            reasoning=_known(row, "reasoning") if usable else None,
            finish_reason=reason,
            model=_known(row, "model") or "unknown",
            prompt_tokens=count(row.get("prompt_tokens")),
            completion_tokens=count(row.get("completion_tokens")),
            seed=_whole_number(_known(row, "seed")),
            error=f"finish_reason {word!r}" if reason == FAILED else None,
            source=source,
            tool_calls=_tool_calls(row) if usable else None,
        )

    def notices(self) -> Iterator[str]:
        """What the user should know of the ends of the completions."""
        missing = self._unknown.pop("", 0)
        if missing:
            yield f"{missing} of the rows have no finish_reason: a truncated one can't be told from a whole one"
        if self._unknown:
            words = ", ".join(f"{word!r} ({number})" for word, number in self._unknown.most_common(_SHOWN_WORDS))
            yield f"rows end with a finish_reason that rsr does not know, and count as whole: {words}"


def problem_of(row: dict[str, Any]) -> str | None:
    """What is wrong with the completion in a row, None where nothing is."""
    response = _known(row, "response")
    if not isinstance(response, str) and not (response is None and _tool_calls(row)):
        return "has no response" if response is None else "the response is not a string"
    for name in _TEXTS:
        value = _known(row, name)
        if value is not None and not isinstance(value, str):
            return f"{name} is a {type(value).__name__}, not a string"
    for name in _COUNTS:
        if _known(row, name) is not None and count(row[name]) is None:
            return f"{name} is {str(row[name])[:40]!r}, not a whole number below 2^31"
    if (seed := _known(row, "seed")) is not None and _whole_number(seed) is None:
        return f"seed is {str(seed)[:40]!r}, not a whole number below 2^63"
    return None


def _known(row: dict[str, Any], name: str) -> Any:
    """A value, None where there is none: pandas writes NaN for that, and CSV an empty text."""
    value = row.get(name)
    nothing = value != value or (name != "response" and isinstance(value, str) and not value.strip())
    return None if nothing else value


def _whole_number(value: Any) -> int | None:
    try:
        number = int(value) if not isinstance(value, float) or value.is_integer() else None
    except (ValueError, TypeError, OverflowError):
        return None
    return number if number is not None and not isinstance(value, bool) and abs(number) < 2**63 else None


def _tool_calls(row: dict[str, Any]) -> str | None:
    calls = _known(row, "tool_calls")
    if isinstance(calls, str):
        try:
            calls = json.loads(calls)
        except (ValueError, RecursionError):
            return None
    return read_tool_calls({"tool_calls": calls})
