"""Samples from any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, Ollama, hosted APIs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

import orjson

from rsr_cli.clients.answers import Answer, Choice, share_tokens
from rsr_cli.clients.chat_completions import ChatClient, ChatRequest, ChatSettings
from rsr_cli.clients.failures import Failure, Fault
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.config.settings import SamplerSettings, header_texts
from rsr_cli.errors import ConfigError
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.samplers.continuing import CONTINUING_FIELDS, continued, open_message, redrawn
from rsr_cli.samplers.params import OWN_FIELDS, Params, common_params, request_params
from rsr_cli.samplers.seeds import attempt_seed
from rsr_cli.types import Completion, Prompt

OPENAI = "https://api.openai.com/v1"


class Completer(Protocol):
    """Answers chat requests, as a `ChatClient` does."""

    @property
    def capacity(self) -> int: ...

    @property
    def takes_n(self) -> bool: ...

    @property
    def asked_again(self) -> int: ...

    async def __aenter__(self) -> Completer: ...

    async def __aexit__(self, *exc: Any) -> None: ...

    async def complete(self, request: ChatRequest) -> Answer: ...


class OpenaiCompatibleApi(Sampler):
    """Draws by HTTP.

    Without a run seed one request asks for all the attempts of a draw, where the server takes n. With one, every
    attempt is a request of its own, seeded from (run seed, prompt id, attempt), so no two share a seed.

    Token counts: the rows add up to what the server counted. A prompt that was read once for several choices stands
    in the first of their rows and is 0 in the others; the completion tokens, told for all choices together, are shared
    out by the length of the texts.
    """

    def __init__(
        self, settings: SamplerSettings, run_seed: int | None = None, *, policy: RetryPolicy | None = None
    ) -> None:
        """Raises ConfigError. `policy` overrides how failures are waited out."""
        _check_extra_params(settings.extra_params)
        self._settings = settings
        self._run_seed = run_seed
        self._common = common_params(settings)
        self._client = self._make_client(
            policy or RetryPolicy(max_retries=settings.max_retries, outage_patience=max(120.0, settings.timeout))
        )

    def _make_client(self, policy: RetryPolicy) -> Completer:
        settings = self._settings
        chat = ChatSettings(
            base_urls=settings.base_url or [OPENAI],
            api_key=settings.api_key.get_secret_value(),
            headers=header_texts(settings.headers),
            model=settings.model,
            max_tokens=settings.max_tokens,
            params=self._common.fields(),
            concurrent_requests=settings.concurrent_requests,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            timeout=settings.timeout,
            section="sampler",
            once_mended="run the same command again; rsr sample --retry-errors asks again for these",
        )
        return ChatClient(chat, policy)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.__aexit__(*exc)

    @property
    def capacity(self) -> int:
        return self._client.capacity

    @property
    def asked_again(self) -> int:
        """How many requests are under way that have failed, been turned away or refused at least once."""
        return self._client.asked_again

    @property
    def together(self) -> bool:
        return self._run_seed is None and self._client.takes_n

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        """One completion per attempt number, in order of arrival. Raises BackendError where the run can't go on."""
        if not attempts:
            return
        draws = [list(attempts)] if self.together else [[attempt] for attempt in attempts]
        if len(draws) == 1:
            completions, left = await self._draw(prompt, draws[0])
            for completion in completions:
                yield completion
            if not left:
                return
            draws = [[attempt] for attempt in left]
        tasks = {asyncio.create_task(self._draw(prompt, draw)) for draw in draws}
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                # The failed ones last: what arrived together with a failure was paid for.
                for task in sorted(done, key=lambda task: task.exception() is not None):
                    completions, left = task.result()
                    for completion in completions:
                        yield completion
                    tasks |= {asyncio.create_task(self._draw(prompt, [attempt])) for attempt in left}
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def extend(self, prompt: Prompt, cut: Completion, *, max_tokens: int, from_prefix: bool) -> Completion:
        """One more request for an attempt that was cut: from its prefix, or from its start with the same seed.

        The completion is that of the whole attempt, with the tokens and the time of this request added to those of the
        cut one; or one with an `error`. Raises BackendError where the run can't go on.
        """
        params = self._params_of(prompt)
        request = self._request(prompt, [cut.attempt], params)
        if from_prefix:
            messages = [*prompt.messages, open_message(cut)]
            request = replace(request, messages=messages, params=params.fields() | CONTINUING_FIELDS)
        try:
            answer = await self._client.complete(replace(request, max_tokens=max_tokens))
        except Failure as failure:
            return self._failed(cut.attempt, failure, params)
        more = self._completion(cut.attempt, answer.choices[0], answer, answer.completion_tokens, request.seed, params)
        return continued(cut, more) if from_prefix else redrawn(cut, more)

    async def _draw(self, prompt: Prompt, attempts: Sequence[int]) -> tuple[list[Completion], Sequence[int]]:
        """One request: the completions it brought, and the attempts that it left without one."""
        try:
            params = self._params_of(prompt)
        except ValueError as error:
            failure = Failure(Fault.PROMPT, str(error))
            return [self._failed(attempt, failure, self._common) for attempt in attempts], ()
        request = self._request(prompt, attempts, params)
        try:
            answer = await self._client.complete(request)
        except Failure as failure:
            return [self._failed(attempt, failure, params) for attempt in attempts], ()
        choices = answer.choices[: len(attempts)]
        tokens = share_tokens(answer.completion_tokens, choices)
        completions = [
            self._completion(attempt, choice, answer, count, request.seed, params)
            for attempt, choice, count in zip(attempts, choices, tokens, strict=False)
        ]
        if answer.prompt_tokens is not None:
            completions[1:] = [replace(completion, prompt_tokens=0) for completion in completions[1:]]
        return completions, attempts[len(choices) :]

    def _params_of(self, prompt: Prompt) -> Params:
        return request_params(self._settings, prompt) if "sampling" in prompt.metadata else self._common

    def _request(self, prompt: Prompt, attempts: Sequence[int], params: Params) -> ChatRequest:
        seed = None if self._run_seed is None else attempt_seed(self._run_seed, prompt.id, attempts[0])
        if params is self._common:
            return ChatRequest(prompt.messages, len(attempts), seed, prompt_id=prompt.id, attempts=attempts)
        return ChatRequest(
            prompt.messages, len(attempts), seed, params.max_tokens, params.fields(), prompt.id, attempts
        )

    def _completion(
        self, attempt: int, choice: Choice, answer: Answer, tokens: int | None, seed: int | None, params: Params
    ) -> Completion:
        dropped = choice.finish_reason == "length" and self._settings.drop_truncated
        return Completion(
            attempt=attempt,
            response=None if dropped else choice.text,
            reasoning=None if dropped else choice.reasoning,
            tool_calls=None if dropped else choice.tool_calls,
            finish_reason=choice.finish_reason,
            model=answer.model or self._settings.model,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=tokens,
            seed=seed if answer.seed_sent else None,
            latency_s=answer.latency_s,
            params=params.text,
        )

    def _failed(self, attempt: int, failure: Failure, params: Params) -> Completion:
        return Completion(
            attempt=attempt,
            response=None,
            finish_reason="content_filter" if failure.fault is Fault.FILTERED else "error",
            model=self._settings.model,
            error=failure.message,
            params=params.text,
        )


def _check_extra_params(extra_params: dict[str, Any]) -> None:
    for key in extra_params:
        if key in OWN_FIELDS:
            raise ConfigError(f"sampler.extra_params.{key}: this field can't be passed through", OWN_FIELDS[key])
    try:
        orjson.dumps(extra_params)
    except TypeError as error:
        raise ConfigError(f"sampler.extra_params can't be sent as JSON: {error}") from None
