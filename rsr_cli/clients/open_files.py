"""Each connection is an open file, and the limit on those also has to do for journals, Parquet files and pipes."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_BESIDES_CONNECTIONS = 256
_SHARE_OF_A_LOW_LIMIT = 0.25
_claimed = 0


@contextmanager
def claim_connections(wanted: int) -> Iterator[int]:
    """How many of the wanted connections may be open at a time: fewer where the limit on open files has no more room.

    What other clients in this process have claimed is not given out again.
    """
    global _claimed
    limit = allow_open_files(_claimed + wanted)
    room = max(limit - _BESIDES_CONNECTIONS, int(limit * _SHARE_OF_A_LOW_LIMIT)) - _claimed
    granted = max(1, min(wanted, room))
    if granted < wanted:
        log.warning(
            "at most %d requests under way in place of %d: no more than %d files may be open (ulimit -Hn)",
            granted,
            wanted,
            limit,
        )
    _claimed += granted
    try:
        yield granted
    finally:
        _claimed -= granted


def allow_open_files(connections: int) -> int:
    """Raise this process's soft limit on open files where so many connections need it and the hard limit allows it.

    Return how many files may be open then.
    """
    needed = connections + _BESIDES_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return needed
    if soft >= needed:
        return soft
    reachable = needed if hard == resource.RLIM_INFINITY else max(soft, min(needed, hard))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    except (ValueError, OSError):
        return soft
    return reachable
