"""Answers chat requests by way of batches: collects them into files, has the files worked on, hands the answers out.

Either a server's batch API works on the files, and calls wait for it; or somebody else does, and calls are postponed to
a later run, which finds the answers in the folder.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rsr_cli.clients.answers import Answer
from rsr_cli.clients.batches.api import BatchApi
from rsr_cli.clients.batches.folder import Batch, BatchFolder, RequestFile
from rsr_cli.clients.batches.lines import content_key, custom_id, filled_in, hidden_fields, read_response, request_line
from rsr_cli.clients.batches.status import COMPLETED, FAILED, BatchStatus
from rsr_cli.clients.batches.waiting import until_ended
from rsr_cli.clients.chat_completions import ChatRequest, ChatSettings, narrower, request_body
from rsr_cli.clients.endpoints import Dialect
from rsr_cli.clients.failures import Failure, Fault, fit_to_show
from rsr_cli.clients.notices import Notices
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import BackendError
from rsr_cli.types import Postponed

log = logging.getLogger(__name__)

_MOST_BYTES = 200_000_000
"""Of one file, as OpenAI has it."""
_MORE_IF_PAID = 2
"""In how many further batches a request goes whose answer came but can't be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings(ChatSettings):
    """`max_retries` is how often one request goes into a further batch. Times are in seconds."""

    path: str = "/batches"
    batch_requests: int
    by_hand: bool
    """Files are only written; answers are put beside them."""
    poll_interval: float
    max_retries: int


@dataclass(eq=False, slots=True)
class _Following:
    """A batch at the server, and those who wait for it."""

    task: asyncio.Task[None]
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class BatchClient:
    """An async context. `complete` may be called for any number of requests at once."""

    def __init__(self, settings: BatchSettings, policy: RetryPolicy) -> None:
        """Raises ConfigError for a base URL or a key that can't be one."""
        self.folder_path: Path | None = None
        self._settings = settings
        self._api = BatchApi(settings, policy)
        self._dialect = Dialect()
        self._notices = Notices()
        self._open: dict[Dialect, RequestFile] = {}
        """The files that requests are written to now: one file, one dialect."""
        self._closing: dict[RequestFile, asyncio.Event] = {}
        self._last_request = 0.0
        self._collector: asyncio.Task[None] | None = None
        self._following: dict[int, _Following] = {}
        self._taken_up: dict[int, Batch] = {}
        self._turn = asyncio.Lock()
        self._trouble: BaseException | None = None

    async def __aenter__(self) -> BatchClient:
        """Raises BackendError where there is no folder, WorkDirError where it is damaged."""
        if self.folder_path is None:
            raise BackendError("batches are drawn in a work dir only")
        self._folder = await asyncio.to_thread(BatchFolder, self.folder_path)
        self._dialect = self._folder.dialect
        await self._api.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        tasks = [item.task for item in self._following.values()]
        going_on = sum(not task.done() for task in tasks)
        for task in [*tasks, *([self._collector] if self._collector else [])]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for file in list(self._open.values()):
            if self._settings.by_hand and kind is None:
                self._finish(file)
            else:
                file.drop()
        for batch in self._taken_up.values():
            batch.failures_told = True
            self._folder.save(batch)
        await self._api.__aexit__(kind, *exc)
        if going_on and kind is not None:
            what = "1 batch goes on" if going_on == 1 else f"{going_on} batches go on"
            log.info("%s at the server; rsr resume takes up what comes of it", what)

    @property
    def capacity(self) -> int:
        """How many requests may be under way: while one file is worked on, another is filled."""
        return 2 * self._settings.batch_requests

    @property
    def takes_n(self) -> bool:
        return self._dialect.n

    @property
    def asked_again(self) -> int:
        return 0

    def asked_with(self, request: ChatRequest) -> range | None:
        """The attempts that were asked for in one request with the first of this one; None where it never was."""
        return self._folder.run(content_key(self._settings, request), request.attempts[0])

    async def complete(self, request: ChatRequest) -> Answer:
        """The answer, which may have fewer choices than were asked for.

        Raises Postponed where it will be there for a later run, Failure where this request has failed for good, a
        BackendError where the run can't go on.
        """
        name = custom_id(content_key(self._settings, request), request.attempts)
        dialect, failures = self._dialect, -1
        while True:
            found = await self._look_up(name)
            if found is None:
                failures += 1
                if failures > self._settings.max_retries:
                    raise Failure(
                        Fault.SERVER, "no answer in " + ("1 batch" if failures == 1 else f"{failures} batches")
                    )
                await self._ask(name, request, dialect)
                continue
            batch, line = found
            try:
                answer = read_response(line, request.max_tokens or self._settings.max_tokens)
                self._notices.tell(answer.notices)
                return self._learn(answer, request, batch.dialect)
            except Failure as failure:
                failure.message = fit_to_show(failure.message)
                self._folder.forget(name)
                other = narrower(batch.dialect, request, failure)
                if other is not None:
                    dialect = other
                elif batch.failures_told:
                    failures = -1  # an earlier run has told of it
                elif not self._is_worth_another_batch(batch, failure, failures):
                    self._stop_run_if_hopeless(batch, failure)
                    raise

    async def _look_up(self, name: str) -> tuple[Batch, bytes] | None:
        """The line of an answer that is there. One after the other: a whole batch of them comes at once, and what is
        made of them is to have its turns."""
        async with self._turn:
            await asyncio.sleep(0)
            found = self._folder.answer(name)
        if found is not None and not found[0].failures_told:
            self._taken_up[found[0].number] = found[0]
        return found

    def _learn(self, answer: Answer, request: ChatRequest, dialect: Dialect) -> Answer:
        self._dialect = self._dialect.common(dialect)
        if answer.returned < request.n:
            self._dialect = self._dialect.common(Dialect(n=False))
        answer.seed_sent = dialect.seed and request.seed is not None
        return answer

    def _is_worth_another_batch(self, batch: Batch, failure: Failure, failures: int) -> bool:
        """A request that has failed in so many batches before this one is asked once more."""
        if failures >= (min(_MORE_IF_PAID, self._settings.max_retries) if failure.paid else self._settings.max_retries):
            return False
        # A limit that was reached in the middle of a batch, told as if the account had no credit.
        out_of_credit = failure.fault is Fault.ACCOUNT and failure.status in (402, 429)
        return failure.fault in (Fault.SERVER, Fault.RATE_LIMIT) or (out_of_credit and self._folder.has_answers(batch))

    def _stop_run_if_hopeless(self, batch: Batch, failure: Failure) -> None:
        """Raises a BackendError for a failure that every other request would meet as well: none that the others of its
        batch have not met."""
        alone = self._folder.successes and self._folder.is_single(batch)  # nothing but its own prompt may be the cause
        everyone = failure.fault in (Fault.RUN, Fault.PATH, Fault.ACCOUNT) and not (
            alone or self._folder.has_answers(batch)
        )
        if everyone or (failure.fault is Fault.REQUEST and not self._folder.successes):
            hint = failure.hint.format(section="sampler", path=self._settings.path) if failure.hint else None
            raise BackendError(f"{self._folder.requests(batch).name}: {failure.message}", hint) from None

    async def _ask(self, name: str, request: ChatRequest, dialect: Dialect) -> None:
        """Returns when the batch of a request has ended; puts the request into a file if it is in none."""
        batch = self._folder.holder(name)
        if batch is None:
            file = self._put(name, request, dialect)
            if self._settings.by_hand:
                raise Postponed
            batch = await self._closed(file)
        elif self._settings.by_hand:
            raise Postponed
        await self._follow(batch).ended.wait()
        if self._trouble is not None:
            raise self._trouble

    def _put(self, name: str, request: ChatRequest, dialect: Dialect) -> RequestFile:
        """Write a request into the file of its dialect. Raises a Failure where it has no JSON."""
        body = request_body(self._settings, request, dialect)
        line = request_line(name, body | hidden_fields(self._settings, body))
        file = self._open.get(dialect)
        if file is not None and file.bytes + len(line) > _MOST_BYTES:
            self._finish(file)
            file = None
        if file is None:
            file = self._open[dialect] = self._folder.begin(dialect)
            self._closing[file] = asyncio.Event()
        if name not in file.names:
            file.add(name, line)
        self._last_request = time.monotonic()
        if len(file.names) >= self._settings.batch_requests:
            self._finish(file)
        return file

    async def _closed(self, file: RequestFile) -> Batch:
        """The batch of a file, once it is full or no request has come for a while."""
        if file in self._closing:
            if self._collector is None or self._collector.done():
                self._collector = asyncio.create_task(self._collect())
            await self._closing[file].wait()
        if self._trouble is not None:
            raise self._trouble
        return file.batch

    async def _collect(self) -> None:
        while self._open:
            quiet = time.monotonic() - self._last_request
            if quiet < self._settings.poll_interval:
                await asyncio.sleep(self._settings.poll_interval - quiet)
                continue
            try:
                for file in list(self._open.values()):
                    self._finish(file)
            except OSError as error:
                self._fail(error)

    def _finish(self, file: RequestFile) -> None:
        del self._open[file.batch.dialect]
        self._folder.finish(file)
        self._closing.pop(file).set()

    def _follow(self, batch: Batch) -> _Following:
        if batch.number not in self._following:
            self._following[batch.number] = _Following(asyncio.create_task(self._see_through(batch)))
        return self._following[batch.number]

    async def _see_through(self, batch: Batch) -> None:
        """Submit a batch where that has not been done, wait for its end, and take up what it brought."""
        name = self._folder.requests(batch).name
        try:
            status = await self._submitted(batch, name)
            status = await until_ended(
                self._api,
                status,
                name,
                poll_interval=self._settings.poll_interval,
                notices=self._notices,
                hint=self._how_to_give_up(name),
            )
            if status.status != FAILED:
                with self._folder.responses(batch).replacing() as temporary:
                    await self._api.download(status.files, temporary)
            batch.status = status.status
            self._folder.save(batch)
            if status.status == FAILED:
                raise BackendError(
                    f"{name}: the batch {status.id} failed: {status.message or 'the server does not say why'}",
                    "the server's limits may be smaller than sampler.batch_requests; rsr resume asks again",
                )
            self._taken_up[batch.number] = batch
            answers, asked = self._folder.take_up(batch)
            say = log.info if status.status == COMPLETED else log.warning
            say("%s: the batch %s has %s, %d of %d answers came", name, status.id, status.status, answers, asked)
        except Exception as error:
            self._fail(error)
        self._following[batch.number].ended.set()

    def _how_to_give_up(self, name: str) -> str:
        path = (self._folder.path / name).with_suffix(".json")
        return f"if nothing will come of it, remove {path}, and its requests are asked (and paid) again"

    async def _submitted(self, batch: Batch, name: str) -> BatchStatus:
        if batch.batch_id is not None:
            status = await self._api.look(batch.batch_id, self._how_to_give_up(name))
            log.info("%s: goes on with the batch %s, which is %s", name, status.id, status.status)
            return status
        if batch.input_file_id is None:
            batch.input_file_id = await self._api.upload(self._folder.requests(batch), self._filled_in())
            self._folder.save(batch)
        status = await self._api.submit(batch.input_file_id)
        batch.batch_id = status.id
        batch.status = status.status
        self._folder.save(batch)
        log.info("%s: submitted as the batch %s", name, status.id)
        return status

    def _filled_in(self) -> Callable[[bytes], bytes] | None:
        """What makes of a line in a file the one that is uploaded; None where they are the same."""
        return (
            partial(filled_in, settings=self._settings)
            if hidden_fields(self._settings, self._settings.params)
            else None
        )

    def _fail(self, error: BaseException) -> None:
        """Every call ends with this error."""
        self._trouble = self._trouble or error
        for event in [*self._closing.values(), *(item.ended for item in self._following.values())]:
            event.set()
