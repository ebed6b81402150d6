"""A client for OpenAI-compatible chat completions, lean enough for thousands of requests per CPU-second.

It retries what is worth a retry, learns what each server takes, and spreads requests over several servers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import orjson

from rsr_cli.clients.answers import Answer, read_answer
from rsr_cli.clients.endpoints import Dialect, Endpoint, Endpoints
from rsr_cli.clients.failures import Failure, Fault, Redactor, failure_of_connection, failure_of_response
from rsr_cli.clients.open_files import allow_open_files
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import AuthError, BackendError, BackendUnavailable

log = logging.getLogger(__name__)

# Shorter than the 5 s of uvicorn (vLLM, SGLang), lest a request goes out on a connection that is just being closed.
_KEEP_ALIVE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0
_WARN_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """What all requests of a client have in common. `section` is the config section that error texts point to."""

    base_urls: Sequence[str]
    api_key: str = field(repr=False)
    model: str
    max_tokens: int
    params: Mapping[str, Any]
    """The other fields of the body: temperature, top_p, and what is passed through."""
    concurrent_requests: int = 50
    timeout: float = 300.0
    """Seconds for one request, from its sending to the last byte of its answer."""
    section: str = "sampler"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`messages` is sent as it stands; n replies are asked for; a seed is sent to a server that takes one."""

    messages: list[dict[str, Any]]
    n: int = 1
    seed: int | None = None


_PLAIN = ChatRequest([{"role": "user", "content": "Say hello."}])


class ChatClient:
    """An async context. One limit on the concurrent requests holds for all endpoints together."""

    def __init__(self, settings: ChatSettings, policy: RetryPolicy | None = None) -> None:
        self._settings = settings
        self._policy = policy or RetryPolicy(outage_patience=max(120.0, settings.timeout))
        self._endpoints = Endpoints(settings.base_urls, settings.api_key, self._policy, settings.section)
        self._redact = Redactor(settings.api_key)
        self._common_fields = {"model": settings.model, **settings.params}
        self._slots = asyncio.Semaphore(settings.concurrent_requests)
        self._trying = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._last_success = 0.0
        self._last_warning = 0.0
        self._failed_in_a_row = 0
        self._in_trouble = 0
        """The requests under way that have failed at least once."""

    async def __aenter__(self) -> ChatClient:
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

    @property
    def takes_n(self) -> bool:
        """No endpoint is known to ignore or refuse n > 1."""
        return self._endpoints.take_n

    async def complete(self, request: ChatRequest) -> Answer:
        """The answer, which may have fewer choices than were asked for, or more.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """
        began = time.monotonic()
        failures = 0
        try:
            while True:
                try:
                    async with self._slots:
                        answer = await self._ask(request)
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

    async def _ask(self, request: ChatRequest) -> Answer:
        """Waits out rate limits and outages, which say nothing about the request.

        It keeps its slot meanwhile, so the more requests are turned away, the fewer are sent.
        """
        refusals = 0
        since = time.monotonic()
        while True:
            endpoint = await self._endpoints.pick()
            sent = time.monotonic()
            try:
                with endpoint.one_more():
                    return await self._speak(endpoint, request)
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
                    if failure.fault is Fault.REQUEST and not endpoint.successes:
                        await self._try_plain_prompt(endpoint, failure)
                    if failure.fault is Fault.SERVER:
                        endpoint.failed()
                    raise

    async def _try_plain_prompt(self, endpoint: Endpoint, refusal: Failure) -> None:
        """Something was refused for no clear cause, before anything has worked: is it this prompt, or every one?

        Raises a BackendError where the plainest of prompts is refused as well.
        """
        async with self._trying:
            if endpoint.successes:
                return
            try:
                await self._speak(endpoint, _PLAIN)
            except Failure as failure:
                self._stop_run_if_hopeless(endpoint, failure)
                if failure.fault in (Fault.RATE_LIMIT, Fault.UNREACHABLE, Fault.SERVER):
                    raise Failure(Fault.SERVER, refusal.message) from None
                raise _refused(endpoint, refusal, self._settings.section) from None

    async def _speak(self, endpoint: Endpoint, request: ChatRequest) -> Answer:
        """Sends a request in the endpoint's dialect, and in a narrower one where that is refused.

        A narrower dialect is only remembered once it has worked.
        """
        dialect = endpoint.dialect
        while True:
            try:
                answer = await self._post(endpoint, self._body(request, dialect))
            except Failure as failure:
                if failure.status is not None:
                    endpoint.responded()
                narrower = _narrower(dialect, request, failure)
                if narrower is None:
                    raise
                dialect = narrower
            else:
                endpoint.succeeded(dialect)
                if dialect.n and answer.returned < request.n:
                    endpoint.ignores_n()
                answer.seed_sent = dialect.seed and request.seed is not None
                return answer

    def _body(self, request: ChatRequest, dialect: Dialect) -> bytes:
        body = {
            **self._common_fields,
            "messages": request.messages,
            dialect.limit_field: self._settings.max_tokens,
        }
        if request.n > 1 and dialect.n:
            body["n"] = request.n
        if request.seed is not None and dialect.seed:
            body["seed"] = request.seed
        try:
            return orjson.dumps(body)
        except TypeError as error:
            raise Failure(Fault.PROMPT, f"the messages can't be sent as JSON: {error}") from None

    async def _post(self, endpoint: Endpoint, body: bytes) -> Answer:
        """One request and its answer. Raises Failure, with a message that is fit to be shown."""
        assert self._session is not None, "the client is used outside its context"
        sent = time.monotonic()
        try:
            async with self._session.post(
                endpoint.url, data=body, headers=endpoint.headers, allow_redirects=False
            ) as response:
                content = await response.read()
                if response.status >= 300:
                    raise failure_of_response(response.status, response.headers, content)
            answer = read_answer(content)
        except Failure as error:
            failure = error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            failure = failure_of_connection(error)
        except TimeoutError:
            failure = Failure(Fault.SERVER, f"no whole answer within {self._settings.timeout:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = Failure(Fault.SERVER, f"{type(error).__name__}: {error}")
        else:
            answer.latency_s = time.monotonic() - sent
            return answer
        failure.message = self._redact(failure.message)
        raise failure

    def _count_failed(self, failure: Failure, began: float) -> None:
        """Raises BackendUnavailable where nothing has worked for so long that it can't be the prompts."""
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
                "see to the server, then run the same command again; rsr sample --retry-errors asks again for these",
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
        section = self._settings.section
        if failure.fault is Fault.ACCOUNT:
            raise AuthError(
                f"{endpoint.name} refuses the account: {failure.message}",
                f"check {section}.api_key (by default the environment variable OPENAI_API_KEY), "
                "the account's access and its credit",
            ) from None
        if failure.fault is Fault.RUN or (failure.fault is Fault.PATH and not endpoint.successes):
            raise _refused(endpoint, failure, section) from None


def _refused(endpoint: Endpoint, failure: Failure, section: str) -> BackendError:
    hint = failure.hint.format(section=section) if failure.hint else None
    return BackendError(f"{endpoint.name} refuses every request: {failure.message}", hint)


def _narrower(dialect: Dialect, request: ChatRequest, failure: Failure) -> Dialect | None:
    """The dialect to try after a refusal, None where the refusal has nothing to do with it."""
    if failure.status not in (400, 422) or failure.fault not in (Fault.REQUEST, Fault.RUN):
        return None
    text = failure.message.lower()
    if dialect.limit_field == "max_tokens" and "max_completion_tokens" in text:
        return replace(dialect, limit_field="max_completion_tokens")
    if dialect.seed and request.seed is not None and (failure.param == "seed" or "seed" in text):
        return replace(dialect, seed=False)
    if dialect.n and request.n > 1 and failure.fault is Fault.REQUEST:
        return replace(dialect, n=False)
    return None
