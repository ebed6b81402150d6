"""Post JSON to one or several servers: what the clients of all protocols share, and the client of the plain ones.

It retries what is worth a retry, waits out rate limits and outages, and spreads requests over the servers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import aiohttp
from yarl import URL

from rsr_cli.clients.bodies import error_body, read_body, reading, whole_body, write_body
from rsr_cli.clients.concurrency import Slots
from rsr_cli.clients.endpoints import Endpoint, Endpoints
from rsr_cli.clients.failures import Failure, Fault, Redactor, failure_of_connection, failure_of_response
from rsr_cli.clients.open_files import claim_connections
from rsr_cli.clients.pacing import Pace
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import AuthError, BackendError, BackendUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

# Shorter than the 5 s of uvicorn (vLLM, SGLang), lest a request goes out on a connection that is just being closed.
_KEEP_ALIVE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0
_WARN_EVERY_S = 60.0
_LARGEST_HEADER = 1 << 20
_MOST_HEADERS = 10_000
_ASKED_AGAIN_IF_PAID = 2
"""How often a request is asked again whose answers came but can't be used: each costs as much as the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostSettings:
    """What all requests of a client have in common. `section` is the config section that error texts point to."""

    base_urls: Sequence[str]
    path: str
    """Put behind each base URL."""
    api_key: str = field(default="", repr=False)
    concurrent_requests: int = 50
    """The most; fewer where the servers turn requests away or let them queue."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    """Of prompts and completions together."""
    timeout: float = 300.0
    """Seconds for one request, from its sending to the last byte of its answer."""
    section: str = "verifier"
    key_default: str = ""
    """Where the key is from if the config gives none, for error texts."""
    once_mended: str = "run the same command again"
    """What is left to do about requests that failed, once their server works; for error texts."""


class Poster:
    """An async context that a client is built on. One limit on the concurrent requests holds for all servers together,
    and so do the limits per minute.

    A client hands `_persist` a function that asks one endpoint, with as many calls of `_send` as its protocol needs.
    """

    def __init__(self, settings: PostSettings, policy: RetryPolicy | None = None) -> None:
        """Raises ConfigError for a base URL or a key that can't be one."""
        self._settings = settings
        self._policy = policy or RetryPolicy(outage_patience=max(120.0, settings.timeout))
        self._endpoints = Endpoints(settings.base_urls, settings.path, settings.api_key, self._policy, settings.section)
        self._redact = Redactor(settings.api_key)
        self._slots = Slots(settings.concurrent_requests)
        self._pace = Pace(settings.requests_per_minute, settings.tokens_per_minute)
        self._session: aiohttp.ClientSession | None = None
        self._claim = ExitStack()
        self._last_success = 0.0
        self._last_warning = 0.0
        self._failed_in_a_row = 0
        self._in_trouble = 0
        """The requests under way that have failed at least once."""
        self._pausing = 0
        """Of those, the ones that wait to be sent again."""

    @property
    def capacity(self) -> int:
        """How many requests may be under way now, beside those that have failed and wait without a slot."""
        return self._slots.limit + self._pausing

    async def __aenter__(self) -> Self:
        connections = self._claim.enter_context(claim_connections(self._settings.concurrent_requests))
        self._slots.cap(connections)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S, ttl_dns_cache=300),
            # A total: a read timeout measures silence only, and a server that sends a byte a second is never silent.
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout, sock_connect=_CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Gateways send security policies of 9 kB and echoes of the request; with the 8 kB that aiohttp takes the
            # answer would be lost.
            max_line_size=_LARGEST_HEADER,
            max_field_size=_LARGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._claim.close()
        if self._session is not None:
            await self._session.close()

    async def _persist(self, ask: Callable[[Endpoint], Awaitable[T]], tokens: float = 0.0) -> T:
        """What `ask` brings from the first endpoint that answers it, for about so many tokens.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """
        began = time.monotonic()
        failures = refusals = paid = 0
        try:
            while True:
                try:
                    async with self._slots:
                        await self._pace.admit(tokens)
                        endpoint = await self._endpoints.pick()
                        busy, sent = self._slots.busy, time.monotonic()
                        answer = await ask(endpoint)
                except Failure as failure:
                    self._pace.settle(tokens, 0)
                    self._tell(endpoint, failure, sent)
                    if failure.fault is Fault.RATE_LIMIT:
                        refusals += 1
                        await self._wait_out_rate_limit(endpoint, failure, refusals, began, sent)
                    elif failure.fault is not Fault.UNREACHABLE:
                        paid += failure.paid
                        last = failures == self._policy.max_retries or paid > _ASKED_AGAIN_IF_PAID
                        if failure.fault is not Fault.SERVER or last:
                            self._count_failed(failure, began)
                            raise
                        failures += 1
                        self._in_trouble += failures == 1
                        await self._pause(self._policy.wait(failures, failure.wait_s))
                else:
                    self._failed_in_a_row = 0
                    self._last_success = time.monotonic()
                    self._slots.answered(sent, busy)
                    return answer
        finally:
            self._in_trouble -= failures > 0

    def _tell(self, endpoint: Endpoint, failure: Failure, sent: float) -> None:
        """Tells the endpoint of a failure. Raises a BackendError where the run can't go on."""
        if failure.fault is Fault.UNREACHABLE:
            endpoint.unreachable(sent, failure.message, self._policy)
            self._endpoints.check_patience()
        elif failure.fault is not Fault.RATE_LIMIT:
            self._stop_run_if_hopeless(endpoint, failure)
            if failure.fault is Fault.PATH:
                failure.fault = Fault.SERVER
            if failure.fault is Fault.SERVER:
                endpoint.failed()

    async def _wait_out_rate_limit(
        self, endpoint: Endpoint, failure: Failure, refusals: int, since: float, sent: float
    ) -> None:
        """Lets another endpoint take the request; where there is none, fewer are sent and this one waits.

        Nobody is sent in its place meanwhile, so the more requests are turned away, the fewer are sent.
        """
        self._check_rate_limit(endpoint, failure, since)
        wait = self._policy.wait(refusals, failure.wait_s)
        endpoint.rest(wait)
        if not self._endpoints.another_is_ready(endpoint):
            with self._slots.turned_away(sent):
                await asyncio.sleep(wait)

    async def _pause(self, seconds: float) -> None:
        """Waits without a slot: the server has others to answer meanwhile."""
        self._pausing += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._pausing -= 1

    async def _send(self, endpoint: Endpoint, document: Mapping[str, Any], read: Callable[[bytes], T]) -> T:
        """One request, and what `read` makes of the answer. Raises Failure, with a message that is fit to be shown."""

        async def whole(response: aiohttp.ClientResponse) -> T:
            return reading(read, await whole_body(response))

        return await self._exchange(endpoint, "POST", endpoint.url, whole, data=write_body(document))

    async def _exchange(
        self,
        endpoint: Endpoint,
        method: str,
        url: URL,
        receive: Callable[[aiohttp.ClientResponse], Awaitable[T]],
        **options: Any,
    ) -> T:
        """One request of any method to a URL of this endpoint; `options` go to aiohttp in place of the usual ones."""
        assert self._session is not None, "the client is used outside its context"
        usual: dict[str, Any] = {"headers": endpoint.headers, "allow_redirects": False}
        endpoint.in_flight += 1
        try:
            async with self._session.request(method, url, **usual | options) as response:
                endpoint.responded()
                if response.status >= 300:
                    raise failure_of_response(response.status, response.headers, await error_body(response))
                answer = await receive(response)
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
