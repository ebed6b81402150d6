"""A client for OpenAI-compatible chat completions, lean enough for thousands of requests per CPU-second.

It learns what each server takes of the protocol.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rsr_cli.clients.answers import Answer, read_answer
from rsr_cli.clients.averages import Average
from rsr_cli.clients.endpoints import Dialect, Endpoint
from rsr_cli.clients.estimates import tokens_in
from rsr_cli.clients.failures import Failure, Fault
from rsr_cli.clients.json_posts import Poster, PostSettings
from rsr_cli.clients.notices import Notices
from rsr_cli.clients.pacing import text_tokens
from rsr_cli.clients.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings(PostSettings):
    """The base URLs end where `path` begins."""

    path: str = "/chat/completions"
    model: str
    max_tokens: int
    params: Mapping[str, Any]
    """The other fields of the body: temperature, top_p, and what is passed through."""
    key_default: str = "the environment variable OPENAI_API_KEY"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`messages` is sent as it stands; n replies are asked for; a seed is sent to a server that takes one.

    `max_tokens` and `params` are the client's where they are None. `prompt_id` and `attempts` say whose it is, where
    requests must be told from each other.
    """

    messages: list[dict[str, Any]]
    n: int = 1
    seed: int | None = None
    max_tokens: int | None = None
    params: Mapping[str, Any] | None = None
    prompt_id: str = ""
    attempts: Sequence[int] = ()


_PLAIN = ChatRequest([{"role": "user", "content": "Say hello."}])


class ChatClient(Poster):
    """An async context. One limit on the concurrent requests holds for all endpoints together."""

    def __init__(self, settings: ChatSettings, policy: RetryPolicy | None = None) -> None:
        """Raises ConfigError for a base URL or a key that can't be one."""
        super().__init__(settings, policy)
        self._chat = settings
        self._reply_tokens = Average()
        self._notices = Notices()

    @property
    def takes_n(self) -> bool:
        """No endpoint is known to ignore or refuse n > 1."""
        return self._endpoints.take_n

    async def complete(self, request: ChatRequest) -> Answer:
        """The answer, which may have fewer choices than were asked for, or more.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """
        tokens = self._reckon(request) if self._pace.counts_tokens else 0.0
        about = f"prompt {request.prompt_id!r}" if request.prompt_id else ""
        answer = await self._persist(lambda endpoint: self._speak(endpoint, request), tokens, about)
        self._notices.tell(answer.notices)
        if self._pace.counts_tokens:
            completion = answer.completion_tokens
            if completion is None:
                completion = sum(tokens_in(choice.text, choice.reasoning) for choice in answer.choices)
            self._reply_tokens.add(completion / answer.returned)
            prompt_tokens = text_tokens(request.messages) if answer.prompt_tokens is None else answer.prompt_tokens
            self._pace.settle(tokens, prompt_tokens + completion)
        return answer

    def _reckon(self, request: ChatRequest) -> float:
        """The tokens that a request will use, if its replies are as long as those before them were."""
        longest = request.max_tokens or self._chat.max_tokens
        reply = self._reply_tokens.mean if self._reply_tokens.count else longest
        return text_tokens(request.messages) + request.n * reply

    async def _ask_plainly(self, endpoint: Endpoint) -> None:
        await self._speak(endpoint, _PLAIN)

    async def _speak(self, endpoint: Endpoint, request: ChatRequest) -> Answer:
        """Sends a request in the endpoint's dialect, and in a narrower one where that is refused.

        A narrower dialect is only remembered once it has worked.
        """
        dialect = endpoint.dialect
        read = partial(read_answer, max_tokens=request.max_tokens or self._chat.max_tokens)
        while True:
            sent = time.monotonic()
            try:
                answer = await self._send(endpoint, request_body(self._chat, request, dialect), read)
            except Failure as failure:
                other = narrower(dialect, request, failure)
                if other is None:
                    raise
                dialect = other
            else:
                answer.latency_s = time.monotonic() - sent
                answer.seed_sent = dialect.seed and request.seed is not None
                if answer.returned < request.n:
                    dialect = replace(dialect, n=False)
                endpoint.learn(dialect)
                return answer


def request_body(settings: ChatSettings, request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The body of a request, in a dialect."""
    body = {
        "model": settings.model,
        **(settings.params if request.params is None else request.params),
        "messages": request.messages,
        dialect.limit_field: request.max_tokens or settings.max_tokens,
    }
    if request.n > 1 and dialect.n:
        body["n"] = request.n
    if request.seed is not None and dialect.seed:
        body["seed"] = request.seed
    return body


def narrower(dialect: Dialect, request: ChatRequest, failure: Failure) -> Dialect | None:
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
