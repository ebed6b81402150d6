"""Whole shards at a time on the nodes of a Ray cluster; what comes of them comes in the order of the shards."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rsr_cli import secrecy
from rsr_cli.clients.ray_cluster import connect, first_line
from rsr_cli.errors import BackendError, RsrError

S = TypeVar("S")
T = TypeVar("T")

_WORKERS_LOST = 3
"""So many workers may die of one shard before it is given up."""
_PARTING_S = 30.0


def over_shards(work: Callable[[S], T], of_shards: Sequence[S], cpus: int = 1) -> Iterator[T]:
    """What `work` gives for each shard, of which `of_shards` holds what it must know; each has `cpus` cores.

    `work` is pickled, and done again where its worker dies: it must not depend on where it runs, nor on how often.
    What it raises is raised here; shards that are being worked on are then cancelled, and have ended when this does.
    Raises BackendError where Ray is missing or can't be reached, or has no node with so many cores.
    """
    if not of_shards:
        return
    ray = connect("--executor ray", cpus)
    _require_node(ray, cpus)
    task = ray.remote(_apply).options(num_cpus=cpus, max_retries=_WORKERS_LOST, name=_name(work))
    due = deque(of_shards)
    in_order: deque[Any] = deque()
    running: set[Any] = set()
    # Ray is waited for in a thread: in the main one it would make a bare KeyboardInterrupt of what a signal raises.
    waiting = ThreadPoolExecutor(1, "ray")
    try:
        while due or in_order:
            # Some more than there are cores for, so that none is idle; a cluster may grow meanwhile.
            most = 2 * max(1, int(ray.cluster_resources().get("CPU", 0)) // cpus)
            while due and len(running) < most:
                # As an argument of its own it goes from memory to memory, and not into the cluster's store of code.
                in_order.append(task.remote(work, due.popleft(), secrecy.known()))
                running.add(in_order[-1])
            ended, _ = waiting.submit(ray.wait, list(running)).result()
            running.difference_update(ended)
            while in_order and in_order[0] not in running:
                yield waiting.submit(_result, ray, in_order.popleft()).result()
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=_PARTING_S)
        waiting.shutdown()


def _apply(work: Callable[[S], T], of_shard: S, secrets: frozenset[str]) -> T:
    secrecy.keep(secrets)
    # The processes that the work starts would load the main module, which is Ray's, and all of Ray with it.
    vars(sys.modules["__main__"]).pop("__file__", None)
    return work(of_shard)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise RsrError(f"a worker of the Ray cluster failed: {first_line(error)}") from error
    except ray.exceptions.RayError as error:
        raise RsrError(
            f"a shard was lost with its worker {_WORKERS_LOST + 1} times: {first_line(error)}",
            "is there enough memory on the nodes?",
        ) from error


def _require_node(ray: Any, cpus: int) -> None:
    """Ray would wait without end for a node with more cores than any has."""
    most = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)
    if cpus > most:
        raise BackendError(
            f"--executor ray: no node of the cluster has {cpus} cores, the largest has {most}", "set verifier.workers"
        )


def _name(work: Any) -> str:
    return f"rsr {getattr(getattr(work, 'func', work), '__name__', 'work')}"
