"""From a response to a verdict: the thinking is taken off, the reply goes to a verifier in a killable process."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from rsr_cli.config.settings import VerifierSettings
from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.registry import code_digest
from rsr_cli.store.shards import combined
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.reply import final_reply

_UNFINISHED_THINKING = Verdict.no_answer("the thinking never ends: there is no reply")


class PoolScorer:
    """Scores with one verifier in worker processes. Used as a context, so that the workers go with it."""

    def __init__(self, settings: VerifierSettings) -> None:
        self._pool = ProcessPool(
            (settings.type, settings.options),
            workers=settings.workers,
            time_limit=settings.time_limit,
            memory_limit_mb=settings.memory_limit_mb,
        )

    def __enter__(self) -> PoolScorer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.close()

    def submit(self, prompt: Prompt, response: str) -> Future[Verdict]:
        reply = final_reply(response)
        if reply is None:
            done: Future[Verdict] = Future()
            done.set_result(_UNFINISHED_THINKING)
            return done
        return self._pool.submit(reply, prompt.metadata)

    async def score(self, prompt: Prompt, response: str) -> Verdict:
        return await asyncio.wrap_future(self.submit(prompt, response))


def verifier_fingerprint(settings: VerifierSettings) -> str:
    """Changes with whatever can change a verdict: the verifier, its options, its code. Not with limits or workers."""
    options = sorted(settings.options.items())
    return combined([settings.type, repr(options), code_digest("verifier", settings.type)])
