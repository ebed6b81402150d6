"""What went wrong with a request, and whose fault it is: the server's, the prompt's, the request's or the key's."""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson
from yarl import URL

from rsr_cli.clients.retry import hinted_wait, wait_in_error, wait_in_words
from rsr_cli.secrecy import HIDDEN, redact

LONGEST_MESSAGE = 300
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)
_SEARCHED = 1000
"""Characters at the beginning and at the end of an error that are searched for words that tell its cause."""
_LOOKED_INTO = 4000
"""Characters of an error at its beginning, and half as many at its end: servers echo whole prompts in them."""


class Fault(Enum):
    """Whose fault a failure is, which decides what is done about it.

    Status and words say it of the first six. The others are a guess: what the endpoint has answered before and how it
    takes a plain prompt decide.
    """

    SERVER = auto()
    """An error of the server, a broken answer, a lost connection: sent again, `max_retries` times."""
    RATE_LIMIT = auto()
    """Asked too fast, or no more may be asked now: sent again after a wait."""
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
    """Nothing answers at this address."""
    ACCOUNT = auto()
    """The key or the account is refused."""
    UNCLEAR = auto()
    """Refused by a server that answers others: sent again, to see whether it is this prompt."""
    REFUSED = auto()
    """A server that has answered before refuses a plain prompt too: sent again after a wait."""


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
        self.fault = self.cause = fault
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
    wait_s: float | None = None
    """After how many seconds to ask again, by a field of its own."""

    @property
    def text(self) -> str:
        """All that may say what kind of error it is, in lower case."""
        message = self.message
        if len(message) > 2 * _SEARCHED:
            message = f"{message[:_SEARCHED]} … {message[-_SEARCHED:]}"
        return f"{self.code[:100]} {self.type[:100]} {message}".lower()


_CONTEXT_LENGTH = re.compile(
    r"context.{0,12}(length|size|window)|exceed_context_size|maximum number of (input )?tokens|max_model_len"
    r"|\b(prompt|input|messages?|request)\b.{0,40}too (long|large)|too many (input |prompt )?tokens"
    r"|longer than the model|string_above_max_length|reduce the length",
    re.DOTALL,
)
_TOO_LARGE = re.compile(r"request too large|tokens must be reduced|reduce (your|the) (message|prompt|input|request)")
"""For any rate: no wait helps."""
_FILTERED = re.compile(
    r"content.?filter|content.management.policy|content.?policy|data.?inspection|invalid_prompt|responsible.?ai"
    r"|\bflagged\b|moderation|usage.(guidelines|polic)|polic(y|ies).{0,20}violat|violat.{0,40}polic|\bblocked\b"
    r"|\bsafety|safety.(check|filter)|\bunsafe\b|prohibited|recitation|inappropriate|harmful|\bsensitive.(content|info|word)"
    r"|敏感|不安全"
)
_PACE = re.compile(
    r"throttl|rate.?limit|too many (concurrent )?requests|slow down|(requests?|qps|rpm|tpm) (rate )?limit reached"
    r"|\b(qps|rpm|tpm|tpd|rpd)\b|(tokens|requests|quer(y|ies)) (per|a|/) ?(min|sec|hour|day)|per.?minute"
    r"|resource.?exhausted|too many tokens.{0,60}(wait|retry|try again)|concurrency.{0,20}(limit|quota)"
)
"""Too fast, under any status."""
_PASSES = re.compile(
    r"(try|retry)( again)? (later|shortly|soon|after |in )|please (wait|retry)|wait (before|a |and|for )|overloaded"
    r"|(over|at|no|insufficient|exceed\w*) (\w+ )?capacity|capacity (is )?(exceeded|reached)|temporar(y|ily) "
    r"|server is busy|being (loaded|refreshed|restarted)"
)
"""In an error that is no 5xx: not now."""
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
    failure = failure_of_error(status, read_error(body))
    wait_s = hinted_wait(headers, rate_limited=failure.fault is Fault.RATE_LIMIT)
    failure.wait_s = failure.wait_s if wait_s is None else wait_s
    if status < 400:
        failure.message += f" to {_shown_location(headers.get('location', ''))}"
    return failure


def failure_of_error(status: int, error: ServerError) -> Failure:
    """The failure that an error object tells of, under its HTTP status or, in the body of a 200, its own code."""
    fault, hint = _judge(status, error)
    late = status in (408, 504)
    message = f"HTTP {status}: {error.message}" if error.message else f"HTTP {status}"
    wait_s = wait_in_words(error.text) if error.wait_s is None else error.wait_s
    return Failure(fault, message, status=status, param=error.param, hint=hint, wait_s=wait_s, timed_out=late)


def failure_of_connection(error: Exception, proxy: str | None = None) -> Failure:
    """Nobody listens, or there is no such host; or it is there and does not speak the same TLS.

    What has a hint will not pass by itself.
    """
    # The system's own words where there are some: aiohttp's repeat the address.
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    through = f" through the proxy {proxy}" if proxy else ""
    if isinstance(cause, ssl.SSLError):
        return _failure_of_tls(cause, through)
    number = cause.errno if isinstance(cause, OSError) else None
    if number in _NO_MORE_FILES:
        return Failure(Fault.RATE_LIMIT, f"{os.strerror(number)} (ulimit -n)")
    if isinstance(error, TimeoutError):
        words = "no connection in time"
    elif number is not None and number > 0:
        words = os.strerror(number)
    else:
        words = getattr(cause, "strerror", None) or str(cause) or "no connection"
    return Failure(Fault.UNREACHABLE, words + through)


def failure_of_proxy(status: int, proxy: str) -> Failure:
    """The proxy itself refuses."""
    hint = None
    if status == 407:
        hint = "the proxy wants a user and a password: HTTP_PROXY=http://user:password@host (HTTPS_PROXY for https)"
    elif status < 500:
        hint = "the proxy of the environment refuses this address: put its host into NO_PROXY to go past it"
    return Failure(Fault.UNREACHABLE, f"the proxy {proxy} answers with HTTP {status}", status=status, hint=hint)


def failure_of_transport(error: Exception) -> Failure:
    """The connection broke off, or what came over it was no HTTP."""
    if isinstance(error, OSError) and error.errno in _NO_MORE_FILES:
        return failure_of_connection(error)
    return Failure(Fault.SERVER, f"{type(error).__name__}: {error}")


def _failure_of_tls(error: ssl.SSLError, through: str) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"certificate verify failed: {error.verify_message or error}"
        hint = (
            "name the file with the certificates to trust in the environment variable SSL_CERT_FILE, or correct the "
            "host in {section}.base_url"
        )
        return Failure(Fault.UNREACHABLE, words + through, hint=hint)
    words = str(error.reason or error).replace("_", " ").lower()
    plain = any(sign in words for sign in ("wrong version", "record layer", "unknown protocol", "http request"))
    plain_hint = "the server seems to speak plain HTTP there: begin {section}.base_url with http://"
    return Failure(Fault.UNREACHABLE, f"TLS: {words}{through}", hint=plain_hint if plain else None)


def _judge(status: int, error: ServerError) -> tuple[Fault, str | None]:
    text = error.text
    if status < 400:
        return Fault.RUN, "the server redirects: set {section}.base_url to the address that it names"
    if status == 429 or _PACE.search(text):
        if _TOO_LARGE.search(text):
            return Fault.PROMPT, None
        no_credit = _NO_CREDIT.search(text) and not _PACE.search(text)
        return Fault.ACCOUNT if no_credit else Fault.RATE_LIMIT, None
    if status == 408 or status >= 500:
        return Fault.SERVER, None
    if status in (409, 423, 424, 425, 498, 499):
        return Fault.RATE_LIMIT if _PASSES.search(text) else Fault.SERVER, None
    if status in (401, 402) or (status == 400 and _NO_CREDIT.search(text)):
        return Fault.ACCOUNT, None
    if _FILTERED.search(text):
        return Fault.FILTERED, None
    if status == 403:
        return Fault.ACCOUNT, None
    if status == 413 or (status not in (404, 405) and _CONTEXT_LENGTH.search(text)):
        return Fault.PROMPT, None
    if _PASSES.search(text):
        return Fault.RATE_LIMIT, None
    if _NO_MODEL.search(text):
        return Fault.RUN, "check {section}.model"
    if status in (404, 405):
        return (
            Fault.PATH,
            "check {section}.model, that the server has {path}, and that {section}.base_url is the part before it "
            "(such as http://localhost:8000/v1)",
        )
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
    error = document.get("error") or document.get("detail") or document.get("error_msg")
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
            wait_s=wait_in_error(error),
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


def fit_to_show(text: str) -> str:
    """A server's text as one line of bounded length, with no secret in it."""
    # Secrets first: one that is cut is not known any more.
    text = redact(text)
    # Cut before it is searched: some of the patterns take time with the square of its length.
    text = text[:_LOOKED_INTO]
    text = re.sub(r"\b(sk|pk|hf|gsk)[-_][\w*.-]{6,}|(?<=Bearer )(?!\[secret\])[^\s\"']+", HIDDEN, text)
    text = re.sub(r"\?[^\s\"']*=[^\s\"']*", "", text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
