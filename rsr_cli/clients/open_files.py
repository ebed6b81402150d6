"""Each connection is an open file, and the default limit on those is low."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)

_BESIDES_CONNECTIONS = 256


def allow_open_files(connections: int) -> None:
    """Raises this process's soft limit on open files where so many connections need it; warns where that fails."""
    needed = connections + _BESIDES_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    reachable = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, reachable), hard))
    except (ValueError, OSError):
        reachable = soft
    if reachable < needed:
        log.warning("%d connections need %d open files, the limit is %d (ulimit -Hn)", connections, needed, reachable)
