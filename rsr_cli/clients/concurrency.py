"""How many requests may be under way: fewer where the servers turn them away or let them queue, then more again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rsr_cli.clients.queueing import QueueWatch

log = logging.getLogger(__name__)

_CUT = 0.7
_STEPS_TO_THE_TOP = 50


class Slots:
    """Slots for requests, handed out first come, first served: `async with slots:`.

    There are `limit` of them, at first as many as there may ever be. A rate limit takes some away, once for all the
    requests that were sent before that; so does a queue at the servers. Each round of answers gives a few back.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._step = max(1.0, most / _STEPS_TO_THE_TOP)
        self._busy = 0
        self._turned_away = 0
        """Requests that wait for a rate limit to pass. They have no slot, but nobody else is sent in their place."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._cut_at = 0.0
        self._watch = QueueWatch()

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def busy(self) -> int:
        """The slots that are taken."""
        return self._busy

    def cap(self, most: int) -> None:
        """Never more than so many slots from now on."""
        self._most = min(self._most, most)
        self._limit = min(self._limit, self._most)
        self._step = max(1.0, self._most / _STEPS_TO_THE_TOP)

    async def __aenter__(self) -> None:
        if self._is_free() and not self._waiting:
            self._busy += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._release()  # it was handed a slot just before
            raise

    async def __aexit__(self, *exc: object) -> None:
        self._release()

    @contextmanager
    def turned_away(self, sent: float) -> Iterator[None]:
        """While a request that was sent at `sent` waits for a rate limit to pass."""
        if sent > self._cut_at:
            self._set_limit(_CUT * min(self._limit, self._busy + self._turned_away + 1))
            log.info("rate limited: at most %d requests under way", self.limit)
        self._turned_away += 1
        try:
            yield
        finally:
            self._turned_away -= 1
            self._hand_out()

    def answered(self, sent: float, busy: int) -> None:
        """An answer came to a request that was sent at `sent`, when so many slots were taken."""
        self._limit = min(self._most, self._limit + self._step / self._limit)
        now = time.monotonic()
        advised = self._watch.advise(now, now - sent, sent_share=busy / self._limit, busy=self._busy, limit=self.limit)
        if advised is not None:
            log.info("the servers %s: at most %d requests under way", self._watch.reason, advised)
            self._set_limit(advised)
        self._hand_out()

    def _set_limit(self, limit: float) -> None:
        self._limit = min(self._most, max(1.0, limit))
        self._cut_at = time.monotonic()

    def _is_free(self) -> bool:
        return self._busy + self._turned_away < self.limit

    def _release(self) -> None:
        self._busy -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._is_free():
            place = self._waiting.popleft()
            if not place.done():
                self._busy += 1
                place.set_result(None)
