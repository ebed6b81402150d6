"""Records attempts and verdicts in the journals of their shards as they come, and closes shards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from rsr_cli.errors import RsrError
from rsr_cli.store.groups import MARK_KEY, attempt_row, score_mark, verdict_rows, write_rollouts, write_scores
from rsr_cli.store.journal import Journal, first_record
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Attempt, Group, Verdict


class Recorder:
    """The writer of `rollout/` and `score/`.

    `attempt` and `verdicts` only buffer and belong on the event loop; the others wait for the disk and may run in
    another thread.
    """

    def __init__(self, work_dir: WorkDir, verifier: str | None = None) -> None:
        """`verifier` is the fingerprint of the verifier whose verdicts are recorded, None where none are."""
        self._work_dir = work_dir
        self._verifier = verifier
        self._rollouts: dict[int, Journal] = {}
        self._scores: dict[int, Journal] = {}
        self._writing = threading.Lock()
        self.flush_s = work_dir.root.flush_s
        self._failure: OSError | RsrError | None = None

    def open_rollouts(self, shard: int) -> None:
        """Open the journal of a shard. To be called before its first request: what has been paid for must not find
        that no file can be opened any more.
        """
        if shard not in self._rollouts:
            self._rollouts[shard] = Journal(self._work_dir.rollout_journal(shard))

    def attempt(self, shard: int, attempt: Attempt) -> None:
        self.open_rollouts(shard)
        self._rollouts[shard].append(attempt_row(attempt))

    def verdicts(self, shard: int, group: Group, verdicts: Mapping[int, Verdict], *, compared: bool) -> None:
        """`compared` says that they depend on one another, as those of a judge that compares replies."""
        if shard not in self._scores:
            self._scores[shard] = self._score_journal(shard)
        for row in verdict_rows(group, verdicts, compared=compared):
            self._scores[shard].append(row)

    def _score_journal(self, shard: int) -> Journal:
        """The shard's score journal; one that bears another mark is no use and is begun anew."""
        assert self._verifier is not None
        mark = score_mark(self._work_dir, shard, self._verifier)
        path = self._work_dir.score_journal(shard)
        if first_record(path).get(MARK_KEY) != mark:
            path.remove_journal()
        journal = Journal(path)
        if not path.journal_size():
            journal.append({MARK_KEY: mark})
        return journal

    def flush(self) -> None:
        """Put all that was recorded on the disk; OSError where that fails, RsrError where somebody else writes now or
        what was recorded before is lost, and at every call after it.

        After a failure nothing more is written: a journal without its middle is no prefix of what happened.
        """
        with self._writing:
            if self._failure is not None:
                raise self._failure
            # What is taken last is written first, so that no verdict is on the disk without its attempt.
            scores = [(journal, journal.take()) for journal in list(self._scores.values())]
            rollouts = [(journal, journal.take()) for journal in list(self._rollouts.values())]
            try:
                for journal, lines in rollouts + scores:
                    journal.write(lines)
            except (OSError, RsrError) as error:
                self._failure = error
                raise

    def flushed(self, claim: str) -> str:
        """`claim`, which is about what was recorded, once it is on the disk; else that it is not."""
        try:
            self.flush()
        except (OSError, RsrError) as error:
            return f"stopping: what was recorded last could not be written ({error})"
        return claim

    def close(self) -> dict[int, int]:
        """Flush, and leave the journals as they are for a later run to go on from; how many lines each of the rollouts
        has, by shard."""
        if self._failure is None:
            self.flush()
        for journal in [*self._rollouts.values(), *self._scores.values()]:
            journal.close()
        for shard in self._rollouts:
            self._drop_empty_journal(shard)
        return {shard: journal.lines for shard, journal in self._rollouts.items() if journal.lines}

    def close_rollouts(self, shard: int) -> None:
        """Fold the journal of a shard whose groups have all ended into its Parquet file, and remove it."""

        def fold(lines: int) -> None:
            self._drop_empty_journal(shard)
            compact(self._work_dir, shard, lines=lines)

        self._end_journal(self._rollouts, shard, fold)

    def close_scores(self, shard: int) -> None:
        """The same for its verdicts: the score shard then holds those of the present mark."""
        assert self._verifier is not None
        mark = score_mark(self._work_dir, shard, self._verifier)
        self._end_journal(self._scores, shard, lambda lines: write_scores(self._work_dir, shard, mark, lines=lines))

    def _drop_empty_journal(self, shard: int) -> None:
        """A journal that was opened in vain is no reason to write the shard again."""
        path = self._work_dir.rollout_journal(shard)
        if path.has_journal() and not path.journal_size():
            path.remove_journal()

    def _end_journal(self, journals: dict[int, Journal], shard: int, fold: Callable[[int], None]) -> None:
        """`fold` a journal that is known to hold all that was recorded; it is given how many lines that is."""
        self.flush()
        with self._writing:
            journal = journals.pop(shard, None)
        if journal is None:
            fold(0)
            return
        try:
            lines = journal.verify()
            try:
                fold(lines)
            except RsrError:
                # It may have been harmed since: then it is written again, else the same error comes again.
                fold(journal.verify())
        finally:
            journal.close()


def compact(
    work_dir: WorkDir, shard: int, added: Mapping[str, Sequence[Attempt]] | None = None, *, lines: int = 0
) -> None:
    """Make a shard's rollouts one whole Parquet file, with the attempts `added` by prompt id. Its journal is to hold at
    least so many `lines`."""
    if added or lines or work_dir.rollout_journal(shard).has_journal() or not work_dir.rollout(shard).exists():
        write_rollouts(work_dir, shard, added or {}, lines=lines)
    else:
        work_dir.rollout_journal(shard).remove_journal()
