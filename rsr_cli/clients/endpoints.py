"""The servers that requests are spread over: least busy first, a dead one left out and tried again after a while."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from yarl import URL

from rsr_cli.clients.proxies import proxy_for
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import BackendUnavailable, ConfigError

log = logging.getLogger(__name__)

_FAILURES_TO_REST = 10
_LONGEST_REST = 10.0
_LONGEST_PAUSE = 2.0
_HEAD_START = 1.0
_IN_PLACE_OF_THE_KEY = ("authorization", "api-key")
"""Headers beside which no `Authorization: Bearer` is sent; Azure refuses the two together."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server takes of the protocol. The full one is assumed until a server refuses or ignores a part of it."""

    n: bool = True
    seed: bool = True
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    def common(self, other: Dialect) -> Dialect:
        """What both take."""
        new_field = "max_completion_tokens" in (self.limit_field, other.limit_field)
        return Dialect(
            n=self.n and other.n,
            seed=self.seed and other.seed,
            limit_field="max_completion_tokens" if new_field else "max_tokens",
        )


class Endpoint:
    """One base URL: where it is, how it does, and what it was found to take."""

    def __init__(
        self, base_url: str, path: str, api_key: str, section: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """`path` is put behind the base URL, which may already end in it. Raises ConfigError."""
        url = _parse(base_url, path, f"{section}.base_url")
        base = url.path.rstrip("/")
        self.name = str(URL.build(scheme=url.scheme, host=url.host or "", port=url.explicit_port, path=base))
        """The URL without user-info and query, which may hold secrets: the only form that may be shown."""
        self.headers = {"Content-Type": "application/json"}
        own = headers or {}
        if any(name.lower() in _IN_PLACE_OF_THE_KEY for name in own):
            pass
        elif api_key:
            self.headers["Authorization"] = f"Bearer {api_key}"
        elif url.user is not None:
            credentials = base64.b64encode(f"{url.user}:{url.password or ''}".encode())
            self.headers["Authorization"] = f"Basic {credentials.decode()}"
        self.headers |= own
        self.url = url.with_user(None).with_path(base.removesuffix(path) + path, keep_query=True)
        self.proxy = proxy_for(self.url)
        self.dialect = Dialect()
        self.in_flight = 0
        self.successes = 0
        self.answered = 0.0
        """When the request was sent that was answered last."""
        self.refused_plainly = 0.0
        """When the plain prompt was sent that was refused last."""
        self.failures_in_a_row = 0
        self.down_since: float | None = None
        """When it stopped to listen; None while it does."""
        self.not_before = 0.0
        """A rest after failures or a rate limit, or when a dead one is tried again."""
        self.on_trial = False
        """It has rested, and has not answered since."""
        self.last_error = ""
        self.may_speak_tls = True
        """Nothing has come from it, and it was not asked yet whether it wants https."""

    def responded(self) -> None:
        """Something came back, be it an error: it is there."""
        if self.down_since is not None:
            log.warning("%s answers again", self.name)
            self.down_since = None
            self.not_before = 0.0

    def succeeded(self, sent: float) -> None:
        """A whole answer came to a request that was sent then."""
        self.successes += 1
        self.answered = max(self.answered, sent)
        self.may_speak_tls = False
        self.failures_in_a_row = 0
        self.on_trial = False

    def learn(self, dialect: Dialect) -> None:
        """It takes this dialect."""
        if dialect is self.dialect:
            return
        known, self.dialect = self.dialect, self.dialect.common(dialect)
        if known.n and not self.dialect.n:
            log.info("%s does not take n: each attempt is a request of its own", self.name)
        if known.seed and not self.dialect.seed:
            log.warning("%s does not take a seed: its answers can't be drawn again", self.name)

    def failed(self) -> None:
        """A failure of the server. One that only fails is quick to fail, so it would look the least busy: it rests."""
        self.failures_in_a_row += 1
        if self.failures_in_a_row >= _FAILURES_TO_REST:
            self.rest(_LONGEST_REST)

    def rest(self, seconds: float) -> None:
        """Ask the others first, if there are others; then try it with one request until it answers."""
        self.not_before = time.monotonic() + seconds
        self.on_trial = True

    def is_ready(self, now: float) -> bool:
        return self.down_since is None and self.not_before <= now and not (self.on_trial and self.in_flight)

    def unreachable(self, since: float, error: str, policy: RetryPolicy) -> None:
        """Nobody listened to a request that was sent at `since`."""
        now = time.monotonic()
        self.last_error = error
        if self.down_since is None:
            log.warning("%s can't be reached (%s), it is tried again", self.name, error)
            self.down_since = since
        # Waits as long again as it has been down, so the pauses double.
        self.not_before = now + max(policy.first_wait, min(now - self.down_since, _LONGEST_PAUSE))


class Endpoints:
    """Picks an endpoint for a request, and says when waiting for one has no more sense."""

    def __init__(
        self,
        base_urls: Sequence[str],
        path: str,
        api_key: str,
        policy: RetryPolicy,
        section: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        api_key = api_key.strip()
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigError(f"{section}.api_key has characters that no HTTP header can carry")
        self._all = [Endpoint(url, path, api_key, section, headers) for url in base_urls]
        self._policy = policy
        self._section = section

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    @property
    def take_n(self) -> bool:
        """Not one is known to ignore or refuse n > 1."""
        return all(endpoint.dialect.n for endpoint in self._all)

    @property
    def successes(self) -> int:
        return sum(endpoint.successes for endpoint in self._all)

    async def pick(self) -> Endpoint:
        """The least busy endpoint that is up, or a dead one whose time to be tried has come.

        Waits while all are dead; raises BackendUnavailable when they have been for longer than the patience.
        """
        while True:
            now = time.monotonic()
            for endpoint in self._all:
                if endpoint.down_since is not None and endpoint.not_before <= now:
                    # One request goes ahead; the others leave it out until that one tells how it is.
                    endpoint.not_before = now + _HEAD_START
                    return endpoint
            up = [endpoint for endpoint in self._all if endpoint.down_since is None]
            if up:
                ready = [endpoint for endpoint in up if endpoint.is_ready(now)]
                return min(ready or up, key=_busyness)
            self.check_patience()
            await asyncio.sleep(min(endpoint.not_before for endpoint in self._all) - now)

    def another_is_ready(self, endpoint: Endpoint) -> bool:
        now = time.monotonic()
        return any(other.is_ready(now) for other in self._all if other is not endpoint)

    def check_patience(self) -> None:
        """Raises BackendUnavailable where all have been dead for too long."""
        since = [endpoint.down_since for endpoint in self._all]
        if None in since:
            return
        patience = self._policy.outage_patience if self.successes else self._policy.startup_patience
        if time.monotonic() - max(moment for moment in since if moment is not None) < patience:
            return
        where = "; ".join(f"{endpoint.name} ({endpoint.last_error})" for endpoint in self._all)
        if self.successes:
            raise BackendUnavailable(
                f"no server can be reached any more, for {patience:.0f} s: {where}",
                "start it again, then run the same command again: it goes on from here",
            )
        raise BackendUnavailable(
            f"there is no server at {where}", f"start the server, or correct {self._section}.base_url"
        )


def _parse(base_url: str, path: str, key: str) -> URL:
    try:
        url = URL(base_url.strip())
        valid = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        valid = False
    if not valid:
        # The value is not shown: what can't be parsed can't be stripped of its password.
        shown = "" if "@" in base_url or "?" in base_url else f" {base_url!r}"
        raise ConfigError(
            f"{key}:{shown} is not an http or https URL",
            f"give the part before {path}, such as http://localhost:8000/v1",
        )
    return url


def _busyness(endpoint: Endpoint) -> tuple[int, int]:
    return endpoint.in_flight, endpoint.successes
