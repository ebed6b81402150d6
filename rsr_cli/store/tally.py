"""What a rollout shard holds, counted column by column."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rsr_cli.store import shards

_COLUMNS = ["response", "finish_reason", "error", "prompt_tokens", "completion_tokens"]


def tally(path: Path) -> Counter[str]:
    """Attempts, rollouts (the valid ones), truncated, errors and tokens of a shard."""
    counts: Counter[str] = Counter()
    for batch in shards.read_batches(path, _COLUMNS):
        truncated = pc.equal(batch["finish_reason"], "length")
        failed = pc.is_valid(batch["error"])
        valid = pc.and_(pc.is_valid(batch["response"]), pc.invert(pc.or_(truncated, failed)))
        counts["attempts"] += batch.num_rows
        for name, values in (("rollouts", valid), ("truncated", truncated), ("errors", failed)):
            counts[name] += _sum(values)
        for name in ("prompt_tokens", "completion_tokens"):
            counts[name] += _sum(batch[name])
    return counts


def most_common_errors(path: Path, count: int = 3) -> Counter[str]:
    """The errors of a shard's attempts, the most frequent ones."""
    found: Counter[str] = Counter()
    for batch in shards.read_batches(path, ["error"]):
        found.update(error for error in batch["error"].to_pylist() if error is not None)
    return Counter(dict(found.most_common(count)))


def _sum(values: pa.Array) -> int:
    return int(pc.sum(values).as_py() or 0)
