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

from rsr_cli import secrecy
from rsr_cli.clients.bodies import error_body, read_body, reading, whole_body, write_body
from rsr_cli.clients.concurrency import Slots
from rsr_cli.clients.endpoints import Endpoint, Endpoints
from rsr_cli.clients.failures import (
    Failure,
    Fault,
    failure_of_connection,
    failure_of_proxy,
    failure_of_response,
    failure_of_transport,
    fit_to_show,
)
from rsr_cli.clients.open_files import claim_connections
from rsr_cli.clients.pacing import Pace
from rsr_cli.clients.refusals import Refusals, Tries
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.clients.running_clock import RunningClock
from rsr_cli.clients.tls import failure_if_tls
from rsr_cli.errors import BackendUnavailable
from rsr_cli.words import counted

log = logging.getLogger(__name__)

T = TypeVar("T")

# Shorter than the 5 s of uvicorn (vLLM, SGLang), lest a request goes out on a connection that is just being closed.
_KEEP_ALIVE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0
_WARN_EVERY_S = 60.0
_SILENT_S = 10.0
_MANY, _MANY_SHARE = 3, 0.1
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
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent beside the usual ones; their values are secrets."""
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
        self._endpoints = Endpoints(
            settings.base_urls, settings.path, settings.api_key, self._policy, settings.section, settings.headers
        )
        secrecy.keep(secrecy.of_settings([settings.api_key, *settings.headers.values()], named=True))
        self._slots = Slots(settings.concurrent_requests)
        self._pace = Pace(settings.requests_per_minute, settings.tokens_per_minute)
        self._session: aiohttp.ClientSession | None = None
        self._claim = ExitStack()
        self._refusals = Refusals(
            self._policy,
            self._ask_plainly,
            section=settings.section,
            path=settings.path,
            key_default=settings.key_default,
        )
        self._clock = RunningClock()
        self._entered = 0.0
        self._last_success = 0.0
        self._last_warning = -_WARN_EVERY_S
        self.asked_again = 0
        """How many requests are under way that have failed, been turned away or refused at least once."""
        self._failed_in_a_row = 0
        self._in_trouble = 0
        """Of those, the ones that the server has failed."""
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
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Gateways send security policies of 9 kB and echoes of the request; with the 8 kB that aiohttp takes the
            # answer would be lost.
            max_line_size=_LARGEST_HEADER,
            max_field_size=_LARGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        self._clock.start()
        self._entered = self._clock.time()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._clock.stop()
        self._claim.close()
        if self._session is not None:
            await self._session.close()

    async def _persist(self, ask: Callable[[Endpoint], Awaitable[T]], tokens: float = 0.0, about: str = "") -> T:
        """What `ask` brings from the first endpoint that answers it, for about so many tokens; `about` is for errors.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """
        tries = Tries(self._clock.time(), about)
        try:
            while True:
                try:
                    async with self._slots:
                        await self._pace.admit(tokens)
                        endpoint = await self._endpoints.pick()
                        busy, sent = self._slots.busy, time.monotonic()
                        try:
                            answer = await ask(endpoint)
                        except Failure as failure:
                            await self._refusals.find_out(endpoint, failure, tries, sent)
                            raise
                except Failure as failure:
                    self._pace.settle(tokens, 0)
                    if not tries.failed:
                        tries.failed = True
                        self.asked_again += 1
                    await self._until_asked_again(endpoint, failure, tries, sent)
                else:
                    self._failed_in_a_row = 0
                    self._last_success = self._clock.time()
                    self._slots.answered(sent, busy)
                    return answer
        finally:
            self.asked_again -= tries.failed
            self._in_trouble -= tries.failures > 0

    async def _until_asked_again(self, endpoint: Endpoint, failure: Failure, tries: Tries, sent: float) -> None:
        """Waits, where the request is to be sent again. Raises the failure where it has failed for good, a BackendError
        where the run can't go on."""
        match failure.fault:
            case Fault.UNREACHABLE:
                if failure.hint and not endpoint.successes:
                    hint = failure.hint.format(section=self._settings.section)
                    raise BackendUnavailable(f"{endpoint.name} can't be reached: {failure.message}", hint) from None
                endpoint.unreachable(sent, failure.message, self._policy)
                self._endpoints.check_patience()
            case Fault.RATE_LIMIT | Fault.REFUSED:
                tries.turned_away += 1
                if self._is_turned_away_alone(endpoint, failure, tries):
                    failure.fault = Fault.SERVER
                    self._count_failed(failure, tries.began)
                    raise failure
                await self._wait_until_let_in(endpoint, failure, tries, sent)
            case Fault.UNCLEAR:
                await self._pause(self._policy.wait(tries.refusals, failure.wait_s))
            case Fault.SERVER:
                endpoint.failed()
                tries.paid += failure.paid
                if tries.failures == self._policy.max_retries or tries.paid > _ASKED_AGAIN_IF_PAID:
                    self._count_failed(failure, tries.began)
                    raise failure
                tries.failures += 1
                self._in_trouble += tries.failures == 1
                self._say_what_is_asked_again(endpoint, failure)
                await self._pause(self._policy.wait(tries.failures, failure.wait_s))
            case _:
                self._count_failed(failure, tries.began)
                raise failure

    def _is_turned_away_alone(self, endpoint: Endpoint, failure: Failure, tries: Tries) -> bool:
        """Words of throttling under a status that does not mean it, again and again, where others are answered."""
        words_only = failure.cause is Fault.RATE_LIMIT and failure.status not in (None, 429)
        return words_only and tries.turned_away > self._policy.max_retries and endpoint.successes > 0

    async def _wait_until_let_in(self, endpoint: Endpoint, failure: Failure, tries: Tries, sent: float) -> None:
        """Lets another endpoint take the request; where there is none, fewer are sent and this one waits.

        Nobody is sent in its place meanwhile, so the more requests are turned away, the fewer are sent.
        """
        self._check_turned_away(endpoint, failure, tries)
        wait = self._policy.wait(tries.turned_away, failure.wait_s)
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
        proxy = endpoint.proxy
        if proxy is not None:
            usual["proxy"] = proxy.url
        # For all of it: a read timeout measures silence only, and a server that sends a byte a second is never silent.
        limit = None if "timeout" in options else self._settings.timeout
        endpoint.in_flight += 1
        sent = time.monotonic()
        try:
            with self._clock.watching(asyncio.timeout(limit)) as deadline:
                async with deadline, self._session.request(method, url, **usual | options) as response:
                    if proxy is not None and response.status == 407:
                        raise failure_of_proxy(response.status, str(proxy))
                    endpoint.responded()
                    if response.status >= 300:
                        raise failure_of_response(response.status, response.headers, await error_body(response))
                    answer = await receive(response)
        except Failure as error:
            failure = error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            failure = failure_of_connection(error, str(proxy) if proxy else None)
        except aiohttp.ClientHttpProxyError as error:
            failure = failure_of_proxy(error.status, str(proxy))
        except TimeoutError:
            message = f"no whole answer within {self._settings.timeout:g} s"
            failure = Failure(Fault.SERVER, message, timed_out=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = failure_of_transport(error)
            if endpoint.may_speak_tls and url.scheme == "http" and proxy is None:
                endpoint.may_speak_tls = False
                failure = await failure_if_tls(url) or failure
        else:
            endpoint.succeeded(sent)
            return answer
        finally:
            endpoint.in_flight -= 1
        failure.message = fit_to_show(failure.message)
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
                f"{counted(failing, 'requests')} in a row failed, the last one with: {failure.message}",
                f"see to the server, then {self._settings.once_mended}",
            ) from None

    def _check_turned_away(self, endpoint: Endpoint, failure: Failure, tries: Tries) -> None:
        """Raises a BackendError where a rate limit, or a refusal of everything, has lasted for too long."""
        now = self._clock.time()
        if tries.turned_away_since is None:
            tries.turned_away_since = now
        waited = now - max(tries.turned_away_since, self._last_success)
        if failure.fault is Fault.REFUSED:
            if waited >= self._refusals.patience(failure):
                raise self._refusals.refusal(endpoint, failure, tries) from None
            what = "refuses a plain prompt too"
        else:
            sure = failure.status == 429 and failure.cause is Fault.RATE_LIMIT
            if waited >= (self._policy.rate_limit_patience if sure else self._policy.quota_patience):
                raise BackendUnavailable(
                    f"{endpoint.name}: rate limited for {waited:.0f} s without one answer: {failure.message}",
                    "check the account's limits and its credit, then run the same command again: it goes on from here",
                ) from None
            what = "rate limited"
        self._warn(endpoint, f"{what}, waiting: {failure.message}")

    def _say_what_is_asked_again(self, endpoint: Endpoint, failure: Failure) -> None:
        """At once where many requests fail, else when nothing has come for a while: a single failure is no news."""
        silent = self._clock.time() - max(self._last_success, self._entered) > _SILENT_S
        if silent or self._in_trouble >= max(_MANY, _MANY_SHARE * self._slots.limit):
            count = counted(self._in_trouble, "requests") + (" are" if self._in_trouble > 1 else " is")
            self._warn(endpoint, f"{count} being asked again, the latest after: {failure.message}")

    def _warn(self, endpoint: Endpoint, what: str) -> None:
        """Once a minute."""
        now = time.monotonic()
        if now - self._last_warning > _WARN_EVERY_S:
            self._last_warning = now
            log.warning("%s: %s", endpoint.name, what)

    async def _ask_plainly(self, endpoint: Endpoint) -> None:
        """Send the plainest of all requests, to see whether an endpoint takes any. Raises Failure."""
        raise Failure(Fault.REFUSED, "there is no plain request of this protocol")


class JsonClient(Poster):
    """An async context, for an API whose path is beside /v1: base URLs may be given with it or without.

    `plain` is a request that any server of this API takes, if it takes any.
    """

    def __init__(
        self, settings: PostSettings, policy: RetryPolicy | None = None, plain: Mapping[str, Any] | None = None
    ) -> None:
        """Raises ConfigError for a base URL or a key that can't be one."""
        super().__init__(settings, policy)
        self._plain = plain
        for endpoint in self._endpoints:
            root = endpoint.url.path.removesuffix(settings.path).removesuffix("/v1")
            endpoint.url = endpoint.url.with_path(root + settings.path, keep_query=True)

    async def post(self, document: Mapping[str, Any], read: Callable[[Any], T], about: str = "") -> T:
        """What `read` makes of the answer; it raises a ValueError where the answer is not of the right shape.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """

        def read_answer(body: bytes) -> T:
            answer = read_body(body)
            try:
                return read(answer)
            except ValueError as error:
                raise Failure(Fault.SERVER, str(error)) from None

        return await self._persist(lambda endpoint: self._send(endpoint, document, read_answer), about=about)

    async def _ask_plainly(self, endpoint: Endpoint) -> None:
        if self._plain is None:
            return await super()._ask_plainly(endpoint)
        return await self._send(endpoint, self._plain, lambda body: None)
