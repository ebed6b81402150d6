"""What went wrong with a request, and whose fault it is: the server's, the prompt's, the request's or the key's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson
from yarl import URL

from rsr_cli.clients.retry import hinted_wait

LONGEST_MESSAGE = 300
_LOOKED_INTO = 4000
"""Characters of an error at its beginning, and half as many at its end: servers echo whole prompts in them."""


class Fault(Enum):
    """Whose fault a failure is, which decides what is done about it."""

    SERVER = auto()
    """An error of the server, a broken answer, a lost connection: sent again, `max_retries` times."""
    RATE_LIMIT = auto()
    """Asked too fast: sent again after a wait."""
    UNREACHABLE = auto()
    """Nobody listens: sent again after a wait."""
    PROMPT = auto()
    """Too long, say: this prompt fails for good."""
    FILTERED = auto()
    """The server's content filter refuses the prompt: it fails for good."""
    REQUEST = auto()
    """Refused with no word on the prompt: a parameter if nothing has worked yet, else the prompt after all."""
    RUN = auto()
    """Every request would be refused: no such model, a parameter that the model does not take."""
    PATH = auto()
    """Nothing answers at this address: it is wrong if nothing has worked yet, else a proxy's passing trouble."""
    ACCOUNT = auto()
    """The key or the account is refused."""


class Failure(Exception):
    """One request that failed. `message` is fit to be shown, `wait_s` is the server's own hint.

    `hint` is for the user, with {section} and {path} to be filled in. `timed_out` says that the server was too slow,
    to us or to a proxy before it; `paid`, that an answer came which can't be used.
    """

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        status: int | None = None,
        param: str = "",
        hint: str | None = None,
        wait_s: float | None = None,
        timed_out: bool = False,
        paid: bool = False,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.status = status
        self.param = param
        self.hint = hint
        self.wait_s = wait_s
        self.timed_out = timed_out
        self.paid = paid


@dataclass(frozen=True, slots=True)
class ServerError:
    """The error object of a server: `{"error": {...}}`, the same at the top level, a bare string, or no JSON at all."""

    message: str
    code: str = ""
    type: str = ""
    param: str = ""

    @property
    def text(self) -> str:
        """All that may say what kind of error it is, in lower case."""
        return f"{self.code} {self.type} {self.message}".lower()


_CONTEXT_LENGTH = re.compile(
    r"context.{0,12}(length|size|window)|exceed_context_size|maximum number of (input )?tokens|max_model_len"
    r"|\b(prompt|input|messages?|request)\b.{0,40}too (long|large)|too many (input |prompt )?tokens"
    r"|longer than the model|string_above_max_length|reduce the length",
    re.DOTALL,
)
_FILTERED = re.compile(r"content.?filter|content.management.policy|data.?inspection|invalid_prompt|responsible.?ai")
_NO_CREDIT = re.compile(
    r"insufficient_quota|insufficient.{0,10}(balance|credit)|exceeded your current quota|billing_hard_limit"
)
_NO_MODEL = re.compile(
    r"model\b.{0,120}\bnot.(found|exist)|model_not_found|(unknown|invalid|no such|not a valid) model", re.DOTALL
)
_NOT_TAKEN = re.compile(r"unsupported|not.supported?|n't support|not support|only the default|not permitted|deprecated")
_TEMPERATURE = re.compile(r"\b(temperature|top_p)\b")


def failure_of_response(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that a response with an error status tells of."""
    failure = failure_of_error(status, read_error(body), wait_s=hinted_wait(headers, rate_limited=status == 429))
    if status < 400:
        failure.message += f" to {_shown_location(headers.get('location', ''))}"
    return failure


def failure_of_error(status: int, error: ServerError, wait_s: float | None = None) -> Failure:
    """The failure that an error object tells of, under its HTTP status or, in the body of a 200, its own code."""
    fault, hint = _judge(status, error)
    late = status in (408, 504)
    message = f"HTTP {status}: {error.message}" if error.message else f"HTTP {status}"
    return Failure(fault, message, status=status, param=error.param, hint=hint, wait_s=wait_s, timed_out=late)


def failure_of_connection(error: Exception) -> Failure:
    """Nobody listens, or there is no such host."""
    # The system's own words where there are some: aiohttp's repeat the address.
    cause = getattr(error, "os_error", None)
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        words = os.strerror(cause.errno)
    else:
        words = getattr(cause, "strerror", None) or str(error) or "no connection"
    return Failure(Fault.UNREACHABLE, words)


def _judge(status: int, error: ServerError) -> tuple[Fault, str | None]:
    text = error.text
    if status in (401, 402, 403) or (status in (400, 429) and _NO_CREDIT.search(text)):
        return Fault.ACCOUNT, None
    if status == 429:
        return Fault.RATE_LIMIT, None
    if status in (408, 409, 425) or status >= 500:
        return Fault.SERVER, None
    if status == 413:
        return Fault.PROMPT, None
    if status < 400:
        return Fault.RUN, "the server redirects: set {section}.base_url to the address that it names"
    if status in (404, 405) and not _NO_MODEL.search(text):
        return (
            Fault.PATH,
            "check {section}.model, that the server has {path}, and that {section}.base_url is the part before it "
            "(such as http://localhost:8000/v1)",
        )
    if _FILTERED.search(text):
        return Fault.FILTERED, None
    if _CONTEXT_LENGTH.search(text):
        return Fault.PROMPT, None
    if _NO_MODEL.search(text):
        return Fault.RUN, "check {section}.model"
    if _refuses_temperature(error):
        return Fault.RUN, "this model takes the default only: set {section}.temperature and {section}.top_p to null"
    return Fault.REQUEST, "check {section}.extra_params and the other parameters of {section}"


def _refuses_temperature(error: ServerError) -> bool:
    named = error.param in ("temperature", "top_p") or bool(_TEMPERATURE.search(error.message))
    return named and bool(_NOT_TAKEN.search(error.text))


def read_error(body: bytes) -> ServerError:
    """The error in a body of any shape that servers are known to send."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ServerError(_plain_text(body))
    return error_in(document) or ServerError(_plain_text(body))


def error_in(document: Any) -> ServerError | None:
    """The error object in a parsed body, None where there is none."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return None
    error = document.get("error") or document.get("detail")
    if not error and "message" in document and "choices" not in document:
        error = document
    if isinstance(error, list):
        error = next((item for item in error if isinstance(item, dict)), error)
    if isinstance(error, dict):
        return ServerError(
            _words(error.get("message") or error.get("detail") or error),
            code=_words(error.get("code")),
            type=_words(error.get("type") or error.get("status")),
            param=_words(error.get("param")),
        )
    return ServerError(_words(error)) if error else None


def _words(value: Any) -> str:
    """A field of an error as text, whatever it is; the middle of a long one is left out."""
    if not value:
        return ""
    try:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
    except TypeError:  # nested too deeply, or a number beyond 64 bits
        return "an error that can't be shown"
    return text if len(text) <= 2 * _LOOKED_INTO else f"{text[:_LOOKED_INTO]} … {text[-_LOOKED_INTO // 2 :]}"


def _shown_location(location: str) -> str:
    try:
        return str(URL(location).with_user(None).with_query(None))
    except ValueError:
        return "another address"


def _plain_text(body: bytes) -> str:
    """The words of a page, without its tags."""
    text = body[:4000].decode("utf-8", "replace")
    return re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)


class Redactor:
    """Makes a server's text fit to be shown: one line, of bounded length, with no key in it."""

    def __init__(self, api_key: str) -> None:
        # A key of a few letters ("EMPTY", "none") is no secret, and would be cut out of every other word.
        self._secret = api_key if len(api_key) >= 8 else None

    def __call__(self, text: str) -> str:
        if self._secret:
            text = text.replace(self._secret, "[key]")
        # Cut before it is searched: some of the patterns take time with the square of its length.
        text = text[:_LOOKED_INTO]
        text = re.sub(r"\b(sk|pk|hf|gsk)[-_][\w*.-]{6,}|(?<=Bearer )[^\s\"']+", "[key]", text)
        text = re.sub(r"(?<=://)[^/\s@]+@", "", text)
        text = re.sub(r"\?[^\s\"']*=[^\s\"']*", "", text)
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
