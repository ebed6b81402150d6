"""Completions in the order in which they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import Any

from rsr_cli.types import Completion


async def as_completed(draws: Iterable[Coroutine[Any, Any, Completion]]) -> AsyncGenerator[Completion, None]:
    """The completion of each draw; where one raises, or none is wanted any more, the others are cancelled."""
    tasks = {asyncio.create_task(draw) for draw in draws}
    try:
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # The failed ones last: what arrived together with a failure was paid for.
            for task in sorted(done, key=lambda task: task.exception() is not None):
                yield task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
