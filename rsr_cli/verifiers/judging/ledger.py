"""What the judges of a work dir were paid for: a row for each answer, beside the answers that are kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "judge_calls.sqlite3"
_TABLE = """CREATE TABLE spent (
    judge TEXT NOT NULL, requests INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER, estimated INTEGER)"""
_FROM_ANSWERS = """SELECT json_extract(answer, '$.model'), json_extract(answer, '$.asked'),
    coalesce(json_extract(answer, '$.prompt_tokens'), 0), coalesce(json_extract(answer, '$.completion_tokens'), 0),
    json_extract(answer, '$.completion_tokens') IS NULL FROM calls"""
_SUMS = """WITH paid(judge, requests, prompt_tokens, completion_tokens, estimated) AS ({})
    SELECT judge, sum(requests), sum(prompt_tokens), sum(completion_tokens), sum(estimated) FROM paid GROUP BY judge"""


@dataclass(slots=True)
class Spent:
    """Requests that a judge has answered and their tokens; of `estimated` ones its server did not tell these."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0

    def add(self, other: Spent) -> None:
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.estimated += other.estimated


def open_ledger(connection: sqlite3.Connection) -> None:
    """Make the table, with what is known of answers that came before it was there."""
    if not _has(connection, "spent"):
        connection.execute(_TABLE)
        connection.execute(f"INSERT INTO spent {_FROM_ANSWERS}")


def pay(connection: sqlite3.Connection, judge: str, spent: Spent) -> None:
    row = (judge, spent.requests, spent.prompt_tokens, spent.completion_tokens, spent.estimated)
    connection.execute("INSERT INTO spent VALUES (?, ?, ?, ?, ?)", row)


def read_ledger(directory: Path) -> dict[str, Spent]:
    """What was spent, by the judge's name; only read. Nothing where there is no file, or none that can be read."""
    path = directory / FILE_NAME
    if not path.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            source = "SELECT * FROM spent" if _has(connection, "spent") else _FROM_ANSWERS
            return {judge: Spent(*counts) for judge, *counts in connection.execute(_SUMS.format(source))}
    except sqlite3.Error:
        return {}


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
