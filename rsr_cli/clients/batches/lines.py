"""The lines of batch files: a request, and what came of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rsr_cli.clients.answers import Answer, answer_in
from rsr_cli.clients.bodies import read_body, reading, write_body
from rsr_cli.clients.chat_completions import ChatRequest, ChatSettings
from rsr_cli.clients.failures import Failure, Fault, error_in, failure_of_error
from rsr_cli.clients.usage import count
from rsr_cli.secrecy import without_secrets

PATH = "/v1/chat/completions"

_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"([0-9a-f]{32}-\d+-\d+)"')
"""Of rsr's own. Within the text of a message its quotes would be escaped."""
_SUCCESS = re.compile(rb'"status_code"\s*:\s*"?2\d\d\b')


def content_key(settings: ChatSettings, request: ChatRequest) -> str:
    """A digest of the prompt and all that its answer is drawn with: what is asked for otherwise has another one."""
    params = settings.params if request.params is None else request.params
    hidden = hidden_fields(settings, params)
    content = [
        settings.model,
        request.messages,
        hidden | {name: value for name, value in params.items() if name not in hidden},
        request.max_tokens or settings.max_tokens,
        request.seed,
    ]
    digest = hashlib.blake2b(request.prompt_id.encode("utf-8", "surrogatepass") + b"\0", digest_size=16)
    digest.update(write_body({"content": content}))
    return digest.hexdigest()


def hidden_fields(settings: ChatSettings, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in a file for those fields of a request that hold a secret of the settings."""
    shown = ((name, value, without_secrets({name: value})[name]) for name, value in settings.params.items())
    return {name: text for name, value, text in shown if text != value and fields.get(name) == value}


def filled_in(line: bytes, settings: ChatSettings) -> bytes:
    """The line of a request as the server gets it, with the secrets that its file does not hold."""
    document = read_body(line)
    body = document["body"]
    for name, text in hidden_fields(settings, settings.params).items():
        if body.get(name) == text:
            body[name] = settings.params[name]
    return write_body(document) + b"\n"


def custom_id(key: str, attempts: Sequence[int]) -> str:
    """The name of a request in its file, of at most 64 characters for attempts below a million."""
    return f"{key}-{attempts[0]}-{attempts[-1]}"


def run_of(name: str) -> tuple[str, range]:
    """The content key and the attempts in a custom id."""
    key, first, last = name.split("-")
    return key, range(int(first), int(last) + 1)


def request_line(name: str, body: Mapping[str, Any]) -> bytes:
    """Raises a Failure where something in the body has no JSON."""
    return write_body({"custom_id": name, "method": "POST", "url": PATH, "body": body}) + b"\n"


def name_in(line: bytes) -> str | None:
    """The custom id of a line of either kind, None where it has none of rsr's."""
    found = _CUSTOM_ID.search(line)
    return found[1].decode() if found else None


def tells_success(line: bytes) -> bool:
    """It brings an answer, as far as a glance tells."""
    return _SUCCESS.search(line) is not None or (b'"status_code"' not in line and b'"choices"' in line)


def read_response(line: bytes, max_tokens: int | None = None) -> Answer:
    """The answer to a request of so many tokens a choice. Raises a Failure where the line is broken or tells of one."""
    return reading(lambda body: _answer_in_line(read_body(body), max_tokens), line)


def _answer_in_line(document: Any, max_tokens: int | None) -> Answer:
    line = document if isinstance(document, dict) else {}
    response = _object(line.get("response"))
    status = count(response.get("status_code"))
    body = _object(response.get("body")) or (response if "choices" in response else _object(line.get("body")))
    if body and (status is None or 200 <= status < 300):
        return answer_in(body, max_tokens)
    error = error_in(body) or error_in(response.get("body")) or error_in(line.get("error")) or error_in(line)
    if error is None:
        raise Failure(Fault.SERVER, "an answer without a body")
    if status is not None and status >= 400:
        raise failure_of_error(status, error)
    # It was never asked: the batch has expired, or was cancelled.
    raise Failure(Fault.SERVER, error.message)


def _object(value: Any) -> dict[str, Any]:
    """An object, which may come as its JSON; {} where it is none."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = read_body(value.encode("utf-8", "replace"))
    return value if isinstance(value, dict) else {}
