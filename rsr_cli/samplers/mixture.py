"""Several samplers in one run, each with its share of the attempts."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from itertools import accumulate

from rsr_cli.plugins.boundary import boundary
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.runtime.as_completed import as_completed
from rsr_cli.types import Completion, Prompt


class Mixture(Sampler):
    """Which member draws an attempt depends on the prompt's id and the attempt alone, so a resume, a retry
    and a climb after a cut ask the same one."""

    def __init__(self, members: Sequence[tuple[float, Sampler]]) -> None:
        """Shares, more than 0 and in proportion to one another, and samplers that have not been entered."""
        self._members = [member for _, member in members]
        self._ends = list(accumulate(share for share, _ in members))
        self._stack = AsyncExitStack()

    @property
    def capacity(self) -> int:
        return sum(member.capacity for member in self._members)

    @property
    def asked_again(self) -> int:
        return sum(member.asked_again for member in self._members)

    async def __aenter__(self) -> Mixture:
        async with AsyncExitStack() as stack:
            for member in self._members:
                await stack.enter_async_context(member)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        """One completion per attempt number, in order of arrival."""
        async with aclosing(as_completed(self._draw(prompt, attempt) for attempt in attempts)) as completions:
            async for completion in completions:
                yield completion

    async def _draw(self, prompt: Prompt, attempt: int) -> Completion:
        member = self._member_of(prompt.id, attempt)
        async with aclosing(member.sample(prompt, [attempt])) as completions:
            with boundary("sampler", member, f"the prompt {prompt.id!r}"):
                return await anext(completions)

    def _member_of(self, prompt_id: str, attempt: int) -> Sampler:
        identity = f"{prompt_id}\0{attempt}".encode("utf-8", "surrogatepass")
        chance = int.from_bytes(hashlib.blake2b(identity, digest_size=6).digest()) / 2**48
        return self._members[min(bisect(self._ends, chance * self._ends[-1]), len(self._members) - 1)]
