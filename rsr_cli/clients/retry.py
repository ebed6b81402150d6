"""How long to wait before a request is sent again, and how long to put up with a server that gives nothing."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNITS = {"milliseconds": "ms", "second": "s", "seconds": "s", "sec": "s", "minute": "m", "minutes": "m", "min": "m"}
_UNITS |= {"hour": "h", "hours": "h"}
_UNIT = r"(milliseconds|ms|seconds?|sec|s|minutes?|min|m|hours?|h|d)(?![a-z])"
_WAIT_PART = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,9}})?) ?{_UNIT}")
_WAIT = re.compile(
    rf"(?:retry|again|wait)(?: again)?(?: in| after| for)?(?: about)? ((?:\d{{1,9}}(?:\.\d{{1,9}})? ?{_UNIT} ?)+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """All times are in seconds.

    A failure of the server uses up one of `max_retries`. A rate limit and an outage (nobody listens) use up none: they
    say nothing about the request, so it waits for as long as the patience for them lasts.
    """

    max_retries: int = 10
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_hint: float = 300.0
    """The longest wait that a server may ask for; then it is asked again."""
    startup_patience: float = 5.0
    """With a server that has never answered: most likely it is not there at all."""
    outage_patience: float = 120.0
    """With a server that has answered before."""
    rate_limit_patience: float = 6 * 3600.0
    """With 429s and not one answer in between, from any endpoint."""
    quota_patience: float = 300.0
    """The same where they may mean that the account has no credit left: services use the same words for both."""
    refusal_patience: float = 30.0
    """With a server that has answered before and now refuses the account: its key may be about to be renewed."""
    failures_in_a_row: int = 50
    """So many requests failed for good with no success in between: it is the server, not the prompts."""

    def wait(self, failures: int, hint: float | None = None) -> float:
        """Seconds to wait after the given number of failures in a row (from 1), or after the server's own hint.

        Jittered, so that requests that failed together do not come back together.
        """
        backoff = min(self.longest_wait, self.first_wait * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)
        if hint is None:
            return backoff
        return min(hint, self.longest_hint) + 0.2 * min(backoff, 1.0)


def hinted_wait(headers: Mapping[str, str], *, rate_limited: bool) -> float | None:
    """The seconds after which a server wants to be asked again, None where its headers do not say.

    When its limits are reset is told beside every answer, and only matters to one who was turned away for them.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    retry_after = headers.get("retry-after")
    if retry_after is not None:
        seconds = _number(retry_after)
        return seconds if seconds is not None else _seconds_until(retry_after, headers.get("date"))
    return _rate_limit_reset(headers) if rate_limited else None


def _rate_limit_reset(headers: Mapping[str, str]) -> float | None:
    """Of the limits on requests and on tokens, the one that is used up decides; if neither says so, the sooner."""
    spent: list[float] = []
    others: list[float] = []
    for limit in ("", "-requests", "-tokens"):
        reset = _duration(headers.get(f"x-ratelimit-reset{limit}"))
        if reset is not None:
            used_up = _number(headers.get(f"x-ratelimit-remaining{limit}")) == 0
            (spent if used_up else others).append(reset)
    if spent:
        return max(spent)
    return min(others, default=None)


def _duration(text: str | None) -> float | None:
    """Seconds from `1m30s`, `20ms`, plain seconds, or a point in time in seconds or milliseconds since 1970."""
    if text is None:
        return None
    number = _number(text)
    if number is None:
        parts = _DURATION_PART.findall(text)
        if not parts or _DURATION_PART.sub("", text).strip():
            return None
        return sum(float(amount) * _UNIT_SECONDS[unit] for amount, unit in parts)
    if number > 1e11:
        number /= 1000
    return max(0.0, number - time.time()) if number > 1e9 else number


def wait_in_words(text: str) -> float | None:
    """The seconds in `retry in 1.1s`, `try again in 1m20.5s`, `wait 20 seconds`, in lower case; None for none."""
    found = _WAIT.search(text)
    if found is None:
        return None
    parts = _WAIT_PART.findall(found[1])
    return sum(float(amount) * _UNIT_SECONDS[_UNITS.get(unit, unit)] for amount, unit in parts)


def wait_in_error(error: Mapping[str, Any]) -> float | None:
    """The same from the fields of an error object: `retry_after`, Google's RetryInfo, OpenRouter's headers."""
    for name in ("retry_after", "retry_after_seconds", "retryAfter"):
        value = error.get(name)
        if isinstance(value, int | float | str) and (seconds := _duration(str(value))) is not None:
            return seconds
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and isinstance(delay := detail.get("retryDelay"), str):
            return _duration(delay)
    metadata = error.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, Mapping) else None
    if isinstance(headers, Mapping):
        texts = {str(name).lower(): str(value) for name, value in headers.items()}
        return hinted_wait(texts, rate_limited=True)
    return None


def _seconds_until(date: str, sent: str | None) -> float | None:
    """By the server's own clock where it says what time it is there: ours may differ by hours."""
    until = _timestamp(date)
    if until is None:
        return None
    now = _timestamp(sent) if sent else None
    return max(0.0, until - (time.time() if now is None else now))


def _timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    """A finite number of zero or more."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
