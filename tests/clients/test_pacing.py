from __future__ import annotations

import asyncio
import time

import pytest

from rsr_cli.clients.pacing import Pace, text_tokens
from tests.samplers.drawing import draw, sampler
from tests.server import ModelServer, Reply


async def test_no_limit_is_no_wait() -> None:
    pace = Pace(None, None)
    async with asyncio.timeout(5):
        for _ in range(10_000):
            await pace.admit(1e9)


async def test_requests_keep_to_their_pace(model_server: ModelServer) -> None:
    async with sampler(model_server.base_url, run_seed=1, requests_per_minute=6000) as backend:
        began = time.monotonic()
        await draw(backend, range(130))
    assert time.monotonic() - began >= 0.29, "100 at once, then 100 a second"


async def test_what_was_turned_away_counts_again(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "500" if number < 20 else None
    async with sampler(model_server.base_url, run_seed=1, requests_per_minute=6000) as backend:
        began = time.monotonic()
        await draw(backend, range(110))
    assert len(model_server.log) == 130
    assert time.monotonic() - began >= 0.25


async def test_tokens_keep_to_their_pace_and_are_settled(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("12", completion_tokens=95)
    limits = {"max_tokens": 2000, "tokens_per_minute": 600_000, "concurrent_requests": 1}
    async with sampler(model_server.base_url, run_seed=1, **limits) as backend:
        began = time.monotonic()
        await draw(backend, range(130))
        seconds = time.monotonic() - began
    # 5 tokens of prompt: 13,000 in all, of which 10,000 may go at once. By max_tokens it would be 26 times as many.
    assert 0.25 <= seconds < 5


async def test_the_first_goes_at_once_and_pays_later() -> None:
    pace = Pace(None, 6000)
    await pace.admit(1_000_000)
    waiting = asyncio.create_task(pace.admit(1))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    pace.settle(1_000_000, 10)
    await asyncio.wait_for(waiting, 5)


async def test_one_that_gives_up_blocks_nobody() -> None:
    pace = Pace(6000, None)
    for _ in range(100):
        await pace.admit()
    first, second = asyncio.create_task(pace.admit()), asyncio.create_task(pace.admit())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 5)
    with pytest.raises(asyncio.CancelledError):
        await first


def test_the_tokens_of_texts() -> None:
    parts = [{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 4000}}]
    messages = [{"role": "system", "content": "12345678"}, {"role": "user", "content": parts}, {"role": "assistant"}]
    assert text_tokens(messages) == (8 + 4 + len("[image_url]")) / 4
