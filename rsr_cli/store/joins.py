"""Whether the rows of a shard belong together: rollouts to prompts, verdicts to the texts that they are on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.journal_lines import is_whole
from rsr_cli.store import shards
from rsr_cli.store.groups import GOLDS, JUDGED, ByPrompt, is_of_these_rollouts, reference_text
from rsr_cli.store.judged import response_digest, valid_rows
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import REFERENCE
from rsr_cli.words import counted


def rollout_problems(work_dir: WorkDir, shard: int) -> Iterator[str]:
    """What is wrong with the rows of a rollout shard and its journal, beside the prompts of their shard."""
    twice = 0
    rows = ByPrompt(work_dir.rollout(shard), JUDGED)
    for (prompt_id,) in shards.read_tuples(work_dir.data(shard), shards.DATA_ID):
        numbers = [row[1] for row in rows.take(prompt_id)]
        twice += len(numbers) - len(set(numbers))
    if twice:
        yield f"holds {counted(twice, 'attempts')} twice"
    try:
        rows.close()
        both = ByPrompt(work_dir.rollout(shard), JUDGED, work_dir.rollout_journal(shard))
        for (prompt_id,) in shards.read_tuples(work_dir.data(shard), shards.DATA_ID):
            both.take(prompt_id)
        both.close()
    except WorkDirError as error:
        yield error.message.removeprefix(f"{work_dir.rollout(shard)} ")


def stale_verdicts(work_dir: WorkDir, shard: int) -> int:
    """How many verdicts of a score shard and its journal are on other texts than those here, or on none."""
    # The verdicts first: an attempt is written before its verdict, so that of each the text is there.
    path = work_dir.score(shard)
    scores = ByPrompt(path, shards.SCORE, work_dir.score_journal(shard), trusted=is_of_these_rollouts(work_dir, shard))
    attempts = ByPrompt(work_dir.rollout(shard), JUDGED, work_dir.rollout_journal(shard))
    counts: Counter[str] = Counter()
    for prompt_id, metadata in shards.read_tuples(work_dir.data(shard), GOLDS):
        texts = {row[1]: row[2:] for row in attempts.take(prompt_id)}
        rows = scores.take(prompt_id)
        if any(row[1] == REFERENCE for row in rows):
            texts[REFERENCE] = (reference_text(prompt_id, json.loads(metadata)), None)
        digests = {row[1]: response_digest(*texts[row[1]]) for row in rows if row[1] in texts}
        counts["all"] += len(rows)
        counts["valid"] += len(valid_rows(rows, digests.get))
    return counts["all"] - counts["valid"]


def damaged_lines(path: Storage) -> int:
    """The lines of a journal that are no records; the last one may be torn, or be under way."""
    file = path.open_journal()
    if file is None:
        return 0
    with file:
        return sum(line.endswith(b"\n") and not is_whole(line) for line in file)
