"""One prompt of many, and what is known of each without its texts: for readers that show a page at a time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rsr_cli.store import shards
from rsr_cli.store.groups import group_of, is_of_these_rollouts, read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group

_PLACED = pa.schema([shards.DATA_PLACED.field(name) for name in ("id", "left_out")])
_ENDS = pa.schema(
    [shards.ROLLOUT.field(name) for name in ("id", "attempt", "finish_reason", "error", "completion_tokens")]
)
_SCORES = pa.schema([shards.SCORE.field(name) for name in ("id", "attempt", "score", "status")])


@dataclass(frozen=True, slots=True)
class End:
    """How one attempt came out. `outcome` is pass, fail, neither, unknown (a score that is not known), unscored,
    truncated or error."""

    attempt: int
    outcome: str
    status: str | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Brief:
    """A prompt without its texts."""

    id: str
    ends: Sequence[End]


def briefs(work_dir: WorkDir, shard: int, thresholds: tuple[float, float]) -> list[Brief]:
    """Return those of a shard in the order of its prompts. Only the small columns are read, unless it is open."""
    if work_dir.is_open(shard):
        return [_brief(group, thresholds) for group in read_groups(work_dir, shard)]
    scores = {(row[0], row[1]): row[2:] for row in shards.read_tuples(work_dir.score(shard), _SCORES)}
    ends: defaultdict[str, list[End]] = defaultdict(list)
    for key, number, finish, error, tokens in shards.read_tuples(work_dir.rollout(shard), _ENDS):
        score, status = scores.get((key, number), (None, None))
        ends[key].append(End(number, outcome_of(error, finish, score, status, thresholds), status, tokens))
    placed = shards.read_tuples(work_dir.data(shard), _PLACED)
    return [Brief(key, ends.get(key, ())) for key, left_out in placed if not left_out]


def _brief(group: Group, thresholds: tuple[float, float]) -> Brief:
    ends = []
    for number in sorted(group.attempts):
        attempt, verdict = group.attempts[number], group.verdicts.get(number)
        score, status = (verdict.score, verdict.status) if verdict else (None, None)
        outcome = outcome_of(attempt.error, attempt.finish_reason, score, status, thresholds)
        ends.append(End(number, outcome, status, attempt.completion_tokens))
    return Brief(group.prompt.id, ends)


def outcome_of(
    error: str | None, finish: str | None, score: float | None, status: str | None, thresholds: tuple[float, float]
) -> str:
    """Return how an attempt came out, as `End` has it."""
    if error is not None:
        return "error"
    if finish == "length":
        return "truncated"
    if score is None:
        return "unscored" if status is None else "unknown"
    return "pass" if score >= thresholds[0] else "fail" if score <= thresholds[1] else "neither"


def read_group(work_dir: WorkDir, shard: int, prompt_id: str) -> Group | None:
    """Return the group of one prompt, None where the shard has none of this id. Of a closed shard only the row groups
    that hold it are read."""
    if work_dir.is_open(shard):
        return next((group for group in read_groups(work_dir, shard) if group.prompt.id == prompt_id), None)
    data = shards.rows_of(work_dir.data(shard), shards.DATA, prompt_id)
    if not data:
        return None
    rollouts = shards.rows_of(work_dir.rollout(shard), shards.ROLLOUT, prompt_id)
    scores = shards.rows_of(work_dir.score(shard), shards.SCORE, prompt_id)
    return group_of(data[0], rollouts, scores, trusted=is_of_these_rollouts(work_dir, shard))


def holding(work_dir: WorkDir, shard: int, text: str) -> set[str]:
    """Return the prompts of a shard that have this text in a message, a response or a thinking, whatever its case."""
    text = text.casefold()
    found: set[str] = set()
    if work_dir.is_open(shard):
        for group in read_groups(work_dir, shard):
            texts = [json.dumps(group.prompt.messages, ensure_ascii=False)]
            texts += [part for item in group.attempts.values() for part in (item.response, item.reasoning) if part]
            if any(text in part.casefold() for part in texts):
                found.add(group.prompt.id)
        return found
    for path, columns in ((work_dir.data(shard), ["messages"]), (work_dir.rollout(shard), ["response", "reasoning"])):
        for batch in shards.read_batches(path, ["id", *columns]):
            ids = batch["id"]
            for name in columns:
                found |= {ids[place].as_py() for place in _places(batch[name], text)}
    return found


def _places(column: Any, text: str) -> list[int]:
    matches = pc.match_substring(column, text, ignore_case=True)
    return list(pc.indices_nonzero(pc.fill_null(matches, False)).to_pylist())
