"""The child side of the process pool: build a verifier once, then score what arrives until told to stop.

The parent sends `list[bytes]`, each a pickled (reply, pickled prompt). The child answers with `Results`: verdicts in
the order of the tasks, several to a message. Which task runs, and since when, is in memory shared with the parent, so
that a task that hangs or crashes is known without a message for each.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rsr_cli.plugins import registry
from rsr_cli.plugins.contracts import Verifier
from rsr_cli.plugins.verdicts import as_verdict
from rsr_cli.streams import guard_stderr
from rsr_cli.types import Prompt, Reply, Verdict

FLUSH_AFTER_S = 0.02
"""Verdicts wait at most this long for company before they are sent."""
RETIRE_AFTER_TASKS = 50_000
"""A worker makes room for a fresh one after this many tasks, since libraries leak and caches grow; a start takes a
second, so not sooner."""
PR_SET_PDEATHSIG = 1
SAFE_PATH = "rsr"
"""The value of PYTHONSAFEPATH that says that the parent has set it, and not the user."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker needs to know before its first task."""

    name: str
    options: dict[str, Any]
    memory_limit_mb: int
    parent_pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The first message of a worker: None, or why the verifier could not be built."""

    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """The next verdicts of a batch; `retiring` says that the worker ends after it."""

    verdicts: list[Verdict]
    retiring: bool = False


def serve(connection: Connection, progress: Any, spec: WorkerSpec) -> None:
    """The life of a worker.

    `progress` is a shared array of two doubles: the index of the running task in its batch, and its start in seconds
    of the monotonic clock.
    """
    detach(spec.parent_pid)
    try:
        verifier: Verifier = registry.build("verifier", spec.name, spec.options)
        verify = _on_metadata(verifier.verify) if registry.takes_metadata(verifier.verify) else verifier.verify  # type: ignore[arg-type]
        verifier.warm_up()  # imports that the first task would otherwise be charged for
    except BaseException as error:
        connection.send(Ready(f"{type(error).__name__}: {error}"))
        return
    connection.send(Ready())
    _limit_memory(spec.memory_limit_mb)
    most_resident = _resident_mb() + spec.memory_limit_mb / 2
    done = 0
    retiring = False
    while not retiring:
        try:
            tasks: list[bytes] = connection.recv()
        except (EOFError, OSError):
            return
        done += len(tasks)
        verdicts: list[Verdict] = []
        sent_at = time.monotonic()
        for index, task in enumerate(tasks):
            now = time.monotonic()
            if verdicts and now - sent_at > FLUSH_AFTER_S:
                connection.send(Results(verdicts))
                verdicts, sent_at = [], now
            # In this order: the parent reads the index first, so it never sees a new task with an old start.
            progress[1] = now
            progress[0] = index
            verdict, broken = _score(verify, task)
            verdicts.append(verdict)
            retiring = retiring or broken
        retiring = retiring or done >= RETIRE_AFTER_TASKS or _resident_mb() > most_resident
        connection.send(Results(verdicts, retiring))


def _score(verify: Callable[[Reply, Prompt], Any], task: bytes) -> tuple[Verdict, bool]:
    """The verdict, and whether the worker should make room for a fresh one."""
    try:
        reply, prompt = pickle.loads(task)
        return as_verdict(verify(reply, _unpickled(prompt))), False
    except MemoryError:
        return Verdict.unknown("error", "the memory limit was reached"), True
    except BaseException as error:  # a user's code may raise SystemExit, a library a timeout of its own
        return Verdict.unknown("error", f"{type(error).__name__}: {error}"[:500]), not isinstance(error, Exception)


@lru_cache(maxsize=1)
def _unpickled(prompt: bytes) -> Prompt:
    """The replies of a prompt come one after the other."""
    loaded: Prompt = pickle.loads(prompt)
    return loaded


def _on_metadata(verify: Callable[[Reply, dict[str, Any]], Any]) -> Callable[[Reply, Prompt], Any]:
    """A `verify(response, metadata)`, as rsr 0.1 had it, called in today's way."""
    return lambda reply, prompt: verify(reply, prompt.metadata)


def detach(parent_pid: int) -> None:
    """Leave Ctrl-C and stdout to the parent, and die with it."""
    if os.environ.get("PYTHONSAFEPATH") == SAFE_PATH:
        del os.environ["PYTHONSAFEPATH"]  # what a verifier starts imports as it always did
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    guard_stderr()
    sys.stdout = sys.stderr
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # the parent died before the line above
        os._exit(1)


def _limit_memory(limit_mb: int) -> None:
    """Cap the address space at what is in use now plus `limit_mb`; where the system can't, there is no cap."""
    with contextlib.suppress(OSError, ValueError, ImportError):
        import resource

        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = in_use + limit_mb * 2**20
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit if hard == resource.RLIM_INFINITY else min(limit, hard)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _resident_mb() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError):
        return 0.0
