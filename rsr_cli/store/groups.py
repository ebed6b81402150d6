"""Groups read from a shard: its prompts, and beside each its attempts and verdicts, in one pass.

Every shard's rows stand in the order of its prompts, so the files are joined by walking them side by side. A journal
is in order of arrival: its offsets are indexed by prompt, and its lines read when their prompt comes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from rsr_cli.errors import WorkDirError
from rsr_cli.store import shards
from rsr_cli.store.files import remove
from rsr_cli.store.journal import decode, read_journal
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import REFERENCE, Attempt, Group, Prompt, Verdict

MARK_KEY = "rsr.mark"
ROLLOUTS_KEY = "rsr.rollouts"
_ATTEMPT_FIELDS = [item.name for item in fields(Attempt)]


def read_prompts(path: Path) -> Iterator[Prompt]:
    """The prompts of a data shard."""
    for row in shards.read_rows(path, shards.DATA):
        yield Prompt(row["id"], json.loads(row["messages"]), json.loads(row["metadata"]))


def read_groups(work_dir: WorkDir, shard: int, mark: str | None = None) -> Iterator[Group]:
    """The groups of a shard in the order of its prompts.

    Verdicts that do not bear `mark` (see `score_mark`) are left out; None takes them as they stand. The journal's
    rows replace those of the same attempt in the shard.
    """
    rollouts = _ByPrompt(work_dir.rollout(shard), shards.ROLLOUT, work_dir.rollout_journal(shard))
    scores = _ByPrompt(work_dir.score(shard), shards.SCORE, work_dir.score_journal(shard), mark)
    for prompt in read_prompts(work_dir.data(shard)):
        attempts = {row["attempt"]: attempt_from(row) for row in rollouts.take(prompt.id)}
        verdicts = {row["attempt"]: verdict_from(row) for row in scores.take(prompt.id)}
        verdicts = {
            number: verdict for number, verdict in verdicts.items() if number in attempts or number == REFERENCE
        }
        yield Group(prompt, attempts, verdicts)
    rollouts.close()


def score_mark(work_dir: WorkDir, shard: int, verifier: str) -> str:
    """What verdicts on a shard depend on beside its rollouts: the verifier and the prompts with their golds."""
    return shards.combined([verifier, shards.digest(work_dir.data(shard))])


def is_scored(work_dir: WorkDir, shard: int, mark: str) -> bool:
    """Every rollout of the shard has a verdict of this mark."""
    footer = shards.footer(work_dir.score(shard))
    return (
        footer.get(MARK_KEY) == mark
        and footer.get(ROLLOUTS_KEY) == work_dir.rollouts_digest(shard)
        and not work_dir.score_journal(shard).exists()
    )


def write_scores(work_dir: WorkDir, shard: int, mark: str) -> None:
    """Write the verdicts of this mark on a shard, from Parquet and journal; then remove the journal."""
    keys = {MARK_KEY: mark, ROLLOUTS_KEY: work_dir.rollouts_digest(shard)}
    with shards.writing_shard(work_dir.score(shard), shards.SCORE, keys) as writer:
        for group in read_groups(work_dir, shard, mark):
            for number in sorted(group.verdicts):
                writer.write(verdict_row(group.prompt.id, number, group.verdicts[number]))
    remove(work_dir.score_journal(shard))


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in _ATTEMPT_FIELDS}


def attempt_from(row: dict[str, Any]) -> Attempt:
    return Attempt(**{name: row[name] for name in _ATTEMPT_FIELDS})


def verdict_row(prompt_id: str, attempt: int, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": prompt_id,
        "attempt": attempt,
        "score": verdict.score,
        "status": verdict.status,
        "extracted_answer": verdict.extracted_answer,
        "explanation": verdict.explanation,
        "details": verdict.details,
    }


def verdict_from(row: dict[str, Any]) -> Verdict:
    return Verdict(row["score"], row["status"], row["extracted_answer"], row["explanation"], row["details"])


class _ByPrompt:
    """Hands out the rows of one prompt after the other, from a shard and its journal."""

    def __init__(self, path: Path, schema: pa.Schema, journal: Path, mark: str | None = None) -> None:
        self._path = path
        # The journal first and held open: a writer that closes the shard meanwhile leaves us either both or the whole.
        self._journal = journal.open("rb") if journal.exists() else None
        self._offsets: dict[str, list[int]] = defaultdict(list)
        current = mark is None
        for offset, record in read_journal(journal):
            if MARK_KEY in record:
                current = mark is None or record[MARK_KEY] == mark
            elif current:
                self._offsets[record["id"]].append(offset)
        stale = mark is not None and shards.footer(path).get(MARK_KEY) != mark
        self._rows = iter(()) if stale else shards.read_rows(path, schema)
        self._next: dict[str, Any] | None = next(self._rows, None)

    def take(self, prompt_id: str) -> list[dict[str, Any]]:
        rows: dict[int, dict[str, Any]] = {}
        while self._next is not None and self._next["id"] == prompt_id:
            rows[self._next["attempt"]] = self._next
            self._next = next(self._rows, None)
        for offset in self._offsets.pop(prompt_id, ()):
            assert self._journal is not None
            self._journal.seek(offset)
            record = decode(self._journal.readline())
            if record is not None:
                rows[record["attempt"]] = record
        return [rows[attempt] for attempt in sorted(rows)]

    def close(self) -> None:
        """All is taken: WorkDirError where rows of an unknown prompt are left."""
        if self._journal is not None:
            self._journal.close()
        stray = self._next["id"] if self._next is not None else next(iter(self._offsets), None)
        if stray is not None:
            raise WorkDirError(
                f"{self._path} holds rows of the prompt {stray!r}, which its data shard does not hold there",
                "the data was changed behind rsr's back: restore data/, or use a new work dir",
            )
