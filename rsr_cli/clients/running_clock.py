"""A clock that stands still while this process is stopped (Ctrl-Z, SIGSTOP), so that no deadline passes meanwhile.

The answers that came in that time lie in the sockets: they are read before their requests are given up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

_TICK_S = 0.25


class RunningClock:
    """It ticks on the event loop; a tick that comes much too late tells of a stop."""

    def __init__(self) -> None:
        self._stopped = 0.0
        self._deadlines: set[asyncio.Timeout] = set()
        self._next_tick: asyncio.TimerHandle | None = None

    def time(self) -> float:
        """Seconds, without those in which the process was stopped."""
        return time.monotonic() - self._stopped

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_tick = loop.call_later(_TICK_S, self._tick, loop)

    def stop(self) -> None:
        if self._next_tick is not None:
            self._next_tick.cancel()

    @contextmanager
    def watching(self, deadline: asyncio.Timeout) -> Iterator[asyncio.Timeout]:
        """Meanwhile the deadline is put off by as long as the process is stopped."""
        self._deadlines.add(deadline)
        try:
            yield deadline
        finally:
            self._deadlines.discard(deadline)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # All timers that are due run in their order, this one before the deadlines that passed after it was due.
        assert self._next_tick is not None
        late = loop.time() - self._next_tick.when()
        if late > _TICK_S:
            self._stopped += late
            for deadline in self._deadlines:
                if (when := deadline.when()) is not None and not deadline.expired():
                    deadline.reschedule(when + late)
        self.start()
