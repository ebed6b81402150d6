"""Look at a batch until it has ended, in whatever word its server says so."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from rsr_cli.clients.batches.api import BatchApi
from rsr_cli.clients.batches.status import COMPLETED, ENDED, FAILED, BatchStatus
from rsr_cli.clients.notices import Notices
from rsr_cli.errors import BackendError

log = logging.getLogger(__name__)

_FIRST_LOOKS = 0.1
"""The share of the time since its submission after which a batch is looked at again."""
_LOOKS_FOR_FILES = 10
"""How often a batch that has ended is looked at until the server names its files."""


async def until_ended(
    api: BatchApi, status: BatchStatus, name: str, *, poll_interval: float, notices: Notices, hint: str
) -> BatchStatus:
    """The status of the batch at its end. A status in no known word is an end once all requests are done.

    Raises BackendError where it has ended and the server still does not say where the answers are.
    """
    began = time.monotonic()
    overdue = 0
    while True:
        if not status.known:
            word = f"{name}: the batch API has a status that rsr does not know: {status.status!r}"
            notices.tell([f"{word}; it counts as ended once all requests are done"])
        if status.status in ENDED and (status.files or status.status != COMPLETED):
            if status.status != FAILED or not status.files:
                return status
            log.warning("%s: the batch %s failed (%s), but has answers", name, status.id, status.message)
            return replace(status, status=COMPLETED)
        if status.all_done and not status.known and status.files:
            return replace(status, status=COMPLETED)
        overdue += status.status in ENDED or (status.all_done and not status.known)
        if overdue > _LOOKS_FOR_FILES:
            raise BackendError(
                f"{name}: the batch {status.id} is {status.status}, {status.done} of {status.total} requests are done, "
                "and the server names no file of answers",
                f"rsr resume looks again; {hint}",
            )
        await asyncio.sleep(min(poll_interval, 1 + _FIRST_LOOKS * (time.monotonic() - began)))
        before, status = status.status, await api.look(status.id, hint)
        say = log.debug if status.status == before else log.info
        say("%s: %s, %d of %d requests done", name, status.status, status.done, status.total)
