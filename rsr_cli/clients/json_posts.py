"""Post JSON to one or several servers: what the clients of all protocols share, and the client of the plain ones.

It retries what is worth a retry, waits out rate limits and outages, and spreads requests over the servers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import aiohttp

from rsr_cli.clients.bodies import read_body, write_body
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
_WARN_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostSettings:
    """What all requests of a client have in common. `section` is the config section that error texts point to."""

    base_urls: Sequence[str]
    path: str
    """Put behind each base URL."""
    api_key: str = field(default="", repr=False)
    concurrent_requests: int = 50
    timeout: float = 300.0
    """Seconds for one request, from its sending to the last byte of its answer."""
    section: str = "verifier"
    key_default: str = ""
    """Where the key is from if the config gives none, for error texts."""
    once_mended: str = "run the same command again"
    """What is left to do about requests that failed, once their server works; for error texts."""


class Poster:
    """An async context that a client is built on. One limit on the concurrent requests holds for all servers together.

    A client hands `_persist` a function that asks one endpoint, with as many calls of `_send` as its protocol needs.
    """

    def __init__(self, settings: PostSettings, policy: RetryPolicy | None = None) -> None:
        """Raises ConfigError for a base URL or a key that can't be one."""
        self._settings = settings
        self._policy = policy or RetryPolicy(outage_patience=max(120.0, settings.timeout))
        self._endpoints = Endpoints(settings.base_urls, settings.path, settings.api_key, self._policy, settings.section)
        self._redact = Redactor(settings.api_key)
        self._slots = asyncio.Semaphore(settings.concurrent_requests)
        self._session: aiohttp.ClientSession | None = None
        self._last_success = 0.0
        self._last_warning = 0.0
        self._failed_in_a_row = 0
        self._in_trouble = 0
        """The requests under way that have failed at least once."""

    async def __aenter__(self) -> Self:
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

    async def _persist(self, ask: Callable[[Endpoint], Awaitable[T]]) -> T:
        """What `ask` brings from the first endpoint that answers it.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """
        began = time.monotonic()
        failures = 0
        try:
            while True:
                try:
                    async with self._slots:
                        answer = await self._wait_out(ask)
                except Failure as failure:
                    if failure.fault is not Fault.SERVER or failures == self._policy.max_retries:
                        self._count_failed(failure, began)
                        raise
                    failures += 1
                    self._in_trouble += failures == 1
                    # Waits without a slot: the server has others to answer meanwhile.
                    await asyncio.sleep(self._policy.wait(failures, failure.wait_s))
                else:
                    self._failed_in_a_row = 0
                    self._last_success = time.monotonic()
                    return answer
        finally:
            self._in_trouble -= failures > 0

    async def _wait_out(self, ask: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Waits out rate limits and outages, which say nothing about the request.

        It keeps its slot meanwhile, so the more requests are turned away, the fewer are sent.
        """
        refusals = 0
        since = time.monotonic()
        while True:
            endpoint = await self._endpoints.pick()
            sent = time.monotonic()
            try:
                return await ask(endpoint)
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

    async def _send(self, endpoint: Endpoint, document: Mapping[str, Any], read: Callable[[bytes], T]) -> T:
        """One request, and what `read` makes of the answer. Raises Failure, with a message that is fit to be shown."""
        assert self._session is not None, "the client is used outside its context"
        body = write_body(document)
        endpoint.in_flight += 1
        try:
            async with self._session.post(
                endpoint.url, data=body, headers=endpoint.headers, allow_redirects=False
            ) as response:
                content = await response.read()
                endpoint.responded()
                if response.status >= 300:
                    raise failure_of_response(response.status, response.headers, content)
            answer = read(content)
        except Failure as error:
            failure = error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            failure = failure_of_connection(error)
        except TimeoutError:
            message = f"no whole answer within {self._settings.timeout:g} s"
            failure = Failure(Fault.SERVER, message, timed_out=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = Failure(Fault.SERVER, f"{type(error).__name__}: {error}")
        else:
            endpoint.succeeded()
            return answer
        finally:
            endpoint.in_flight -= 1
        failure.message = self._redact(failure.message)
        raise failure

    def _count_failed(self, failure: Failure, began: float) -> None:
        """Raises BackendUnavailable where nothing has worked for so long that it can't be the requests."""
        if failure.fault is not Fault.SERVER and self._endpoints.successes:
            return
        self._failed_in_a_row += 1
        failing = self._failed_in_a_row
        if self._last_success < began:
            # All through this request's retries nothing came back to the others either: they are about to follow it.
            failing += self._in_trouble
        if failing >= self._policy.failures_in_a_row:
            raise BackendUnavailable(
                f"{failing} requests in a row failed, the last one with: {failure.message}",
                f"see to the server, then {self._settings.once_mended}",
            ) from None

    def _check_rate_limit(self, endpoint: Endpoint, failure: Failure, since: float) -> None:
        now = time.monotonic()
        waited = now - max(since, self._last_success)
        if waited >= self._policy.rate_limit_patience:
            raise BackendUnavailable(
                f"{endpoint.name}: rate limited for {waited:.0f} s without one answer: {failure.message}",
                "run the same command again later: it goes on from here",
            ) from None
        if now - self._last_warning > _WARN_EVERY_S:
            self._last_warning = now
            log.warning("%s: rate limited, waiting: %s", endpoint.name, failure.message)

    def _stop_run_if_hopeless(self, endpoint: Endpoint, failure: Failure) -> None:
        """Raises a BackendError for a failure that every other request would meet as well."""
        if failure.fault is Fault.ACCOUNT:
            settings = self._settings
            default = f" (by default {settings.key_default})" if settings.key_default else ""
            raise AuthError(
                f"{endpoint.name} refuses the account: {failure.message}",
                f"check {settings.section}.api_key{default}, the account's access and its credit",
            ) from None
        if failure.fault is Fault.RUN or (failure.fault is Fault.PATH and not endpoint.successes):
            raise self._refusal(endpoint, failure) from None

    def _refusal(self, endpoint: Endpoint, failure: Failure) -> BackendError:
        path, section = self._settings.path, self._settings.section
        hint = failure.hint.format(section=section, path=path) if failure.hint else None
        return BackendError(f"{endpoint.name} refuses every request to {path}: {failure.message}", hint)


class JsonClient(Poster):
    """An async context, for an API whose path is beside /v1: base URLs may be given with it or without."""

    def __init__(self, settings: PostSettings, policy: RetryPolicy | None = None) -> None:
        """Raises ConfigError for a base URL or a key that can't be one."""
        super().__init__(settings, policy)
        for endpoint in self._endpoints:
            root = endpoint.url.path.removesuffix(settings.path).removesuffix("/v1")
            endpoint.url = endpoint.url.with_path(root + settings.path, keep_query=True)

    async def post(self, document: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """What `read` makes of the answer; it raises a ValueError where the answer is not of the right shape.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """

        def read_answer(body: bytes) -> T:
            answer = read_body(body)
            try:
                return read(answer)
            except ValueError as error:
                raise Failure(Fault.SERVER, str(error)) from None

        return await self._persist(lambda endpoint: self._send(endpoint, document, read_answer))
