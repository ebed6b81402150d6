"""Samples from any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, Ollama, hosted APIs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from rsr_cli.clients.answers import Answer, Choice
from rsr_cli.clients.chat_completions import ChatClient, ChatRequest, ChatSettings
from rsr_cli.clients.failures import Failure, Fault
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.config.settings import SamplerSettings
from rsr_cli.errors import ConfigError
from rsr_cli.types import Completion, Prompt

_OPENAI = "https://api.openai.com/v1"

# The fields of a request that have a setting of their own, or that rsr decides on.
_OWN_FIELDS = {
    "model": "use sampler.model",
    "messages": "it is the prompt's; see data.preprocess",
    "n": "use sampling.step_size",
    "temperature": "use sampler.temperature",
    "top_p": "use sampler.top_p",
    "max_tokens": "use sampler.max_tokens",
    "max_completion_tokens": "use sampler.max_tokens: the name that the server wants is found out",
    "seed": "use sampling.seed",
    "stream": "answers are taken whole; leave it out",
}


class OpenaiCompatibleApi:
    """A Sampler.

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
        self._client = ChatClient(
            ChatSettings(
                base_urls=settings.base_url or [_OPENAI],
                api_key=settings.api_key.get_secret_value(),
                model=settings.model,
                max_tokens=settings.max_tokens,
                params=_params(settings),
                concurrent_requests=settings.concurrent_requests,
                timeout=settings.timeout,
                section="sampler",
                once_mended="run the same command again; rsr sample --retry-errors asks again for these",
            ),
            policy or RetryPolicy(max_retries=settings.max_retries, outage_patience=max(120.0, settings.timeout)),
        )

    async def __aenter__(self) -> OpenaiCompatibleApi:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.__aexit__(*exc)

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        """One completion per attempt number, in order of arrival. Raises BackendError where the run can't go on."""
        if not attempts:
            return
        together = self._run_seed is None and self._client.takes_n
        draws = [list(attempts)] if together else [[attempt] for attempt in attempts]
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

    async def _draw(self, prompt: Prompt, attempts: Sequence[int]) -> tuple[list[Completion], Sequence[int]]:
        """One request: the completions it brought, and the attempts that it left without one."""
        seed = None if self._run_seed is None else attempt_seed(self._run_seed, prompt.id, attempts[0])
        try:
            answer = await self._client.complete(ChatRequest(prompt.messages, len(attempts), seed))
        except Failure as failure:
            return [self._failed(attempt, failure) for attempt in attempts], ()
        answer_seed = seed if answer.seed_sent else None
        choices = answer.choices[: len(attempts)]
        tokens = share_tokens(answer.completion_tokens, choices)
        completions = [
            self._completion(attempt, choice, answer, count, answer_seed)
            for attempt, choice, count in zip(attempts, choices, tokens, strict=False)
        ]
        if answer.prompt_tokens is not None:
            completions[1:] = [replace(completion, prompt_tokens=0) for completion in completions[1:]]
        return completions, attempts[len(choices) :]

    def _completion(
        self, attempt: int, choice: Choice, answer: Answer, tokens: int | None, seed: int | None
    ) -> Completion:
        dropped = choice.finish_reason == "length" and self._settings.drop_truncated
        return Completion(
            attempt=attempt,
            response=None if dropped else choice.text,
            reasoning=None if dropped else choice.reasoning,
            finish_reason=choice.finish_reason,
            model=answer.model or self._settings.model,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=tokens,
            seed=seed,
            latency_s=answer.latency_s,
        )

    def _failed(self, attempt: int, failure: Failure) -> Completion:
        return Completion(
            attempt=attempt,
            response=None,
            finish_reason="content_filter" if failure.fault is Fault.FILTERED else "error",
            model=self._settings.model,
            error=failure.message,
        )


def attempt_seed(run_seed: int, prompt_id: str, attempt: int) -> int:
    """A seed of its own for each attempt of each prompt, 0 <= seed < 2**31, the same in every run."""
    identity = f"{run_seed}\0{prompt_id}\0{attempt}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(identity, digest_size=4).digest()) & 0x7FFF_FFFF


def share_tokens(total: int | None, choices: Sequence[Choice]) -> list[int | None]:
    """Shares the completion tokens of a response out over its choices by their length; the shares add up to it."""
    if total is None or len(choices) == 1:
        return [total] * len(choices)
    lengths = [len(choice.text or "") + len(choice.reasoning or "") + 1 for choice in choices]
    whole = sum(lengths)
    shares: list[int | None] = []
    given = passed = 0
    for length in lengths:
        passed += length
        share = total * passed // whole - given
        given += share
        shares.append(share)
    return shares


def _params(settings: SamplerSettings) -> dict[str, Any]:
    own = {"temperature": settings.temperature, "top_p": settings.top_p}
    return {name: value for name, value in own.items() if value is not None} | settings.extra_params


def _check_extra_params(extra_params: dict[str, Any]) -> None:
    for key in extra_params:
        if key in _OWN_FIELDS:
            raise ConfigError(f"sampler.extra_params.{key}: this field can't be passed through", _OWN_FIELDS[key])
    try:
        orjson.dumps(extra_params)
    except TypeError as error:
        raise ConfigError(f"sampler.extra_params can't be sent as JSON: {error}") from None
