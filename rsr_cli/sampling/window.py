"""The groups in the loop: a bounded number at any number of prompts, so that memory stays flat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rsr_cli.sampling.queue import OpenGroup


class GroupWindow:
    """The open groups, at most `size` at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.groups: dict[OpenGroup, None] = {}
        self.all_open = False
        """The input has ended."""
        self.is_settled = False
        """No further group can be opened before one ends: the window is full, or the input has ended."""
        self._ended = asyncio.Event()

    def add(self, opened: OpenGroup) -> None:
        self.groups[opened] = None

    def remove(self, opened: OpenGroup) -> None:
        del self.groups[opened]
        self._ended.set()

    async def until_fewer_than(self, most: int, fill: Callable[[], None]) -> None:
        """Wait until fewer than `most` groups are open, and call `fill` before each wait: slots may be idle."""
        while len(self.groups) >= most:
            self.is_settled = True
            fill()
            self._ended.clear()
            if len(self.groups) >= most:
                await self._ended.wait()
        self.is_settled = self.all_open
