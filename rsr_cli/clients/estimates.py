"""The tokens of an attempt: as the server counts them, else estimated from its characters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rsr_cli.clients.pacing import text_tokens
from rsr_cli.types import Attempt

_CHARACTERS_PER_TOKEN = 4


class Usage(NamedTuple):
    """`estimated` where the server did not tell both counts."""

    prompt: int
    completion: int
    estimated: bool


def usage_of(attempt: Attempt, messages: Iterable[Mapping[str, Any]]) -> Usage:
    """The tokens of an attempt at a prompt with these messages. One that failed cost nothing, as far as is known."""
    prompt, completion = attempt.prompt_tokens, attempt.completion_tokens
    if attempt.error is not None or (prompt is not None and completion is not None):
        return Usage(prompt or 0, completion or 0, False)
    if prompt is None:
        prompt = round(text_tokens(messages))
    if completion is None:
        completion = _estimated_completion(attempt)
    return Usage(prompt, completion, True)


def tokens_in(*texts: str | None) -> int:
    """About how many tokens the texts have, rounded up."""
    return -(-sum(len(text or "") for text in texts) // _CHARACTERS_PER_TOKEN)


def _estimated_completion(attempt: Attempt) -> int:
    texts = (attempt.response, attempt.reasoning, attempt.tool_calls)
    if attempt.truncated and not any(texts):
        # Its text was dropped, and it was cut at its limit.
        limit = json.loads(attempt.params).get("max_tokens")
        return limit if isinstance(limit, int) else 0
    return tokens_in(*texts)
