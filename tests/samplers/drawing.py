"""Draws completions from a test server by the API sampler, with waits that a test can afford."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.config.settings import SamplerSettings
from rsr_cli.samplers.openai_compatible_api import OpenaiCompatibleApi
from rsr_cli.types import Completion, Prompt

QUICK: dict[str, Any] = {
    "max_retries": 10,
    "first_wait": 0.001,
    "longest_wait": 0.01,
    "startup_patience": 0.2,
    "outage_patience": 1.0,
    "refusal_patience": 0.3,
}


def prompt(text: str = "What is 3 + 4?", id: str = "sum") -> Prompt:
    return Prompt(id, [{"role": "user", "content": text}], {})


def sampler(
    base_url: str | list[str], run_seed: int | None = None, patience: dict[str, Any] | None = None, **settings: Any
) -> OpenaiCompatibleApi:
    chosen: dict[str, Any] = {"base_url": base_url, "timeout": 5.0, **settings}
    policy = RetryPolicy(**{**QUICK, **(patience or {})})
    return OpenaiCompatibleApi(SamplerSettings(**chosen), run_seed, policy=policy)


async def draw(
    backend: OpenaiCompatibleApi, attempts: Sequence[int] = (0,), of: Prompt | None = None
) -> list[Completion]:
    """The completions in the order of their numbers; the sampler has been entered."""
    completions = [completion async for completion in backend.sample(of or prompt(), attempts)]
    return sorted(completions, key=lambda completion: completion.attempt)


async def draw_once(
    base_url: str | list[str], attempts: Sequence[int] = (0,), run_seed: int | None = None, **settings: Any
) -> list[Completion]:
    async with sampler(base_url, run_seed, **settings) as backend:
        return await draw(backend, attempts)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - it is true of a server in another thread
            await asyncio.sleep(0.005)
