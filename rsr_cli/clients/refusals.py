"""Find out what a refusal means: that this one request is refused, that all are, or nothing that lasts.

Status and words do not tell, since services use the same for all three. What does tell is whether the endpoint has
answered before, whether it answers others since, and how it takes a plain prompt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rsr_cli.clients.endpoints import Endpoint
from rsr_cli.clients.failures import Failure, Fault
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import AuthError, BackendError

_DOUBTFUL = frozenset({Fault.REQUEST, Fault.RUN, Fault.PATH, Fault.ACCOUNT, Fault.FILTERED})
_PASSING = frozenset({Fault.SERVER, Fault.RATE_LIMIT, Fault.UNREACHABLE})
_RECENT_S = 60.0
"""A refusal of a parameter needs no newer proof than this that the server takes others."""
_LOOK_S = 0.02


@dataclass(slots=True)
class Tries:
    """What one request has met so far. Times are monotonic; `about` names the request in errors."""

    began: float
    about: str = ""
    failed: bool = False
    failures: int = 0
    """Of the server."""
    paid: int = 0
    """Of those, with an answer that can't be used."""
    turned_away: int = 0
    turned_away_since: float | None = None
    refusals: int = 0
    refused_since: float | None = None
    """When it was sent for the first of them."""
    cleared_by: Endpoint | None = None
    """The endpoint that has answered others since."""


class Refusals:
    """`ask_plainly` sends a plain prompt, and raises a Failure where that fails."""

    def __init__(
        self,
        policy: RetryPolicy,
        ask_plainly: Callable[[Endpoint], Awaitable[None]],
        *,
        section: str,
        path: str,
        key_default: str,
    ) -> None:
        self._policy = policy
        self._ask_plainly = ask_plainly
        self._section = section
        self._path = path
        self._key_default = key_default
        self._asking = asyncio.Lock()

    async def find_out(self, endpoint: Endpoint, failure: Failure, tries: Tries, sent: float) -> None:
        """Correct the fault of a failure of a request that was sent at `sent`.

        Raises a BackendError where nothing has worked and nothing can, and the Failure of the plain prompt where that
        one passes.
        """
        if failure.fault not in _DOUBTFUL:
            return
        while endpoint.in_flight and not endpoint.successes:  # noqa: ASYNC110 - answers are awaited
            # Those that were sent together are about to tell whether it is all of them.
            await asyncio.sleep(_LOOK_S)
        if failure.fault is Fault.ACCOUNT and failure.status == 429 and (endpoint.successes or failure.wait_s):
            failure.fault = Fault.RATE_LIMIT
        elif not endpoint.successes:
            # Whatever else it may mean, 403 is also what gateways make of a single prompt.
            may_be_the_prompt = failure.fault in (Fault.REQUEST, Fault.FILTERED) or failure.status == 403
            if not may_be_the_prompt or not await self._is_answered(endpoint, sent):
                raise self.refusal(endpoint, failure, tries)
        elif failure.fault is not Fault.FILTERED or failure.status == 403:
            await self._compare(endpoint, failure, tries, sent)

    async def _compare(self, endpoint: Endpoint, failure: Failure, tries: Tries, sent: float) -> None:
        """With a refusal by an endpoint that has answered before: does it answer others since?"""
        tries.refusals += 1
        tries.refused_since = sent if tries.refused_since is None else tries.refused_since
        if tries.cleared_by is endpoint and tries.refusals > self._enough(failure):
            return
        tries.cleared_by = None
        proof = tries.refused_since - (_RECENT_S if failure.fault is Fault.REQUEST else 0.0)
        if endpoint.answered <= proof and not await self._is_answered(endpoint, sent):
            failure.fault = Fault.REFUSED
            return
        tries.cleared_by = endpoint
        if failure.fault is not Fault.FILTERED:
            failure.fault = Fault.UNCLEAR

    async def _is_answered(self, endpoint: Endpoint, since: float) -> bool:
        """The endpoint answers a plain prompt, or has answered anything that was sent since then."""
        async with self._asking:
            if endpoint.answered > since:
                return True
            if endpoint.refused_plainly > since:
                return False
            sent = time.monotonic()
            try:
                await self._ask_plainly(endpoint)
            except Failure as failure:
                if failure.fault is Fault.ACCOUNT and failure.status == 429 and endpoint.successes:
                    failure.fault = Fault.RATE_LIMIT
                if failure.fault in _PASSING:
                    raise
                endpoint.refused_plainly = sent
                return False
            return True

    def _enough(self, failure: Failure) -> int:
        """How often a request is refused before that is final, where others are answered: once more at least, since a
        refusal may be one of a gateway's many servers; more often under a status that says little."""
        return 1 if failure.status in (400, 401, 402, 403, 404, 405, 422) else 3

    def patience(self, failure: Failure) -> float:
        """How long a server that has answered before may refuse everything."""
        elsewhere = failure.cause is Fault.PATH or (failure.status is not None and failure.status < 400)
        return self._policy.outage_patience if elsewhere else self._policy.refusal_patience

    def refusal(self, endpoint: Endpoint, failure: Failure, tries: Tries) -> BackendError:
        """The error that ends the run."""
        about = f" ({tries.about})" if tries.about and tries.refusals else ""
        if failure.cause is Fault.ACCOUNT or (failure.cause is Fault.FILTERED and failure.status == 403):
            default = f" (by default {self._key_default})" if self._key_default else ""
            return AuthError(
                f"{endpoint.name} refuses the account: {failure.message}{about}",
                f"check {self._section}.api_key{default}, the account's access and its credit",
            )
        hint = failure.hint.format(section=self._section, path=self._path) if failure.hint else None
        return BackendError(f"{endpoint.name} refuses every request to {self._path}: {failure.message}{about}", hint)
