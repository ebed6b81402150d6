"""Keeps requests and tokens under limits per minute, so that a server has no need to turn requests away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rsr_cli.messages import text_of

_CHARACTERS_PER_TOKEN = 4
_LONGEST_SLEEP_S = 0.5


class Pace:
    """Lets requests go one after the other, as fast as both limits allow; None is no limit.

    At most a second's worth goes at once. The tokens of a request are only known once it is answered: they are
    reckoned beforehand, and settled afterwards.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self.counts_tokens = tokens_per_minute is not None
        self._requests = _Allowance(requests_per_minute)
        self._tokens = _Allowance(tokens_per_minute)
        self._turn = asyncio.Lock()

    async def admit(self, tokens: float = 0.0) -> None:
        """Returns when a request of about so many tokens may go."""
        async with self._turn:
            while (wait := max(self._requests.wait(), self._tokens.wait())) > 0:  # noqa: ASYNC110 - time is awaited
                # A settlement may come before that.
                await asyncio.sleep(min(wait, _LONGEST_SLEEP_S))
            self._requests.spend(1)
            self._tokens.spend(tokens)

    def settle(self, reckoned: float, used: float) -> None:
        """The tokens of an admitted request are known now."""
        self._tokens.spend(used - reckoned)


def text_tokens(messages: Iterable[Mapping[str, Any]]) -> float:
    """About how many tokens the texts of messages have."""
    return sum(len(text_of(message)) for message in messages) / _CHARACTERS_PER_TOKEN


class _Allowance:
    """Grows by so much per minute, up to a second's worth. May be overdrawn: then it has to grow back first."""

    def __init__(self, per_minute: float | None) -> None:
        self._per_second = per_minute / 60 if per_minute is not None else None
        self._most = max(1.0, self._per_second or 0.0)
        self._left = self._most
        self._at = time.monotonic()

    def wait(self) -> float:
        """Seconds until one more may go."""
        if self._per_second is None:
            return 0.0
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (1 - self._left) / self._per_second)

    def spend(self, amount: float) -> None:
        self._left -= amount
