"""What a judge was asked and what it answered, kept by content: what was paid for is never asked twice."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rsr_cli.errors import WorkDirError
from rsr_cli.verifiers.judging.ledger import FILE_NAME, Spent, open_ledger, pay

log = logging.getLogger(__name__)

_PATIENCE_S = 30.0
"""How long to wait for another judge that writes to the same file."""
_SCHEMA = "CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, prompt TEXT NOT NULL, answer TEXT NOT NULL)"


class CallCache:
    """One SQLite file: each call's key, the prompt as it was sent, and its answer as JSON.

    Every answer is a transaction of its own, so a kill at any instant loses none that was put here.
    """

    def __init__(self, directory: Path) -> None:
        """Opens the file, or makes it and its directory. Raises WorkDirError where it is no such file."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / FILE_NAME
        self._connection = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
        self._warned = False
        try:
            # The write-ahead log with NORMAL outlives the process without a flush to disk for each answer.
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)
            open_ledger(self._connection)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise WorkDirError(
                f"{path} can't be used: {error}", "delete it, and the judge is asked again for what was in it"
            ) from None

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer that was put under this key."""
        row = self._connection.execute("SELECT answer FROM calls WHERE key = ?", (key,)).fetchone()
        return dict(json.loads(row[0])) if row else None

    def put(self, key: str, prompt: str, answer: dict[str, Any]) -> None:
        """Keeps an answer. A full disk is warned of and no reason to lose the verdict."""
        # A lone surrogate is no text for SQLite.
        text = prompt.encode("utf-8", "replace").decode()
        row = (key, text, json.dumps(answer))
        self._write(lambda: self._connection.execute("INSERT OR REPLACE INTO calls VALUES (?, ?, ?)", row))

    def pay(self, judge: str, spent: Spent) -> None:
        """Keeps what an answer has cost, whether or not it could be read."""
        self._write(lambda: pay(self._connection, judge, spent))

    def _write(self, write: Callable[[], object]) -> None:
        try:
            write()
        except sqlite3.Error as error:
            if not self._warned:
                log.warning("the judge's answers can't be kept for another run: %s", error)
            self._warned = True

    def close(self) -> None:
        self._connection.close()
