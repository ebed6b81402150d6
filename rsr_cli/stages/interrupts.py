"""SIGINT, SIGTERM and SIGHUP: the first ends the work in order, a second SIGINT or SIGTERM leaves at once.

A terminal that closes sends SIGHUP, often twice. Where it is ignored (nohup) it stays so.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rsr_cli.errors import Interrupted, first_error


def _signals() -> list[signal.Signals]:
    """Those that end the work."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hung_up]


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, a signal raises Interrupted in the main thread."""

    def first(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, _after_the_first(other))
        raise Interrupted(number)

    before = {number: signal.signal(number, first) for number in _signals()}
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
        if received and number == signal.SIGHUP:
            return
        if received:
            _leave(number, None)
        received.append(number)
        on_signal()
        task.cancel()

    before = {number: signal.getsignal(number) for number in _signals()}
    for number in before:
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
            signal.signal(number, _after_the_first(number) if received else handler)
    if received:
        raise Interrupted(received[0])


def _after_the_first(number: int) -> Any:
    return signal.SIG_IGN if number == signal.SIGHUP else _leave


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)
