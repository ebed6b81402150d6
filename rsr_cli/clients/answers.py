"""Read the body of a chat completion: whatever text is there is kept, and what is no answer is a Failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rsr_cli.clients.bodies import read_body
from rsr_cli.clients.failures import Failure, Fault, ServerError, error_in, failure_of_error
from rsr_cli.clients.finish_reasons import FAILED, FILTERED, LENGTH, STOP, judged, meaning_of, word_of
from rsr_cli.clients.message_texts import read_texts
from rsr_cli.clients.tool_calls import read_tool_calls
from rsr_cli.clients.usage import read_usage

_REASONS = ("finish_reason", "native_finish_reason", "finishReason", "stop_reason", "done_reason", "stop_type")
"""Where services say why a choice ended. The first that is known counts; only the first two may say that it was cut
where another one says that it was not."""
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """One reply. `text` is None where the model ended without one: after its reasoning, filtered, or cut; it is ""
    beside tool calls, whose JSON is in `tool_calls`. `finish_reason` is `stop`, `length`, `content_filter`,
    `tool_calls`, or a word that rsr does not know."""

    text: str | None
    reasoning: str | None
    finish_reason: str
    tool_calls: str | None = None


@dataclass(slots=True)
class Answer:
    """What one request brought. `choices` holds the sound ones of the `returned` choices, at least one.

    The token counts are of the whole response, None where the server gives none. `latency_s` is in seconds, from
    sending the request to the last byte. `notices` are what a user should be told, once.
    """

    choices: list[Choice]
    returned: int
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    notices: tuple[str, ...] = ()
    latency_s: float = 0.0
    seed_sent: bool = False


def read_answer(body: bytes, max_tokens: int | None = None) -> Answer:
    """The answer to a request whose choices may have had `max_tokens` each.

    Raises a Failure where the body is not JSON, tells of an error, or holds no sound choice.
    """
    return answer_in(read_body(body), max_tokens)


def answer_in(document: Any, max_tokens: int | None = None) -> Answer:
    """The answer in a document, which may be of any shape."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    choices = document.get("choices") if isinstance(document, dict) else None
    choices = [choices] if isinstance(choices, dict) and choices else choices
    if not isinstance(choices, list) or not choices:
        error = error_in(document)
        if error is None:
            raise Failure(Fault.SERVER, "the answer has no choices")
        raise _failure_in_200(error)
    read: list[Choice] = []
    trouble: Failure | None = None
    for choice in choices:
        try:
            read.append(_read_choice(choice))
        except Failure as failure:
            trouble = failure
    prompt_tokens, completion_tokens = read_usage(document)
    sound: list[Choice] = []
    notices: dict[str, None] = {}
    for choice, tokens in zip(read, share_tokens(completion_tokens, read), strict=True):
        reason = judged(choice.finish_reason, tokens, max_tokens)
        if meaning_of(choice.finish_reason) is None:
            if _is_nothing(choice) and reason != LENGTH:
                trouble = Failure(Fault.SERVER, "a choice with neither a text nor a finish_reason")
                continue
            notices[_notice_of_reason(choice.finish_reason, tokens)] = None
        sound.append(choice if reason == choice.finish_reason else replace(choice, finish_reason=reason))
    if not sound:
        raise trouble or Failure(Fault.SERVER, "the answer has no choices")
    if any("\ufffd" in (part or "") for choice in sound for part in (choice.text, choice.reasoning)):
        notices["an answer holds U+FFFD (�): the server or rsr could not decode a character of it"] = None
    model = document.get("model")
    return Answer(
        choices=sound,
        returned=len(choices),
        model=model[:_LONGEST_NAME] if isinstance(model, str) and model else None,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        notices=tuple(notices),
    )


def _read_choice(choice: Any) -> Choice:
    """A choice with the word for its end as it came. Raises a Failure where it is not sound."""
    message = _message_of(choice)
    word = _word_of_end(choice)
    meaning = meaning_of(word)
    if meaning == FILTERED:
        return Choice(None, None, FILTERED)
    text, reasoning = read_texts(message)
    if meaning == FAILED:
        error = error_in({"error": choice.get("error")})
        told = f": {error.message}" if error else ""
        raise Failure(Fault.SERVER, f"finish_reason {word!r}{told}", paid=bool(text))
    calls = read_tool_calls(message)
    if calls is not None:
        return Choice(text or "", reasoning, word, calls)
    if reasoning and text is not None and not text.strip():
        # The thinking was cut, or the server's reasoning parser took all of it: not the same as an empty reply.
        text = None
    if text is None and not reasoning and meaning not in (LENGTH, None):
        if meaning == STOP:
            raise Failure(Fault.SERVER, "the content is null")
        text = ""
    return Choice(text, reasoning, word)


def _message_of(choice: Any) -> dict[str, Any]:
    if isinstance(choice, dict):
        message = choice.get("message") or choice.get("delta")
        if isinstance(message, list):
            message = next((item for item in reversed(message) if isinstance(item, dict)), None)
        if message is None:
            message = choice.get("text")
        if isinstance(message, str):
            return {"content": message}
        if isinstance(message, dict):
            return message
    raise Failure(Fault.SERVER, "a choice without a message")


def _word_of_end(choice: dict[str, Any]) -> str:
    word = word_of(choice.get("finish_reason"))
    if meaning_of(word) is not None and choice.get("native_finish_reason") is None:
        return word
    words = [word_of(choice.get(name)) for name in _REASONS]
    meanings = [meaning_of(word) for word in words]
    if LENGTH in meanings[:2]:
        return LENGTH
    known = (word for word, meaning in zip(words, meanings, strict=True) if meaning is not None)
    return next(known, "") or next(filter(None, words), "")


def _is_nothing(choice: Choice) -> bool:
    """Neither a text nor a word for its end, or no text at all. An empty text may be all that a model says."""
    if choice.reasoning or choice.tool_calls is not None:
        return False
    return choice.text is None or (not choice.text.strip() and not choice.finish_reason)


def _notice_of_reason(word: str, tokens: int | None) -> str:
    told = (
        f"ends answers with the finish_reason {word!r}, which rsr does not know" if word else "gives no finish_reason"
    )
    cut = "they count as truncated only where their tokens reach max_tokens"
    if tokens is None:
        cut = "since it counts no tokens either, a truncated answer can't be told from a whole one"
    return f"the server {told}: the texts are kept, and {cut}"


def share_tokens(total: int | None, choices: Sequence[Choice]) -> list[int | None]:
    """Shares the completion tokens of a response out over its choices by their length; the shares add up to it."""
    if total is None or len(choices) == 1:
        return [total] * len(choices)
    lengths = [sum(len(part or "") for part in (c.text, c.reasoning, c.tool_calls)) + 1 for c in choices]
    whole = sum(lengths)
    shares: list[int | None] = []
    given = passed = 0
    for length in lengths:
        passed += length
        share = total * passed // whole - given
        given += share
        shares.append(share)
    return shares


def _failure_in_200(error: ServerError) -> Failure:
    """OpenRouter sends errors in the body of a 200, with the HTTP status that they should have had as their code."""
    if error.code.isdecimal() and len(error.code) == 3 and 400 <= int(error.code) < 600:
        return failure_of_error(int(error.code), error)
    failure = failure_of_error(400, error)
    fault = Fault.SERVER if failure.fault is Fault.REQUEST else failure.fault
    message = f"HTTP 200 with an error: {error.message}"
    return Failure(fault, message, status=200, param=error.param, hint=failure.hint, wait_s=failure.wait_s)
