"""The truncation ladder: an attempt that was cut by max_tokens goes on, or is drawn again with a larger limit."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from rsr_cli.config.settings import SamplerSettings, Sampling
from rsr_cli.errors import ConfigError
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.types import Completion, Prompt

log = logging.getLogger(__name__)

TRUNCATION_RISE = 4
"""How many times its max_tokens an attempt may get, where no limit is set."""


class TruncationLadder(Sampler):
    """A sampler over another one, which keeps the text of truncated attempts.

    What it did about a cut is in `params`, beside the last limit:
    `"on_truncation": {"how": "raise_limit", "cuts": [2048, 4096]}`, with an `error` where the climb was refused.

    An attempt that is cut at the last limit too, or whose climb fails, is truncated, with all its tokens.
    """

    def __init__(self, base: Sampler, settings: SamplerSettings, sampling: Sampling) -> None:
        """Raises ConfigError where the limit is none to climb to. `base` was made to keep truncated text."""
        if sampling.truncation_limit is not None and sampling.truncation_limit <= settings.max_tokens:
            raise ConfigError(
                f"sampling.truncation_limit: {sampling.truncation_limit} is no more than sampler.max_tokens, "
                f"{settings.max_tokens}"
            )
        self._base = base
        self._how = sampling.on_truncation
        self._last_limit = sampling.truncation_limit
        self._max_tokens = settings.max_tokens
        self._drop_truncated = settings.drop_truncated
        self._warned = False

    @property
    def capacity(self) -> int:
        return self._base.capacity

    @property
    def asked_again(self) -> int:
        return self._base.asked_again

    @property
    def together(self) -> bool:
        return self._base.together

    async def __aenter__(self) -> TruncationLadder:
        await self._base.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._base.__aexit__(*exc)

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        """One completion per attempt number, in order of arrival: nothing waits for the climb of another."""
        drawn = self._base.sample(prompt, attempts)
        drawing = asyncio.ensure_future(anext(drawn, None))
        pending: set[asyncio.Future[Completion | None]] = {drawing}
        try:
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                # The failed ones last: what arrived together with a failure was paid for.
                for task in sorted(done, key=lambda task: task.exception() is not None):
                    completion = task.result()
                    if completion is None:
                        continue
                    if task is drawing:
                        drawing = asyncio.ensure_future(anext(drawn, None))
                        pending.add(drawing)
                        if completion.finish_reason == "length":
                            pending.add(asyncio.create_task(self._climb(prompt, completion)))
                            continue
                    yield completion
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            await drawn.aclose()

    async def _climb(self, prompt: Prompt, cut: Completion) -> Completion | None:
        params: dict[str, Any] = json.loads(cut.params)
        limit: int = params.get("max_tokens", self._max_tokens)
        last = self._last_limit or TRUNCATION_RISE * limit
        story: dict[str, Any] = {"how": self._how, "cuts": []}
        while cut.finish_reason == "length" and limit < last and "error" not in story:
            higher, more = await (self._go_on if self._how == "continue" else self._redraw)(prompt, cut, limit, last)
            if more.error is not None:
                story["error"] = more.error
                self._warn(more.error)
            else:
                story["cuts"].append(limit)
                cut, limit = more, higher
        if story["cuts"] or "error" in story:
            text = json.dumps(params | {"max_tokens": limit, "on_truncation": story}, sort_keys=True)
            cut = replace(cut, params=text)
        if cut.finish_reason == "length" and self._drop_truncated:
            cut = replace(cut, response=None, reasoning=None, tool_calls=None)
        return cut

    async def _redraw(self, prompt: Prompt, cut: Completion, limit: int, last: int) -> tuple[int, Completion]:
        """Twice the limit, since what is drawn anew is lost if it is cut again."""
        higher = min(2 * limit, last)
        return higher, await self._base.extend(prompt, cut, max_tokens=higher, from_prefix=False)

    async def _go_on(self, prompt: Prompt, cut: Completion, limit: int, last: int) -> tuple[int, Completion]:
        """All that is left at once, since nothing is lost."""
        if not (cut.response or cut.reasoning):
            return last, replace(cut, error="the server gave no text to go on from")
        return last, await self._base.extend(prompt, cut, max_tokens=last - limit, from_prefix=True)

    def _warn(self, error: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("sampling.on_truncation: %s failed, the attempt stays truncated: %s", self._how, error)
