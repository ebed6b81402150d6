"""A pool of worker processes that may hang, crash or eat memory without harm to anyone else's task.

One thread per worker hands it batches and watches it. A task over the time limit has its worker killed and replaced;
what stood behind it in the batch goes back to the queue and is not charged. A task whose worker was killed from outside
(for want of memory, say) is scored once more.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any

from rsr_cli.errors import PluginError, RsrError
from rsr_cli.executors.worker import SAFE_PATH, Ready, Results, WorkerSpec, serve
from rsr_cli.types import Prompt, Reply, Verdict

# Spawn: a worker inherits no file descriptor, no lock and no thread of ours.
CONTEXT = multiprocessing.get_context("spawn")
_ENVIRONMENT = threading.Lock()
START_LIMIT_S = 300.0
MOST_IN_BATCH = 64
MOST_BYTES_IN_BATCH = 1 << 18
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)
_NO_ROOM = (
    "close other programs, raise the limits (ulimit -n, ulimit -u) or set fewer verifier.workers; rsr resume goes on"
)


@dataclass(slots=True, eq=False)
class _Task:
    payload: bytes
    future: Future[Verdict] = field(default_factory=Future)
    started: bool = False
    tried_again: bool = False
    """Its worker was killed from outside once."""

    def start(self) -> bool:
        """False where the caller has cancelled it; a task that was requeued is running already."""
        if not self.started:
            self.started = self.future.set_running_or_notify_cancel()
        return self.started


class ProcessPool:
    """Scores replies in killable processes.

    `verifier` is (name, options), built in each worker by the registry. `time_limit` is in seconds of wall time for
    one reply, `memory_limit_mb` in MiB of address space beyond what a worker starts with. Workers start at the first
    submit. A verifier that can't be built is a PluginError from `submit` or from the futures that wait, a worker that
    the system has no room for an RsrError.
    """

    def __init__(
        self, verifier: tuple[str, dict[str, Any]], *, workers: int | None, time_limit: float, memory_limit_mb: int
    ) -> None:
        name, options = verifier
        self._spec = WorkerSpec(name, dict(options), memory_limit_mb, os.getpid())
        self._size = workers or cores()
        self._time_limit = time_limit
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._failure: RsrError | None = None
        self._closed = False
        self._pickled: tuple[Prompt | None, bytes] = (None, b"")
        """The last prompt: its replies come one after the other."""

    def submit(self, reply: Reply, prompt: Prompt) -> Future[Verdict]:
        """Queue one reply; thread-safe, never waits. The future holds a verdict, whatever the verifier does."""
        with self._changed:
            if prompt is not self._pickled[0]:
                self._pickled = prompt, pickle.dumps(prompt, protocol=5)
            task = _Task(pickle.dumps((reply, self._pickled[1]), protocol=5))
            if self._closed:
                raise RuntimeError("the pool is closed")
            if self._failure:
                raise self._failure
            self._waiting.append(task)
            if not self._threads:
                self._start_threads()
            self._changed.notify()
        return task.future

    def map(self, items: Iterable[tuple[Reply, Prompt]]) -> Iterator[Verdict]:
        """The verdicts on replies to prompts, in order, with a bounded number in flight."""
        most = self._size * MOST_IN_BATCH * 4
        in_flight: deque[Future[Verdict]] = deque()
        for reply, prompt in items:
            in_flight.append(self.submit(reply, prompt))
            if len(in_flight) >= most:
                yield in_flight.popleft().result()
        while in_flight:
            yield in_flight.popleft().result()

    def close(self) -> None:
        """Kill the workers. What still waits is cancelled."""
        with self._changed:
            self._closed = True
            for task in self._waiting:
                task.future.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_threads(self) -> None:
        for number in range(self._size):
            thread = threading.Thread(target=self._tend_worker, name=f"verify-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if self._threads:
                    return  # those that could be started do the work
                raise RsrError(f"no thread can be started for the verifier: {error}", _NO_ROOM) from error
            self._threads.append(thread)

    def _tend_worker(self) -> None:
        """Keep one worker busy until the pool is closed or broken."""
        worker: _Worker | None = None
        batch: list[_Task] = []
        try:
            while batch := self._next_batch():
                worker = worker or _Worker(self._spec)
                outcome = worker.run(batch, self._time_limit, lambda: self._closed)
                if outcome.worker_gone:
                    worker.kill()
                    worker = None
                self._put_back(outcome.unfinished)
        except RsrError as failure:
            self._break(failure, batch)
        except BaseException as error:
            # Whoever waits for these tasks would wait for ever for a thread that has ended without a word.
            reason = f"{type(error).__name__}: {error}"
            self._break(RsrError(f"the worker of the verifier {self._spec.name} failed: {reason}"), batch)
        finally:
            if worker:
                worker.kill()

    def _next_batch(self) -> list[_Task]:
        """Tasks for one message; empty where there is nothing to come."""
        with self._changed:
            while not (self._closed or self._failure):
                if batch := self._take():
                    return batch
                self._changed.wait()
        return []

    def _take(self) -> list[_Task]:
        """As many waiting tasks as leave every worker its share."""
        most = min(MOST_IN_BATCH, 1 + len(self._waiting) // (2 * self._size))
        batch: list[_Task] = []
        size = 0
        while self._waiting and len(batch) < most and size < MOST_BYTES_IN_BATCH:
            task = self._waiting.popleft()
            if task.start():
                batch.append(task)
                size += len(task.payload)
        return batch

    def _put_back(self, tasks: list[_Task]) -> None:
        with self._changed:
            if self._closed or self._failure:
                for task in tasks:
                    task.future.set_exception(self._failure or RuntimeError("the pool was closed"))
                return
            self._waiting.extendleft(reversed(tasks))
            self._changed.notify_all()

    def _break(self, failure: RsrError, batch: list[_Task]) -> None:
        """No worker can be had: say so to everyone who waits, and to everyone who comes."""
        with self._changed:
            self._failure = self._failure or failure
            waiting = [task for task in self._waiting if task.start()]
            self._waiting.clear()
            self._changed.notify_all()
        for task in [*batch, *waiting]:
            if not task.future.done():
                task.future.set_exception(failure)


@dataclass(frozen=True, slots=True)
class _Outcome:
    unfinished: list[_Task]
    worker_gone: bool


@contextlib.contextmanager
def own_imports() -> Iterator[None]:
    """Keep processes that are started meanwhile from importing what lies in the working directory: a `json.py` there
    may be somebody else's. What they start themselves is not affected."""
    with _ENVIRONMENT:
        if os.environ.get("PYTHONSAFEPATH"):
            yield
            return
        os.environ["PYTHONSAFEPATH"] = SAFE_PATH
        try:
            yield
        finally:
            del os.environ["PYTHONSAFEPATH"]


class _Worker:
    """The parent's handle on one process. Raises PluginError where the verifier can't be built in it."""

    def __init__(self, spec: WorkerSpec) -> None:
        try:
            self._connection, theirs = CONTEXT.Pipe()
            with theirs:
                self._progress = CONTEXT.RawArray("d", 2)
                arguments = (theirs, self._progress, spec)
                self._process: SpawnProcess = CONTEXT.Process(target=serve, args=arguments, daemon=True)
                with own_imports():
                    self._process.start()
        except OSError as error:
            raise RsrError(f"no process can be started for the verifier {spec.name}: {error}", _NO_ROOM) from error
        ready = None
        with contextlib.suppress(EOFError, OSError):
            if self._connection.poll(START_LIMIT_S):
                ready = self._connection.recv()
        if not isinstance(ready, Ready) or ready.failure:
            self.kill()
            reason = ready.failure if isinstance(ready, Ready) else f"its process ended with {self._process.exitcode}"
            raise PluginError(f"verifier.type: {spec.name} can't be started: {reason}")

    def run(self, batch: list[_Task], time_limit: float, closed: Callable[[], bool]) -> _Outcome:
        """Resolve the batch's futures as far as this worker gets."""
        self._progress[0], self._progress[1] = 0.0, time.monotonic()
        done = 0
        try:
            self._connection.send([task.payload for task in batch])
            while done < len(batch):
                if self._connection.poll(self._patience(time_limit)):
                    results: Results = self._connection.recv()
                    for verdict in results.verdicts:
                        batch[done].future.set_result(verdict)
                        done += 1
                    if results.retiring:
                        return _Outcome(batch[done:], worker_gone=True)
                elif closed():
                    return _Outcome(batch[done:], worker_gone=True)
                elif (late := self._overdue(time_limit)) is not None:
                    verdict = Verdict.unknown("timeout", f"no verdict within {time_limit:g} s")
                    return self._charge(batch, done, late, verdict)
        except (EOFError, OSError):
            self._process.join(5)
            running = int(self._progress[0])
            if self._process.exitcode in _KILLED and running >= done and not batch[running].tried_again:
                batch[running].tried_again = True
                return _Outcome(batch[done:], worker_gone=True)
            ended = f"the verifier's process ended with {self._process.exitcode}"
            return self._charge(batch, done, running, Verdict.unknown("error", ended))
        return _Outcome([], worker_gone=False)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _patience(self, time_limit: float) -> float:
        """Seconds until the running task can be overdue; short enough that a closing pool is noticed."""
        left = float(self._progress[1]) + time_limit - time.monotonic()
        return min(0.1, max(0.001, left))

    def _overdue(self, time_limit: float) -> int | None:
        """The index of the running task if its time is up."""
        index = int(self._progress[0])
        return index if time.monotonic() - self._progress[1] >= time_limit else None

    def _charge(self, batch: list[_Task], done: int, index: int, verdict: Verdict) -> _Outcome:
        """Give `verdict` to the task that ran; verdicts before it that were not sent are asked for again."""
        self._process.kill()
        self._process.join()
        if int(self._progress[0]) != index or index < done:  # it ended on its own in the last instant
            return _Outcome(batch[done:], worker_gone=True)
        batch[index].future.set_result(verdict)
        return _Outcome(batch[done:index] + batch[index + 1 :], worker_gone=True)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
