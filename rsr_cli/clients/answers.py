"""Read the body of a chat completion strictly: what is no whole answer is the server's failure, never a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rsr_cli.clients.bodies import read_body
from rsr_cli.clients.failures import Failure, Fault, ServerError, error_in, failure_of_error
from rsr_cli.clients.tool_calls import read_tool_calls

# What servers call an end that OpenAI calls "stop" or "length".
_ALIASES = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "model_length": "length",
}
_WHOLE = frozenset({"stop", "length", "content_filter", "tool_calls", "function_call"})


@dataclass(frozen=True, slots=True)
class Choice:
    """One reply. `text` is None where the model ended without one: after its reasoning, filtered, or cut; it is ""
    beside tool calls, whose JSON is in `tool_calls`."""

    text: str | None
    reasoning: str | None
    finish_reason: str
    tool_calls: str | None = None


@dataclass(slots=True)
class Answer:
    """What one request brought. `choices` holds the sound ones of the `returned` choices, at least one.

    The token counts are of the whole response, None where the server gives none. `latency_s` is in seconds, from
    sending the request to the last byte.
    """

    choices: list[Choice]
    returned: int
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float = 0.0
    seed_sent: bool = False


def read_answer(body: bytes) -> Answer:
    """Raises a Failure where the body is not JSON, tells of an error, or holds no sound choice."""
    document = read_body(body)
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or not choices:
        error = error_in(document)
        if error is None:
            raise Failure(Fault.SERVER, "the answer has no choices")
        raise _failure_in_200(error)
    sound, trouble = [], ""
    for choice in choices:
        try:
            sound.append(_read_choice(choice))
        except ValueError as error:
            trouble = str(error)
    if not sound:
        raise Failure(Fault.SERVER, trouble)
    usage = document.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    model = document.get("model")
    return Answer(
        choices=sound,
        returned=len(choices),
        model=model if isinstance(model, str) and model else None,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def _read_choice(choice: Any) -> Choice:
    """ValueError says what is wrong with a choice that is not sound."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise ValueError("a choice without a message")
    reason = choice.get("finish_reason")
    reason = _ALIASES.get(reason, reason) if isinstance(reason, str) else reason
    if reason not in _WHOLE:
        raise ValueError(f"finish_reason {reason!r}")
    text = message.get("content")
    if text is None and isinstance(refusal := message.get("refusal"), str) and refusal.strip():
        text = refusal  # the model's own answer, in a field of its own
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(text, list):
        text, reasoning = _join_parts(text, reasoning)
    if not isinstance(text, str | None) or not isinstance(reasoning, str | None):
        raise ValueError("the content is no text")
    if reason == "content_filter":
        return Choice(None, None, reason)
    calls = read_tool_calls(message)
    if calls is not None:
        return Choice(text or "", reasoning or None, reason, calls)
    if reasoning and text is not None and not text.strip():
        # The thinking was cut, or the server's reasoning parser took all of it: not the same as an empty reply.
        text = None
    if text is None and not reasoning and reason != "length":
        if reason == "stop":
            raise ValueError("the content is null")
        text = ""
    return Choice(text, reasoning or None, reason)


def _join_parts(parts: list[Any], reasoning: Any) -> tuple[str | None, Any]:
    """Content in parts (Mistral): the text of the parts, and their thinking where there is no reasoning field."""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in parts:
        if not isinstance(part, dict):
            raise ValueError("the content is no text")
        if part.get("type") == "thinking":
            thinking = part.get("thinking")
            pieces = thinking if isinstance(thinking, list) else [{"text": thinking}]
            thoughts += [str(piece.get("text") or "") for piece in pieces if isinstance(piece, dict)]
        elif part.get("text") is not None:
            texts.append(str(part["text"]))
    return ("".join(texts) if texts else None), reasoning or "".join(thoughts) or None


def _failure_in_200(error: ServerError) -> Failure:
    """OpenRouter sends errors in the body of a 200, with the HTTP status that they should have had as their code."""
    if error.code.isdecimal() and len(error.code) == 3 and 400 <= int(error.code) < 600:
        return failure_of_error(int(error.code), error)
    failure = failure_of_error(400, error)
    fault = Fault.SERVER if failure.fault is Fault.REQUEST else failure.fault
    return Failure(fault, f"HTTP 200 with an error: {error.message}", param=error.param, hint=failure.hint)


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_count else None
