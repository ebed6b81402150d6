"""SIGINT and SIGTERM: the first ends the work in order, the second leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rsr_cli.errors import Interrupted, first_error

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, a signal raises Interrupted in the main thread."""

    def first(number: int, frame: FrameType | None) -> None:
        for other in _SIGNALS:
            signal.signal(other, _leave)
        raise Interrupted(number)

    before = {number: signal.signal(number, first) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_interruptible(work: Coroutine[Any, Any, None], on_signal: Callable[[], None]) -> None:
    """Run `work` in an event loop; a signal calls `on_signal`, cancels it, and raises Interrupted once it has ended."""
    asyncio.run(_supervise(work, on_signal))


async def _supervise(work: Coroutine[Any, Any, None], on_signal: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def handle(number: int) -> None:
        if received:
            _leave(number, None)
        received.append(number)
        on_signal()
        task.cancel()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None
    finally:
        # The loop would leave the defaults behind, which end the process before its files are closed.
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, _leave if received else handler)
    if received:
        raise Interrupted(received[0])


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)
