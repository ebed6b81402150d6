"""Gathers requests to score into batches of like length, under a budget of padded tokens that memory sets."""

from __future__ import annotations

import asyncio
import logging
from bisect import insort
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

log = logging.getLogger(__name__)

Tokens = Sequence[int]
Forward = Callable[[Sequence[Tokens]], list[list[float]]]
"""From a batch of token ids to its logits, of shape (batch, labels). Raises OutOfMemoryError."""

_FITTING_TO_GROW = 16


class OutOfMemoryError(Exception):
    """The batch does not fit into the memory of its device."""


class TokenBatcher:
    """Scores token sequences, each forward function in a thread of its own. An async context.

    The longest waiting go first, so that padding is little and a lack of memory shows at once. A batch that runs out
    of memory is split, and one that fails otherwise is scored one by one: no sequence takes others with it.
    """

    def __init__(self, forwards: Sequence[Forward], batch_tokens: int) -> None:
        """One forward function per device. `batch_tokens` is the most padded tokens of a batch; a longer sequence
        goes alone."""
        self._forwards = forwards
        self._batch_tokens = batch_tokens
        self._waiting: list[_Request] = []
        """From the shortest to the longest."""
        self._arrived = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> TokenBatcher:
        self._workers = [asyncio.create_task(self._work(forward)) for forward in self._forwards]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for request in self._waiting:
            request.future.cancel()

    async def logits(self, tokens: Tokens) -> list[float]:
        """One number per label. Raises OutOfMemoryError where the sequence alone does not fit, and whatever the
        forward function raises for it alone."""
        request = _Request(tokens, asyncio.get_running_loop().create_future())
        self._put_back([request])
        return await request.future

    async def _work(self, forward: Forward) -> None:
        budget = _Budget(self._batch_tokens)
        # Its exit waits for the batch under way: a model must not be torn down while it is at work.
        with ThreadPoolExecutor(1, thread_name_prefix="reward-model") as thread:
            while True:
                while not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                    # Let the others that were made ready together with the first one arrive too.
                    await asyncio.sleep(0)
                if batch := self._take(budget.tokens):
                    await self._score(batch, forward, thread, budget)

    async def _score(
        self, batch: list[_Request], forward: Forward, thread: ThreadPoolExecutor, budget: _Budget
    ) -> None:
        """Every request of the batch is answered, or put back."""
        sequences = [request.tokens for request in batch]
        try:
            rows = await asyncio.get_running_loop().run_in_executor(thread, forward, sequences)
            for request, row in zip(batch, rows, strict=True):
                request.answer(row)
        except asyncio.CancelledError:
            for request in batch:
                request.future.cancel()
            raise
        except OutOfMemoryError as error:
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                budget.ran_out(padded_tokens(sequences))
                self._put_back(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                for request in batch:
                    request.alone = True
                self._put_back(batch)
        else:
            budget.fitted()

    def _take(self, budget: int) -> list[_Request]:
        """The longest request, and as many of the next ones as go into the budget with it."""
        batch: list[_Request] = []
        while self._waiting:
            request = self._waiting[-1]
            if batch and (request.alone or batch[0].alone or (len(batch) + 1) * len(batch[0].tokens) > budget):
                break
            self._waiting.pop()
            if not request.future.done():
                batch.append(request)
        return batch

    def _put_back(self, requests: Sequence[_Request]) -> None:
        for request in requests:
            insort(self._waiting, request, key=lambda waiting: len(waiting.tokens))
        self._arrived.set()


def padded_tokens(sequences: Sequence[Tokens]) -> int:
    """The tokens of a batch, padding included."""
    return len(sequences) * max(map(len, sequences))


@dataclass(slots=True, eq=False)
class _Request:
    tokens: Tokens
    future: asyncio.Future[list[float]]
    alone: bool = False
    """It was in a batch that failed: it is tried again by itself."""

    def answer(self, row: list[float]) -> None:
        if not self.future.done():
            self.future.set_result(row)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Budget:
    """The padded tokens that a batch may have on one device: halved when memory runs out, grown again later.

    What else lies in the memory of a shared device comes and goes, and the batches differ: one failure is not for good.
    """

    def __init__(self, most: int) -> None:
        self.tokens = most
        self._most = most
        self._fitting_in_a_row = 0
        self._warned = False

    def ran_out(self, padded: int) -> None:
        """A batch of several sequences, of so many padded tokens, did not fit."""
        self.tokens = padded // 2
        self._fitting_in_a_row = 0
        if not self._warned:
            log.warning("out of memory with %d padded tokens: smaller batches (see verifier.batch_tokens)", padded)
            self._warned = True

    def fitted(self) -> None:
        self._fitting_in_a_row += 1
        if self._fitting_in_a_row >= _FITTING_TO_GROW and self.tokens < self._most:
            self.tokens = min(self._most, self.tokens * 2)
            self._fitting_in_a_row = 0
