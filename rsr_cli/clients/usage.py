"""The token counts of an answer, under whatever names and in whatever shape a service gives them."""

from __future__ import annotations

from typing import Any

_PLACES = ("usage", "usageMetadata", "usage_metadata", "token_usage", "x_groq", "meta", "metrics", "timings")
_INNER_PLACES = ("usage", "tokens", "billed_units")
_PROMPT = (
    "prompt_tokens",
    "input_tokens",
    "promptTokenCount",
    "prompt_token_count",
    "inputTokens",
    "prompt_eval_count",
)
_COMPLETION = (
    "completion_tokens",
    "output_tokens",
    "candidatesTokenCount",
    "candidates_token_count",
    "outputTokens",
    "generated_tokens",
    "eval_count",
)
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""Anthropic counts them beside `input_tokens`, OpenAI within `prompt_tokens`."""
_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
"""Gemini counts them beside the candidates' tokens."""
_TOTAL = ("total_tokens", "totalTokenCount", "total_token_count", "totalTokens")
_MOST = 2**31


def read_usage(document: dict[str, Any]) -> tuple[int | None, int | None]:
    """The tokens of the prompt and of the completions, None where they are not told or can't be true."""
    usage = document.get("usage")
    if isinstance(usage, dict):  # as nearly every server sends it, thousands of times a second
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if type(prompt) is int and type(completion) is int and 0 <= prompt < _MOST and 0 <= completion < _MOST:
            return prompt, completion
    for counts in _places(document):
        prompt, completion = _first(counts, _PROMPT), _first(counts, _COMPLETION)
        if prompt is not None and "prompt_tokens" not in counts:
            prompt = _sum(prompt, *(count(counts.get(name)) for name in _CACHED))
        if completion is not None and "completion_tokens" not in counts:
            completion = _sum(completion, *(count(counts.get(name)) for name in _THOUGHTS))
        total = _first(counts, _TOTAL)
        if completion is None and prompt is not None and total is not None and total >= prompt:
            completion = total - prompt
        if prompt is not None or completion is not None:
            return prompt, completion
    return None, None


def count(value: Any) -> int | None:
    """A count of tokens that may be a float or a text; None where it is none, or can't be true."""
    if isinstance(value, str) and len(value) < 30:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value) if 0 <= value < _MOST else None  # neither NaN nor infinity is


def _places(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for place in (document.get(name) for name in _PLACES):
        if isinstance(place, list):
            place = next((item for item in place if isinstance(item, dict)), None)
        if isinstance(place, dict):
            found += [place, *(inner for name in _INNER_PLACES if isinstance(inner := place.get(name), dict))]
    return [*found, document]


def _first(counts: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((known for name in names if (known := count(counts.get(name))) is not None), None)


def _sum(first: int, *more: int | None) -> int | None:
    return count(first + sum(other or 0 for other in more))
