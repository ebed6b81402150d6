from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from rsr_cli.clients.concurrency import Slots
from tests.samplers.drawing import draw, prompt, sampler, until
from tests.server import Ask, ModelServer, Scenario


async def test_first_come_first_served() -> None:
    slots = Slots(2)
    order: list[int] = []

    async def work(number: int) -> None:
        async with slots:
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(20)))
    assert order == list(range(20))
    assert slots.busy == 0


async def test_no_slot_is_lost_to_those_that_give_up() -> None:
    slots = Slots(3)
    most = 0

    async def work(seed: int) -> None:
        nonlocal most
        chance = random.Random(seed)
        async with slots:
            most = max(most, slots.busy)
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(seed)) for seed in range(300)]
    chance = random.Random(1)
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    assert sum(task.cancelled() for task in tasks) > 50
    assert most == 3
    assert slots.busy == 0
    await work(0)


async def test_one_cut_for_all_that_were_sent_before_it() -> None:
    slots = Slots(100)
    sent = time.monotonic()
    for _ in range(100):
        await slots.__aenter__()
    for _ in range(50):
        await slots.__aexit__()
        with slots.turned_away(sent):
            pass
    assert slots.limit == 70
    with slots.turned_away(time.monotonic()):
        assert slots.limit < 50


async def test_nobody_is_sent_in_the_place_of_one_that_was_turned_away() -> None:
    slots = Slots(1)
    with slots.turned_away(time.monotonic()):
        waiting = asyncio.create_task(slots.__aenter__())
        await asyncio.sleep(0.01)
        assert slots.busy == 0
    await waiting
    assert slots.busy == 1


async def test_a_few_more_with_each_round_of_answers() -> None:
    slots = Slots(100)
    for _ in range(100):
        await slots.__aenter__()
    while slots.limit > 10:
        with slots.turned_away(time.monotonic()):
            pass
    limits = [slots.limit]
    for _ in range(1000):
        slots.answered(time.monotonic(), slots.limit)
        limits.append(slots.limit)
    assert limits == sorted(limits)
    assert 2 <= limits[10] - limits[0] <= 3
    assert limits[-1] > 50
    for _ in range(9000):
        slots.answered(time.monotonic(), slots.limit)
    assert slots.limit == 100


async def test_a_server_that_takes_few_at_a_time_is_asked_for_few(model_server: ModelServer) -> None:
    scenario = model_server.scenario
    scenario.latency = lambda ask: 0.01
    scenario.fault = lambda number: "429" if model_server.open > 10 else None
    async with sampler(model_server.base_url, run_seed=1, concurrent_requests=100) as backend:
        completions = await draw(backend, range(300))
        assert backend.capacity < 40
        refused = sum(served.status == 429 for served in model_server.log)
        scenario.fault = None
        completions += await draw(backend, range(300, 1300))
        assert backend.capacity > 40
    assert all(completion.error is None for completion in completions)
    assert refused < 300


async def test_capacity_counts_those_that_wait_without_a_slot(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "500" if number == 0 else None
    patience: dict[str, Any] = {"first_wait": 30.0, "longest_wait": 30.0}
    async with sampler(model_server.base_url, concurrent_requests=5, patience=patience) as backend:
        task = asyncio.create_task(draw(backend))
        await until(lambda: backend.capacity == 6)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.capacity == 5


async def test_where_requests_queue_fewer_are_sent() -> None:
    slots = Slots(32)
    for _ in range(32):
        await slots.__aenter__()
    for number in range(200):
        sent_into = min(number + 1, 32)
        slots.answered(time.monotonic() - 0.01 * sent_into, sent_into)
    assert slots.limit < 20


async def test_a_hanging_endpoint_takes_no_more_than_its_share(model_servers: Any) -> None:
    hanging = model_servers(Scenario(fault=lambda number: "hang"))
    alive = model_servers(Scenario(latency=lambda ask: 0.002))
    urls = [hanging.base_url, alive.base_url]
    async with sampler(urls, run_seed=1, concurrent_requests=20, timeout=0.3) as backend:
        completions = await draw(backend, range(300))
    assert all(completion.error is None for completion in completions)
    assert 0 < hanging.peak <= 10
    assert len(hanging.log) <= 20


async def test_one_that_was_left_out_is_tried_with_one_request(model_servers: Any) -> None:
    limited, free = model_servers(Scenario(fault=lambda number: "429")), model_servers(Scenario())
    free.scenario.latency = slow
    async with sampler([limited.base_url, free.base_url], run_seed=1, concurrent_requests=20) as backend:
        completions = await draw(backend, range(100))
        turned_away = len(limited.log)
        assert backend.capacity == 20
        limited.scenario.fault = None
        limited.scenario.latency = slow
        await draw(backend, range(100, 300), prompt(id="later"))
    assert all(completion.error is None for completion in completions)
    assert turned_away <= 50
    assert len(limited.log) - turned_away > 50


async def test_a_server_that_was_stopped_and_started_gets_its_share_again(model_servers: Any) -> None:
    steady, stopped = model_servers(Scenario(latency=slow)), ModelServer(Scenario(latency=slow))
    async with AsyncExitStack() as stack:
        with stopped:
            urls = [steady.base_url, stopped.base_url]
            backend = await stack.enter_async_context(sampler(urls, run_seed=1, concurrent_requests=8))
            completions = await draw(backend, range(40))
        completions += await draw(backend, range(40, 80))
        with ModelServer(Scenario(latency=slow), stopped.port) as started:
            await asyncio.sleep(0.02)
            completions += await draw(backend, range(80, 200))
            assert len(started.log) > 30
    assert all(completion.error is None for completion in completions)


def slow(ask: Ask) -> float:
    return 0.005
