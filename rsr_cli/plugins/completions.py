"""What a user's sampler returned, checked before it is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rsr_cli.types import Completion

_TEXTS = ("finish_reason", "model", "params")
_TEXTS_OR_NONE = ("response", "reasoning", "error")
_COUNTS = ("prompt_tokens", "completion_tokens", "seed")


def check_completion(completion: Any, attempts: Sequence[int]) -> None:
    """Raise TypeError or ValueError where it is no completion of one of these attempts that can be recorded."""
    if not isinstance(completion, Completion):
        raise TypeError(f"`sample` yielded a {type(completion).__name__}, not a Completion")
    if completion.attempt not in attempts:
        raise ValueError(f"the completion is of attempt {completion.attempt!r}, asked for were {list(attempts)}")
    for name in _TEXTS:
        _check(completion, name, str)
    for name in _TEXTS_OR_NONE:
        _check(completion, name, str | None)
    for name in _COUNTS:
        _check(completion, name, int | None)
    _check(completion, "latency_s", int | float)


def _check(completion: Completion, name: str, kind: Any) -> None:
    value = getattr(completion, name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"Completion.{name} is a {type(value).__name__}: {value!r:.80}")
    if isinstance(value, str):
        value.encode()  # half a surrogate pair can be written nowhere
