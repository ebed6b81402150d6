"""Whole shards at a time on the cores of this machine; what comes of them comes in the order of the shards."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rsr_cli import secrecy
from rsr_cli.errors import RsrError
from rsr_cli.executors.process_pool import CONTEXT, cores, own_imports
from rsr_cli.executors.worker import detach

S = TypeVar("S")
T = TypeVar("T")

WORTH_PROCESSES = 200_000
"""Rows; fewer are done before a second process has begun."""
MOST_PROCESSES = 4
"""Each holds a part of a shard in memory."""


def over_shards(work: Callable[[S], T], of_shards: Sequence[S], rows: int) -> Iterator[T]:
    """What `work` gives for each shard, of which `of_shards` holds what it must know; `rows` is how many rows they
    hold together.

    `work` is pickled and must not depend on where it runs. What it raises is raised here once the shards that are
    being worked on have ended, and no other is begun.
    """
    processes = min(len(of_shards), cores(), MOST_PROCESSES) if rows >= WORTH_PROCESSES else 1
    if processes <= 1:
        yield from map(work, of_shards)
        return
    with ProcessPoolExecutor(processes, CONTEXT, initializer=_begin, initargs=(os.getpid(), secrecy.known())) as pool:
        running: deque[Future[T]] = deque()
        try:
            for of_shard in of_shards:
                with own_imports():  # it may start a process
                    running.append(pool.submit(work, of_shard))
                if len(running) > 2 * processes:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool as error:
            raise RsrError("a worker process ended without a word", "is there enough memory?") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(parent_pid: int, secrets: frozenset[str]) -> None:
    detach(parent_pid)
    secrecy.keep(secrets)
