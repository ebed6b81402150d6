"""The watch over queueing, on simulated servers: requests are served in order, on so many slots, in simulated time."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from statistics import mean

import pytest

from rsr_cli.clients.queueing import QueueWatch

Service = Callable[[float, int], float]
"""Seconds for a request, given how far the run is (0 to 1) and how many are worked on."""


def simulate(
    service: Service, slots: int, most: int, answers: int, watch: QueueWatch | None
) -> tuple[list[int], float]:
    """The limit at each answer, and the seconds that the whole run took."""
    limit, now = most, 0.0
    busy = 0
    queue: deque[tuple[float, float]] = deque()
    working: list[tuple[float, float, float]] = []
    limits: list[int] = []
    while len(limits) < answers:
        while busy < limit:
            busy += 1
            queue.append((now, busy / limit))
        while queue and len(working) < slots:
            sent, share = queue.popleft()
            heapq.heappush(working, (now + service(len(limits) / answers, len(working)), sent, share))
        now, sent, share = heapq.heappop(working)
        busy -= 1
        advised = watch.advise(now, now - sent, sent_share=share, busy=busy, limit=limit) if watch else None
        limit = min(most, advised or limit)
        limits.append(limit)
    return limits, now


def spread(sigma: float, seed: int = 0) -> Service:
    """Lognormal with the mean 1."""
    chance = random.Random(seed)
    return lambda done, working: math.exp(chance.gauss(-(sigma**2) / 2, sigma))


@pytest.mark.parametrize("seed", range(10))
def test_a_heavy_tail_is_no_queue(seed: int) -> None:
    limits, _ = simulate(spread(1.2, seed), 64, 64, 3000, QueueWatch())
    assert set(limits) == {64}


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.2])
@pytest.mark.parametrize(("slots", "most"), [(16, 128), (64, 512), (64, 1000)])
def test_a_queue_is_made_shorter_and_no_less_gets_done(slots: int, most: int, sigma: float) -> None:
    answers = 20 * most
    limits, seconds = simulate(spread(sigma), slots, most, answers, QueueWatch())
    _, at_full = simulate(spread(sigma), slots, most, answers, None)
    assert mean(limits[-answers // 4 :]) <= most / 2
    assert seconds < 1.03 * at_full


def test_answers_that_take_longer_for_another_reason_cost_little() -> None:
    chance = spread(1.2)

    def ever_longer(done: float, working: int) -> float:
        return 6**done * chance(done, working)

    limits, seconds = simulate(ever_longer, 256, 256, 20_000, QueueWatch())
    _, at_full = simulate(ever_longer, 256, 256, 20_000, None)
    assert min(limits) < 256 == limits[-1], "it was tried, and taken back"
    assert seconds < 1.1 * at_full


def test_what_batches_gain_is_not_given_away() -> None:
    """Requests take longer the more are worked on, but more get done: 28 a second at 256, 26 at 128, 21 at 64."""
    chance = spread(0.5)

    def batched(done: float, working: int) -> float:
        return chance(done, working) * (1 + working / 32)

    limits, seconds = simulate(batched, 256, 256, 30_000, QueueWatch())
    _, at_full = simulate(batched, 256, 256, 30_000, None)
    assert limits[-1] == 256
    assert seconds < 1.03 * at_full
