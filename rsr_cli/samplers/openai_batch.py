"""Samples by batches: OpenAI's batch API, at half the price and within a day; or files for `vllm run-batch`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

from rsr_cli.clients.batches.client import BatchClient, BatchSettings
from rsr_cli.clients.failures import Failure
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.config.settings import SamplerSettings, header_texts
from rsr_cli.errors import ConfigError
from rsr_cli.samplers.openai_compatible_api import OPENAI, OpenaiCompatibleApi
from rsr_cli.types import Completion, Postponed, Prompt

_OUTAGE_PATIENCE_S = 3600.0
"""A batch goes on at the server, whatever becomes of the line to it."""


class OpenaiBatch(OpenaiCompatibleApi):
    """A Sampler. What it asks and what it is told lies in a folder, where a later run finds it.

    An answer takes hours, so all the requests that are there at a time go into one batch, and a step is drawn whole.
    """

    whole_steps = True

    def __init__(
        self, settings: SamplerSettings, run_seed: int | None = None, *, policy: RetryPolicy | None = None
    ) -> None:
        """Raises ConfigError. `policy` overrides how failures of the server are waited out."""
        if len(settings.base_url or [OPENAI]) > 1:
            raise ConfigError("sampler.base_url: openai-batch takes one URL: a batch is at one server")
        patience = RetryPolicy(max_retries=settings.max_retries, outage_patience=_OUTAGE_PATIENCE_S)
        super().__init__(settings, run_seed, policy=policy or patience)

    def _make_client(self, policy: RetryPolicy) -> BatchClient:
        settings = self._settings
        batches = BatchSettings(
            base_urls=settings.base_url or [OPENAI],
            api_key=settings.api_key.get_secret_value(),
            headers=header_texts(settings.headers),
            model=settings.model,
            max_tokens=settings.max_tokens,
            params=self._common.fields(),
            timeout=settings.timeout,
            section="sampler",
            batch_requests=settings.batch_requests,
            by_hand=settings.batch_files,
            poll_interval=settings.poll_interval,
            max_retries=settings.max_retries,
        )
        self._batches = BatchClient(batches, policy)
        return self._batches

    def work_in(self, folder: Path) -> None:
        """Keep all files in this folder. Called before it is entered."""
        self._batches.folder_path = folder

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        """One completion per attempt number, in order of arrival.

        Raises Postponed where some will be there for a later run, BackendError where the run can't go on.
        """
        wanted = set(attempts)
        tasks = {asyncio.create_task(self._draw(prompt, run)) for run in self._runs(prompt, attempts)}
        postponed = False
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                # The failed ones last: what arrived together with a failure was paid for.
                for task in sorted(done, key=lambda task: task.exception() is not None):
                    if isinstance(task.exception(), Postponed):
                        postponed = True
                        continue
                    completions, left = task.result()
                    for completion in completions:
                        if completion.attempt in wanted:
                            yield completion
                    tasks |= {asyncio.create_task(self._draw(prompt, [n])) for n in left if n in wanted}
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if postponed:
            raise Postponed

    def _runs(self, prompt: Prompt, attempts: Sequence[int]) -> Iterator[Sequence[int]]:
        """The attempts in the requests that they were asked for in; those that never were, in as few as may be."""
        asked = {attempt: self._asked_with(prompt, attempt) for attempt in attempts}
        left = sorted(attempts)
        while left:
            run = asked[left[0]]
            if run is None:
                run = range(left[0], left[0] + 1)
                while self.together and asked.get(run.stop, run) is None:
                    run = range(run.start, run.stop + 1)
            yield run
            left = [attempt for attempt in left if attempt not in run]

    def _asked_with(self, prompt: Prompt, attempt: int) -> range | None:
        try:
            return self._batches.asked_with(self._request(prompt, [attempt], self._params_of(prompt)))
        except (ValueError, Failure):
            return None  # it can't be asked, and a draw says why
