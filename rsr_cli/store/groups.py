"""Groups read from a shard: its prompts, and beside each its attempts and verdicts, in one pass.

Every shard's rows stand in the order of its prompts, so the files are joined by walking them side by side. A journal
is in order of arrival: its offsets are indexed by prompt, and its lines read when their prompt comes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from rsr_cli.errors import RsrError, WorkDirError
from rsr_cli.secrecy import redact
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.journal_lines import decode
from rsr_cli.store import shards
from rsr_cli.store.cells import whole_text
from rsr_cli.store.journal import records
from rsr_cli.store.judged import (
    RESPONSE_DIGEST,
    UNSTAMPED,
    Row,
    attempt_digest,
    group_digest,
    response_digest,
    valid_rows,
)
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import REFERENCE, Attempt, Group, Prompt, Verdict

MARK_KEY = "rsr.mark"
ROLLOUTS_KEY = "rsr.rollouts"
GOLDS = pa.schema([shards.DATA.field(name) for name in ("id", "metadata")])
JUDGED = pa.schema([shards.ROLLOUT.field(name) for name in ("id", "attempt", "response", "reasoning")])


def read_prompts(path: Storage) -> Iterator[Prompt]:
    """The prompts of a data shard, without those that are left out."""
    return (prompt for prompt, left_out in _prompts(path) if not left_out)


def _prompts(path: Storage) -> Iterator[tuple[Prompt, bool]]:
    """Every prompt of a data shard, and whether it is left out: it is not in the input any more and has rollouts."""
    for prompt_id, messages, metadata, left_out in shards.read_tuples(path, shards.DATA_PLACED):
        yield Prompt(prompt_id, json.loads(messages), json.loads(metadata)), bool(left_out)


def read_groups(work_dir: WorkDir, shard: int, mark: str | None = None) -> Iterator[Group]:
    """The groups of a shard in the order of its prompts.

    Verdicts on other texts than those that are here are left out, and those that do not bear `mark` (see `score_mark`);
    None takes those of any mark. The journal's rows replace those of the same attempt in the shard.
    """
    rollouts = _rollouts(work_dir, shard)
    scores = _scores(work_dir, shard, mark)
    for prompt, left_out in _prompts(work_dir.data(shard)):
        attempts = {row[1]: _attempt(row) for row in rollouts.take(prompt.id)}
        group = Group(prompt, attempts)
        group.verdicts = _verdicts(scores.take(prompt.id), group)
        if not left_out:
            yield group
    rollouts.close()


def group_of(data: Row, rollouts: Sequence[Row], scores: Sequence[Row], *, trusted: bool) -> Group:
    """Return the group of a row of `DATA` and its rows of `ROLLOUT` and `SCORE`; `trusted` as in `ByPrompt`."""
    group = Group(
        Prompt(data[0], json.loads(data[1]), json.loads(data[2])), {row[1]: _attempt(row) for row in rollouts}
    )
    rows = [(*row[:RESPONSE_DIGEST], UNSTAMPED, None) for row in scores] if trusted else list(scores)
    group.verdicts = _verdicts(rows, group)
    return group


def read_rescored(work_dir: WorkDir, shard: int, mark: str) -> Iterator[tuple[Group, dict[int, Verdict]]]:
    """The groups of a shard with their verdicts of `mark`, and beside each what its score shard said of the same texts,
    of whatever mark."""
    before = ByPrompt(work_dir.score(shard), shards.SCORE, trusted=is_of_these_rollouts(work_dir, shard))
    for group in read_groups(work_dir, shard, mark):
        yield group, _verdicts(before.take(group.prompt.id), group)


def _verdicts(rows: list[Row], group: Group) -> dict[int, Verdict]:
    def digest_of(number: int) -> int | None:
        rollout = group.reference() if number == REFERENCE else None
        attempt = rollout.attempt if rollout else group.attempts.get(number)
        return attempt_digest(attempt) if attempt else None

    return {row[1]: Verdict(*row[2:7]) for row in valid_rows(rows, digest_of)} if rows else {}


def score_mark(work_dir: WorkDir, shard: int, verifier: str) -> str:
    """What verdicts on a shard depend on beside its rollouts: the verifier and the prompts with their golds."""
    return shards.combined([verifier, shards.digest(work_dir.data(shard))])


def is_scored(work_dir: WorkDir, shard: int, mark: str) -> bool:
    """Every rollout of the shard has a verdict of this mark."""
    footer = shards.footer(work_dir.score(shard))
    return (
        footer.get(MARK_KEY) == mark
        and footer.get(ROLLOUTS_KEY) == work_dir.rollouts_digest(shard)
        and not work_dir.score_journal(shard).has_journal()
    )


def write_scores(work_dir: WorkDir, shard: int, mark: str, *, lines: int = 0) -> None:
    """Write the verdicts of this mark on a shard, from Parquet and journal; then remove the journal, which is to hold
    at least so many `lines`."""
    _write_scores(work_dir, shard, mark, lines)
    work_dir.score_journal(shard).remove_journal()


def _write_scores(work_dir: WorkDir, shard: int, mark: str, lines: int = 0) -> None:
    keys = {MARK_KEY: mark, ROLLOUTS_KEY: work_dir.rollouts_digest(shard)}
    attempts = _rollouts(work_dir, shard, JUDGED)
    scores = _scores(work_dir, shard, mark)
    scores.require_lines(lines)
    with shards.writing_shard(work_dir.score(shard), shards.SCORE, keys) as writer:
        for prompt_id, metadata in shards.read_tuples(work_dir.data(shard), GOLDS):
            texts = {row[1]: row[2:] for row in attempts.take(prompt_id)}
            rows = scores.take(prompt_id)
            if any(row[1] == REFERENCE for row in rows):
                texts[REFERENCE] = (reference_text(prompt_id, json.loads(metadata)), None)
            digests = {row[1]: response_digest(*texts[row[1]]) for row in rows if row[1] in texts}
            for row in valid_rows(rows, digests.get):
                named = dict(zip(shards.SCORE.names, row, strict=True))
                writer.write(named | {"response_digest": digests[row[1]]})
    attempts.close()
    shards.require_written(work_dir.score(shard), writer.count)


def reference_text(prompt_id: str, metadata: dict[str, Any]) -> str | None:
    reference = Group(Prompt(prompt_id, [], metadata)).reference()
    return reference.response if reference else None


def is_of_these_rollouts(work_dir: WorkDir, shard: int) -> bool:
    """A score shard of version 0.1, which has no digests of responses, was made from the rollouts that are here."""
    path = work_dir.score(shard)
    if not path.exists() or "response_digest" in shards.columns(path):
        return False
    made_from = shards.footer(path).get(ROLLOUTS_KEY)
    return made_from in (f"{shards.digest(work_dir.rollout(shard))}+0", work_dir.rollouts_digest(shard))


def write_rollouts(work_dir: WorkDir, shard: int, added: Mapping[str, Sequence[Attempt]], *, lines: int = 0) -> None:
    """Write the attempts of a shard, from Parquet and journal and `added` by prompt id; then remove the journal, which
    is to hold at least so many `lines`.

    A crash at any point leaves the journal, or both: reading them together is the same as reading the result.
    """
    if is_of_these_rollouts(work_dir, shard):
        # What shows that its verdicts are on these texts is the digest of the shard that is about to be replaced.
        _write_scores(work_dir, shard, shards.footer(work_dir.score(shard))[MARK_KEY])
    rollouts = _rollouts(work_dir, shard)
    rollouts.require_lines(lines)
    with shards.writing_shard(work_dir.rollout(shard), shards.ROLLOUT) as writer:
        for (prompt_id,) in shards.read_tuples(work_dir.data(shard), shards.DATA_ID):
            for row in rollouts.take(prompt_id):
                writer.write(dict(zip(shards.ROLLOUT.names, row, strict=True)))
            for attempt in added.get(prompt_id, ()):
                writer.write(attempt_row(attempt))
        rollouts.close()
    shards.require_written(work_dir.rollout(shard), writer.count)
    work_dir.rollout_journal(shard).remove_journal()


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    row = {name: getattr(attempt, name) for name in shards.ROLLOUT.names}
    row["error"], row["model"] = _redacted(attempt.error), redact(attempt.model)
    return row


def verdict_rows(group: Group, verdicts: Mapping[int, Verdict], *, compared: bool) -> list[dict[str, Any]]:
    """The score rows of verdicts on a group; `compared` says that they depend on one another."""
    texts = {number: group.reference() if number == REFERENCE else None for number in verdicts}
    digests = {
        number: attempt_digest(reference.attempt if reference else group.attempts[number]) or 0
        for number, reference in texts.items()
    }
    together = group_digest(digests) if compared else None
    return [
        {
            "id": group.prompt.id,
            "attempt": number,
            "score": verdict.score,
            "status": verdict.status,
            "extracted_answer": whole_text(verdict.extracted_answer),
            "explanation": whole_text(_redacted(verdict.explanation)),
            "details": whole_text(_redacted(verdict.details)),
            "response_digest": digests[number],
            "group_digest": together,
        }
        for number, verdict in verdicts.items()
    ]


def _redacted(text: str | None) -> str | None:
    return redact(text) if text else text


def _attempt(row: Row) -> Attempt:
    """Of a row of `ROLLOUT`. Called for every attempt, so spelled out: by way of a dict it takes twice as long."""
    return Attempt(
        id=row[0],
        attempt=row[1],
        step=row[2],
        step_size=row[3],
        response=row[4],
        reasoning=row[5],
        finish_reason=row[6],
        prompt_tokens=row[7],
        completion_tokens=row[8],
        model=row[9],
        params=row[10],
        seed=row[11],
        error=row[12],
        latency_s=row[13],
        source=row[14],
        tool_calls=row[15],
    )


def _rollouts(work_dir: WorkDir, shard: int, schema: pa.Schema = shards.ROLLOUT) -> ByPrompt:
    return ByPrompt(work_dir.rollout(shard), schema, work_dir.rollout_journal(shard))


def _scores(work_dir: WorkDir, shard: int, mark: str | None) -> ByPrompt:
    trusted = is_of_these_rollouts(work_dir, shard)
    return ByPrompt(work_dir.score(shard), shards.SCORE, work_dir.score_journal(shard), mark, trusted=trusted)


class ByPrompt:
    """Hands out the rows of one prompt after the other, from a shard and its journal, each in the order of `schema`,
    which begins with the id and the attempt."""

    def __init__(
        self,
        path: Storage,
        schema: pa.Schema,
        journal: Storage | None = None,
        mark: str | None = None,
        *,
        trusted: bool = False,
    ) -> None:
        """`trusted` takes the rows of a score shard that has no digests of responses; see `is_of_these_rollouts`."""
        self._path = path
        self._names = schema.names
        # The journal first and held open: a writer that closes the shard meanwhile leaves us either both or the whole.
        self._journal = journal.open_journal() if journal is not None else None
        self._offsets: dict[str, list[int]] = defaultdict(list)
        self._lines = 0
        current = mark is None
        for offset, record in records(self._journal) if self._journal is not None else ():
            self._lines += 1
            if MARK_KEY in record:
                current = mark is None or record[MARK_KEY] == mark
            elif current:
                self._offsets[record["id"]].append(offset)
        stale = mark is not None and shards.footer(path).get(MARK_KEY) != mark
        self._rows: Iterator[Row] = iter(()) if stale else shards.read_tuples(path, schema)
        if trusted:
            self._rows = ((*row[:RESPONSE_DIGEST], UNSTAMPED, None) for row in self._rows)
        self._next = next(self._rows, None)

    def require_lines(self, count: int) -> None:
        """RsrError where the journal holds fewer lines than were written to it."""
        if self._lines < count:
            raise RsrError(
                f"the journal of {self._path} holds {self._lines} records of the {count} that were written to it",
                "another process changes the work dir: stop it; rsr resume goes on with what is there",
            )

    def take(self, prompt_id: str) -> list[Row]:
        """The rows of this prompt in the order of their attempts."""
        rows = []
        while self._next is not None and self._next[0] == prompt_id:
            rows.append(self._next)
            self._next = next(self._rows, None)
        if offsets := self._offsets.pop(prompt_id, None):
            by_attempt = {row[1]: row for row in [*rows, *self._journalled(offsets)]}
            rows = [by_attempt[attempt] for attempt in sorted(by_attempt)]
        return rows

    def _journalled(self, offsets: list[int]) -> Iterator[Row]:
        assert self._journal is not None
        for offset in offsets:
            self._journal.seek(offset)
            record = decode(self._journal.readline())
            if record is None:
                raise WorkDirError(
                    f"the journal of {self._path} was changed by another process while it was read",
                    "rsr check says what is left of it; rsr resume goes on from that",
                )
            yield tuple(record.get(name) for name in self._names)

    def close(self) -> None:
        """All is taken: WorkDirError where rows of an unknown prompt are left."""
        if self._journal is not None:
            self._journal.close()
        stray = self._next[0] if self._next is not None else next(iter(self._offsets), None)
        if stray is not None:
            raise WorkDirError(
                f"{self._path} holds rows of the prompt {stray!r}, which its data shard does not hold there",
                "the data was changed behind rsr's back: restore data/, or use a new work dir",
            )
