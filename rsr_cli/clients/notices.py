"""What is odd about a server's answers, told once a run each."""

from __future__ import annotations

import logging
from collections.abc import Iterable

log = logging.getLogger(__name__)

_MOST = 20
"""A server that finds a new word for every answer is not quoted for ever."""


class Notices:
    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, notices: Iterable[str]) -> None:
        for notice in notices:
            if notice not in self._told and len(self._told) < _MOST:
                self._told.add(notice)
                log.warning("%s", notice)
