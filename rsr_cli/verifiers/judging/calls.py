"""Put a question to an LLM until its reply can be read: the part that all judges share."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar
from weakref import WeakValueDictionary

from pydantic import Field, PrivateAttr, SecretStr, field_validator

from rsr_cli.clients.answers import Answer
from rsr_cli.clients.chat_completions import ChatSettings
from rsr_cli.clients.estimates import tokens_in
from rsr_cli.clients.failures import Failure
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.config.settings import Headers, Params, Price, Settings, header_texts
from rsr_cli.errors import first_error
from rsr_cli.secrecy import without_secrets
from rsr_cli.verifiers.judging.cache import CallCache
from rsr_cli.verifiers.judging.client import SchemaClient
from rsr_cli.verifiers.judging.judgement import Unreadable
from rsr_cli.verifiers.judging.ledger import Spent

T = TypeVar("T")

_OPENAI = "https://api.openai.com/v1"
_OWN_FIELDS = {
    "model", "messages", "n", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stream",
    "response_format",
}  # fmt: skip


@dataclass(slots=True)
class Bill:
    """What a call took: the requests that were answered and their tokens, None while the server tells none."""

    asked: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def add(self, other: Bill | Answer) -> None:
        self.asked += other.asked if isinstance(other, Bill) else 1
        self.prompt_tokens = _sum(self.prompt_tokens, other.prompt_tokens)
        self.completion_tokens = _sum(self.completion_tokens, other.completion_tokens)


@dataclass(slots=True)
class Call(Generic[T]):
    """One question and what became of it: what was read from the reply, or a failure and why.

    `key` is what it is cached under; `model` is the one that answered, by its server's word.
    """

    key: str
    model: str
    bill: Bill = field(default_factory=Bill)
    found: T | None = None
    failure: Literal["timeout", "error"] | None = None
    why: str = ""

    def record(self) -> dict[str, Any]:
        """For the details of a verdict."""
        failed = {"failure": self.failure, "why": self.why} if self.failure else {}
        return {"key": self.key, **asdict(self.bill), **failed}


class LlmOptions(Settings):
    """The options of every judge, its connection and its cache. An async context; `reply_schema` is what it answers."""

    no_verdict_change: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "api_key", "headers", "concurrent_requests", "timeout", "max_retries", "price"}
    )

    model: str
    """The judge, by the name that its server knows."""
    base_url: list[str] | None = None
    """A URL or a list of URLs (the least busy one is used); null: https://api.openai.com/v1."""
    api_key: SecretStr | None = None
    """null: the environment variable OPENAI_API_KEY."""
    headers: Headers = Field(default_factory=dict)
    """Sent with every request; the values are secrets."""
    temperature: float | None = Field(0.0, ge=0)
    """null: not sent, for models that refuse it."""
    top_p: float | None = Field(1.0, gt=0, le=1)
    """null: not sent."""
    max_tokens: int = Field(2048, ge=1)
    """A reply that is cut can't be read: leave room for the thinking of a judge that thinks."""
    concurrent_requests: int = Field(50, ge=1)
    timeout: float = Field(300, gt=0)
    """Seconds for one request, from its sending to the last byte of its answer."""
    max_retries: int = Field(10, ge=0)
    """How often one request is sent again after a failure of the server."""
    extra_params: Params = Field(default_factory=dict)
    """Passed through to the server (reasoning_effort, top_k, chat_template_kwargs …)."""
    price: Price = Price()
    """Money per million tokens of the judge: it counts in the cost of the work dir, and in sampling.cost_budget."""
    json_schema: bool = True
    """Have the server hold the judge to a JSON schema. A refusal is found out; off for a server that does it badly."""
    reasks: int = Field(2, ge=0)
    """How often the judge is asked again after a reply that can't be read."""

    _spent: Spent = PrivateAttr(default_factory=Spent)
    _retry_policy: RetryPolicy | None = PrivateAttr(None)
    _cache_directory: Path | None = PrivateAttr(None)
    _cache: CallCache | None = PrivateAttr(None)
    _client: SchemaClient | None = PrivateAttr(None)
    _under_way: WeakValueDictionary[str, asyncio.Lock] = PrivateAttr(default_factory=WeakValueDictionary)

    @field_validator("base_url", mode="before")
    @classmethod
    def _one_url_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("extra_params")
    @classmethod
    def _only_fields_of_others(cls, value: dict[str, Any]) -> dict[str, Any]:
        if own := sorted(_OWN_FIELDS & value.keys()):
            raise ValueError(f"{own[0]} can't be passed through: the judge sets it")
        return value

    @property
    def reply_schema(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def cost(self) -> float:
        """What this judge was paid since it was made."""
        return money(self._spent, self.price)

    def cache_in(self, directory: Path) -> None:
        """Keep the judge's answers in a file there and take them from it. To be called before entering."""
        self._cache_directory = directory

    async def __aenter__(self) -> Self:
        """Raises ConfigError for a bad URL or key, WorkDirError for a damaged cache."""
        client = SchemaClient(self._chat_settings(), self.reply_schema if self.json_schema else None, self._policy())
        if self._cache_directory is not None:
            self._cache = CallCache(self._cache_directory)
        self._client = await client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            if self._client is not None:
                await self._client.__aexit__(*exc)
        finally:
            if self._cache is not None:
                self._cache.close()
            self._client = self._cache = None

    async def ask(self, prompt: str, read: Callable[[str], T], vote: int = 0) -> Call[T]:
        """The judge's answer to a user message, as `read` finds it; `read` raises Unreadable.

        Votes of different numbers are answers of their own. Raises BackendError where the run can't go on.
        """
        call: Call[T] = Call(self._key(prompt, vote), self.model)
        # Replies of the same words make the same prompt: the second waits, and finds the first one's answer.
        lock = self._under_way.setdefault(call.key, asyncio.Lock())
        async with lock:
            if self._recall(call, prompt, vote, read):
                return call
            try:
                text = await self._ask_until_readable(prompt, read, call)
            except Failure as failure:
                call.failure = "timeout" if failure.timed_out else "error"
                call.why = failure.message
            except Unreadable as error:
                call.failure = "error"
                call.why = f"the judge's reply could not be read, {call.bill.asked} times; last, {error}"
            else:
                if self._cache is not None:
                    answer = {"text": text, "model": call.model, **asdict(call.bill)}
                    self._cache.put(call.key, prompt, answer)
        return call

    async def _ask_until_readable(self, prompt: str, read: Callable[[str], T], call: Call[T]) -> str:
        """Fills in the call and returns the reply. Raises Failure, or the Unreadable of the last re-ask."""
        assert self._client is not None, "the judge is used outside its context"
        message = prompt
        while True:
            answer = await self._client.complete(message)
            call.bill.add(answer)
            self._pay(message, answer)
            call.model = answer.model or self.model
            try:
                text = _whole_text(answer)
                call.found = read(text)
            except Unreadable as error:
                if call.bill.asked > self.reasks:
                    raise
                # Other words than before, since at temperature 0 the same ones bring the same reply. That reply is
                # not shown again: it may quote what it judges outside any fence.
                message = f"{prompt}\n\nYour last answer could not be used: {error}. Give the JSON object alone."
            else:
                return text

    def _pay(self, message: str, answer: Answer) -> None:
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        said = [text for choice in answer.choices for text in (choice.text, choice.reasoning)]
        spent = Spent(
            1,
            tokens_in(message) if prompt is None else prompt,
            tokens_in(*said) if completion is None else completion,
            int(prompt is None or completion is None),
        )
        self._spent.add(spent)
        if self._cache is not None:
            self._cache.pay(self.model, spent)

    def _recall(self, call: Call[T], prompt: str, vote: int, read: Callable[[str], T]) -> bool:
        """Fills in the call from the cache; False where there is no answer that can be read today."""
        keys = (call.key, self._key(prompt, vote, by_value=True))
        kept = next(filter(None, map(self._cache.get, keys)), None) if self._cache is not None else None
        if kept is None:
            return False
        try:
            call.found = read(kept["text"])
        except Unreadable:
            return False
        call.model = kept["model"]
        call.bill = Bill(kept["asked"], kept["prompt_tokens"], kept["completion_tokens"])
        return True

    def _key(self, prompt: str, vote: int, *, by_value: bool = False) -> str:
        """The same with another secret; `by_value` is the key of the first versions, which knew none of them."""
        params = self._params() if by_value else without_secrets(self._params())
        asked = json.dumps([self.model, params, self.max_tokens, prompt, vote], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    def _params(self) -> dict[str, Any]:
        own = {"temperature": self.temperature, "top_p": self.top_p}
        return {name: value for name, value in own.items() if value is not None} | self.extra_params

    def _chat_settings(self) -> ChatSettings:
        key = os.environ.get("OPENAI_API_KEY", "") if self.api_key is None else self.api_key.get_secret_value()
        return ChatSettings(
            base_urls=self.base_url or [_OPENAI],
            api_key=key,
            headers=header_texts(self.headers),
            model=self.model,
            max_tokens=self.max_tokens,
            params=self._params(),
            concurrent_requests=self.concurrent_requests,
            timeout=self.timeout,
        )

    def _policy(self) -> RetryPolicy:
        patience = max(120.0, self.timeout)
        return self._retry_policy or RetryPolicy(max_retries=self.max_retries, outage_patience=patience)


def money(spent: Spent, price: Price) -> float:
    """The cost at prices per million tokens."""
    return (spent.prompt_tokens * price.prompt + spent.completion_tokens * price.completion) / 1e6


async def all_of(tasks: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of coroutines that run side by side, in order. The first error ends them all and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(task) for task in tasks]
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None
    return [task.result() for task in running]


def _whole_text(answer: Answer) -> str:
    choice = answer.choices[0]
    if choice.finish_reason == "length":
        raise Unreadable("it was cut at its limit of tokens")
    if choice.finish_reason == "content_filter":
        raise Unreadable("it was filtered")
    if choice.text is None or not choice.text.strip():
        raise Unreadable("it was empty")
    return choice.text


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)
