"""A client that posts JSON to one path of one or several servers: for protocols other than chat completions.

It retries what is worth a retry, waits out rate limits and outages, and spreads requests over the servers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import orjson

from rsr_cli.clients.endpoints import Endpoint, Endpoints
from rsr_cli.clients.failures import Failure, Fault, Redactor, failure_of_connection, failure_of_response
from rsr_cli.clients.open_files import allow_open_files
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import AuthError, BackendError, BackendUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

# Shorter than the 5 s of uvicorn (vLLM, SGLang), lest a request goes out on a connection that is just being closed.
_KEEP_ALIVE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0


class TimedOut(Failure):
    """A request that had no whole answer in time, each time it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostSettings:
    """What all requests of a client have in common. `section` is the config section that error texts point to."""

    base_urls: Sequence[str]
    """With or without a trailing /v1, which is taken off: `path` is put behind the rest."""
    path: str
    api_key: str = field(default="", repr=False)
    concurrent_requests: int = 50
    timeout: float = 300.0
    """Seconds for one request, from its sending to the last byte of its answer."""
    section: str = "verifier"


class JsonClient:
    """An async context. One limit on the concurrent requests holds for all servers together."""

    def __init__(self, settings: PostSettings, policy: RetryPolicy | None = None) -> None:
        """Raises ConfigError for a base URL or a key that can't be one."""
        self._settings = settings
        self._policy = policy or RetryPolicy(outage_patience=max(120.0, settings.timeout))
        self._endpoints = Endpoints(settings.base_urls, settings.api_key, self._policy, settings.section)
        for endpoint in self._endpoints:
            root = endpoint.url.path.removesuffix("/chat/completions").removesuffix("/v1")
            endpoint.url = endpoint.url.with_path(root + settings.path, keep_query=True)
        self._redact = Redactor(settings.api_key)
        self._slots = asyncio.Semaphore(settings.concurrent_requests)
        self._session: aiohttp.ClientSession | None = None
        self._last_success = 0.0
        self._failed_in_a_row = 0

    async def __aenter__(self) -> JsonClient:
        allow_open_files(self._settings.concurrent_requests)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S, ttl_dns_cache=300),
            # A total: a read timeout measures silence only, and a server that sends a byte a second is never silent.
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout, sock_connect=_CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """What `read` makes of the answer; it raises a ValueError where the answer is not of the right shape.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """
        try:
            content = orjson.dumps(body)
        except TypeError as error:
            raise Failure(Fault.PROMPT, f"the request can't be sent as JSON: {error}") from None
        failures = 0
        while True:
            try:
                async with self._slots:
                    answer = await self._ask(content, read)
            except Failure as failure:
                if failure.fault is not Fault.SERVER or failures == self._policy.max_retries:
                    self._count_failed(failure)
                    raise
                failures += 1
                # Waits without a slot: the server has others to answer meanwhile.
                await asyncio.sleep(self._policy.wait(failures, failure.wait_s))
            else:
                self._failed_in_a_row = 0
                self._last_success = time.monotonic()
                return answer

    async def _ask(self, content: bytes, read: Callable[[Any], T]) -> T:
        """Waits out rate limits and outages, which say nothing about the request; it keeps its slot meanwhile."""
        refusals = 0
        since = time.monotonic()
        while True:
            endpoint = await self._endpoints.pick()
            sent = time.monotonic()
            try:
                with endpoint.one_more():
                    answer = await self._send(endpoint, content, read)
            except Failure as failure:
                if failure.fault is Fault.UNREACHABLE:
                    endpoint.unreachable(sent, failure.message, self._policy)
                    self._endpoints.check_patience()
                elif failure.fault is Fault.RATE_LIMIT:
                    refusals += 1
                    self._check_rate_limit(endpoint, failure, since)
                    wait = self._policy.wait(refusals, failure.wait_s)
                    endpoint.rest(wait)
                    if not self._endpoints.another_is_ready(endpoint):
                        await asyncio.sleep(wait)
                else:
                    self._stop_run_if_hopeless(endpoint, failure)
                    if failure.fault is Fault.PATH:
                        failure.fault = Fault.SERVER
                    if failure.fault is Fault.SERVER:
                        endpoint.failed()
                    raise
            else:
                endpoint.succeeded(endpoint.dialect)
                return answer

    async def _send(self, endpoint: Endpoint, content: bytes, read: Callable[[Any], T]) -> T:
        """One request and its answer. Raises Failure, with a message that is fit to be shown."""
        assert self._session is not None, "the client is used outside its context"
        try:
            async with self._session.post(
                endpoint.url, data=content, headers=endpoint.headers, allow_redirects=False
            ) as response:
                body = await response.read()
                if response.status >= 300:
                    endpoint.responded()
                    raise failure_of_response(response.status, response.headers, body)
            return read(_parsed(body))
        except Failure as error:
            failure = error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            failure = failure_of_connection(error)
        except TimeoutError:
            failure = TimedOut(Fault.SERVER, f"no whole answer within {self._settings.timeout:g} s")
        except ValueError as error:
            failure = Failure(Fault.SERVER, str(error))
        except (aiohttp.ClientError, OSError) as error:
            failure = Failure(Fault.SERVER, f"{type(error).__name__}: {error}")
        failure.message = self._redact(failure.message)
        raise failure

    def _count_failed(self, failure: Failure) -> None:
        """Raises BackendUnavailable where nothing has worked for so long that it can't be the requests."""
        if failure.fault is not Fault.SERVER and self._endpoints.successes:
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self._policy.failures_in_a_row:
            raise BackendUnavailable(
                f"{self._failed_in_a_row} requests in a row failed, the last one with: {failure.message}",
                "see to the server, then run the same command again",
            ) from None

    def _check_rate_limit(self, endpoint: Endpoint, failure: Failure, since: float) -> None:
        waited = time.monotonic() - max(since, self._last_success)
        if waited >= self._policy.rate_limit_patience:
            raise BackendUnavailable(
                f"{endpoint.name}: rate limited for {waited:.0f} s without one answer: {failure.message}",
                "run the same command again later: it goes on from here",
            ) from None

    def _stop_run_if_hopeless(self, endpoint: Endpoint, failure: Failure) -> None:
        """Raises a BackendError for a failure that every other request would meet as well."""
        section = self._settings.section
        if failure.fault is Fault.ACCOUNT:
            raise AuthError(
                f"{endpoint.name} refuses the account: {failure.message}",
                f"check {section}.api_key, the account's access and its credit",
            ) from None
        if failure.fault is Fault.RUN or (failure.fault is Fault.PATH and not endpoint.successes):
            raise BackendError(
                f"{endpoint.name} refuses every request to {self._settings.path}: {failure.message}",
                f"check {section}.base_url, {section}.api and {section}.model",
            ) from None


def _parsed(body: bytes) -> Any:
    """The JSON document, with the NaN and Infinity that Python servers write; ValueError where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        kind = "an HTML page" if body.lstrip()[:1] == b"<" else "not whole JSON"
        raise ValueError(f"the answer is {kind}") from None
