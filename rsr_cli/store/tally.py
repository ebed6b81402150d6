"""What a rollout shard holds, counted column by column."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from rsr_cli.storage.interface import Storage
from rsr_cli.store import shards
from rsr_cli.store.journal import read_journal

_TOKENS = ["prompt_tokens", "completion_tokens"]
_COLUMNS = ["response", "finish_reason", "error", *_TOKENS]


def tally(path: Storage) -> Counter[str]:
    """Attempts, rollouts (the valid ones), truncated, errors and tokens of a shard."""
    counts: Counter[str] = Counter()
    for batch in shards.read_batches(path, _COLUMNS):
        truncated = pc.equal(batch["finish_reason"], "length")
        failed = pc.is_valid(batch["error"])
        valid = pc.and_(pc.is_valid(batch["response"]), pc.invert(pc.or_(truncated, failed)))
        counts["attempts"] += batch.num_rows
        for name, values in (("rollouts", valid), ("truncated", truncated), ("errors", failed)):
            counts[name] += _sum(values)
        for name in _TOKENS:
            counts[name] += _sum(batch[name])
        uncounted = pc.or_(*(pc.is_null(batch[name]) for name in _TOKENS))
        counts["without_usage"] += _sum(pc.and_(uncounted, pc.invert(failed)))
    return counts


def tally_journal(path: Storage) -> Counter[str]:
    """The same of the attempts in a journal."""
    counts: Counter[str] = Counter()
    for _, row in read_journal(path):
        truncated, failed = row["finish_reason"] == "length", row["error"] is not None
        counts["attempts"] += 1
        counts["rollouts"] += row["response"] is not None and not truncated and not failed
        counts["truncated"] += truncated
        counts["errors"] += failed
        for name in _TOKENS:
            counts[name] += row[name] or 0
        counts["without_usage"] += not failed and any(row[name] is None for name in _TOKENS)
    return counts


def tally_tokens(path: Storage, journal: Storage) -> Counter[str]:
    """The tokens of a shard and of its journal."""
    counts: Counter[str] = Counter()
    for batch in shards.read_batches(path, _TOKENS):
        for name in _TOKENS:
            counts[name] += _sum(batch[name])
    written = tally_journal(journal)
    return counts + Counter({name: written[name] for name in _TOKENS})


def most_common_errors(path: Storage, count: int = 3) -> Counter[str]:
    """The errors of a shard's attempts, the most frequent ones."""
    found: Counter[str] = Counter()
    for batch in shards.read_batches(path, ["error"]):
        found.update(batch["error"].drop_null().to_pylist())
    return Counter(dict(found.most_common(count)))


def _sum(values: pa.Array) -> int:
    return int(pc.sum(values).as_py() or 0)
