"""Tells whether servers work on all requests or let some of them queue, where fewer under way would get as much done.

Where there is room for all, how long an answer takes has nothing to do with how many requests are ahead of it. In a
queue it has: of those that were sent together, the last wait for all the others. So the requests that were sent into
little load are compared with those sent into full load. What follows from that is tried, and taken back where less
gets done.
"""

from __future__ import annotations

import math

from rsr_cli.clients.averages import Average

_LITTLE, _FULL = 0.25, 0.75
"""Shares of the limit."""
_FEWEST = 8
_DEVIATIONS = 4.0
_ROOM = 1.5
_LOSS = 0.95
_ROUNDS = 4


class QueueWatch:
    """Advises a limit from the latencies of the answers and from how many come in a second.

    A round is as many answers as there may be requests under way. After a change, one round passes before the next
    four are looked at.
    """

    def __init__(self) -> None:
        self._unloaded = Average()
        self._loaded = Average()
        self._ratio = 2.0
        """How many times as long answers must take under full load."""
        self._answers = 0
        self._limit = 0
        self._began = 0.0
        self._before: tuple[int, float] | None = None
        """The limit and the rate of answers before the last advice, until that has been tried."""
        self.reason = ""

    def advise(self, now: float, latency: float, *, sent_share: float, busy: int, limit: int) -> int | None:
        """A new limit, None to let it be. `sent_share` is how much of the limit was taken when it was sent."""
        if sent_share <= _LITTLE:
            self._unloaded.add(math.log(max(latency, 1e-6)))
        if busy < _FULL * limit:
            self._answers = 0
            return None
        if self._answers == 0:
            self._limit = limit
        self._answers += 1
        if self._answers <= self._limit:
            self._loaded = Average()
            self._began = now
            return None
        if sent_share >= _FULL:
            self._loaded.add(math.log(max(latency, 1e-6)))
        if self._answers < (1 + _ROUNDS) * self._limit or now <= self._began:
            return None
        rate = (self._answers - self._limit) / (now - self._began)
        self._answers = 0
        return self._judge(rate, limit)

    def _judge(self, rate: float, limit: int) -> int | None:
        before, self._before = self._before, None
        if before is not None and rate < _LOSS * before[1]:
            # It was no queue, answers take longer by themselves: from now on they must take much longer to count.
            self._ratio *= 2
            self.reason = "get less done so"
            return before[0]
        growth = self._loaded.mean - self._unloaded.mean
        doubt = _DEVIATIONS * math.sqrt(self._loaded.variance / max(1, self._unloaded.count))
        if (
            self._unloaded.count < _FEWEST
            or self._loaded.count < _FEWEST
            or growth <= max(math.log(self._ratio), doubt)
        ):
            return None
        self._before = limit, rate
        self.reason = "let requests queue"
        return math.ceil(max(0.5, _ROOM * math.exp(-growth)) * limit)
