"""Batches of token sequences: of like length, within a budget, halved on out-of-memory, one failure at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.verifiers.rewards.token_batches import OutOfMemoryError, TokenBatcher, Tokens, padded_tokens


class FakeForward:
    """Scores a sequence by its sum. `room` is the padded tokens that fit, `bad` a token that breaks a batch."""

    def __init__(self, room: int | None = None, bad: int | None = None) -> None:
        self.batches: list[list[Tokens]] = []
        self.threads: set[int] = set()
        self.room = room
        self.bad = bad

    def __call__(self, batch: Sequence[Tokens]) -> list[list[float]]:
        self.batches.append(list(batch))
        self.threads.add(threading.get_ident())
        if self.room is not None and padded_tokens(batch) > self.room:
            raise OutOfMemoryError
        if any(self.bad in tokens for tokens in batch):
            raise IndexError("token out of range")
        return [[float(sum(tokens))] for tokens in batch]


async def score_all(forwards: Sequence[FakeForward], sequences: Sequence[Tokens], batch_tokens: int) -> list[Any]:
    async with TokenBatcher(forwards, batch_tokens) as batcher:
        return await asyncio.gather(*map(batcher.logits, sequences), return_exceptions=True)


async def test_batches_are_of_like_length_within_the_budget() -> None:
    forward = FakeForward()
    sequences = [[1] * length for length in (3, 50, 4, 48, 5, 200, 47)]
    assert await score_all([forward], sequences, 160) == [[float(len(tokens))] for tokens in sequences]
    assert [[len(tokens) for tokens in batch] for batch in forward.batches] == [[200], [50, 48, 47], [5, 4, 3]]
    assert forward.threads.isdisjoint({threading.get_ident()}), "the event loop is never blocked"


async def test_two_devices_share_the_work() -> None:
    barrier = threading.Barrier(2, timeout=5)

    class Meeting(FakeForward):
        def __call__(self, batch: Sequence[Tokens]) -> list[list[float]]:
            barrier.wait()
            return super().__call__(batch)

    forwards = [Meeting(), Meeting()]
    assert await score_all(forwards, [[number] * 10 for number in range(8)], 20) == [[10.0 * n] for n in range(8)]
    assert [len(forward.batches) for forward in forwards] == [2, 2]


async def test_a_batch_is_halved_on_out_of_memory_and_grows_again(caplog: pytest.LogCaptureFixture) -> None:
    forward = FakeForward(room=100)
    async with TokenBatcher([forward], 800) as batcher:
        assert await asyncio.gather(*(batcher.logits([1] * 10) for _ in range(100))) == [[10.0]] * 100
        assert [len(batch) for batch in forward.batches[:4]] == [80, 40, 20, 10]
        assert all(len(batch) == 10 for batch in forward.batches[3:])
        assert len(forward.batches) == 13
        forward.room = None
        for _ in range(6):
            await asyncio.gather(*(batcher.logits([1] * 10) for _ in range(100)))
    assert max(map(len, forward.batches[13:])) > 10
    assert caplog.text.count("out of memory") == 1, "it is said once"


async def test_a_sequence_that_does_not_fit_alone_takes_no_other_with_it() -> None:
    [huge, *others] = await score_all([FakeForward(room=100)], [[1] * 101, [1] * 60, [1] * 60, [1] * 5], 1000)
    assert isinstance(huge, OutOfMemoryError)
    assert others == [[60.0], [60.0], [5.0]]


async def test_a_sequence_that_fails_takes_no_other_with_it() -> None:
    found = await score_all([FakeForward(bad=7)], [[1], [7], [2, 2], [3, 3]], 100)
    assert isinstance(found.pop(1), IndexError)
    assert found == [[1.0], [4.0], [6.0]]


@given(
    lengths=st.lists(st.integers(1, 40), max_size=30),
    batch_tokens=st.integers(1, 200),
    room=st.integers(40, 300),
    devices=st.integers(1, 3),
)
def test_every_sequence_gets_its_own_score(lengths: list[int], batch_tokens: int, room: int, devices: int) -> None:
    sequences = [[index] * length for index, length in enumerate(lengths)]
    forwards = [FakeForward(room) for _ in range(devices)]
    found = asyncio.run(score_all(forwards, sequences, batch_tokens))
    assert found == [[float(sum(tokens))] for tokens in sequences]
    batches = [batch for forward in forwards for batch in forward.batches]
    assert all(len(batch) == 1 or padded_tokens(batch) <= batch_tokens for batch in batches)


async def test_a_request_that_is_given_up_is_not_scored() -> None:
    forward = FakeForward()
    async with TokenBatcher([forward], 10) as batcher:
        given_up = asyncio.create_task(batcher.logits([1] * 9))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await batcher.logits([2]) == [2.0]
    assert forward.batches[-1] == [[2]]


async def test_leaving_ends_what_still_waits() -> None:
    async with TokenBatcher([], 10) as batcher:
        waiting = asyncio.create_task(batcher.logits([1]))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
