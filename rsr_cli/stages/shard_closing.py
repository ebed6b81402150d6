"""The life of a shard in a run: it is read into the loop, drains as its groups end, and is closed."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import islice

from rsr_cli.errors import RsrError
from rsr_cli.sampling.queue import Ending, OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.stages.session import Session
from rsr_cli.store import inventory
from rsr_cli.store.groups import read_groups, score_mark
from rsr_cli.store.recorder import Recorder
from rsr_cli.store.tally import tally
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group

_READ_AT_ONCE = 64


@dataclass(slots=True)
class OpenShard:
    """The groups of a shard that is not closed, in the present round."""

    drawing: int = 0
    """Groups in the loop."""
    read: bool = False
    """All groups were handed to the loop."""
    ended: Counter[str] = field(default_factory=Counter)
    """Groups that left the loop, by end reason; for `budget` they may go on in a later round or run."""
    attempts: int = 0
    """The attempts of the groups that left the loop."""
    postponed: int = 0
    """Groups whose answers a later run will get."""

    @property
    def finished(self) -> int:
        return self.ended.total() - self.ended["budget"]


class ShardClosing(Watcher):
    """Reads the groups of the shards that are not closed, and closes each shard whose groups have all ended.

    `verifier` is the fingerprint of the verifier whose verdicts end groups, None where verify scores later. With
    `retry_errors` the first round requests the attempts again that failed for good.
    """

    def __init__(
        self, session: Session, numbers: list[int], recorder: Recorder, verifier: str | None, *, retry_errors: bool
    ) -> None:
        self._session = session
        self._recorder = recorder
        self._verifier = verifier
        self._retry_errors = retry_errors
        done = session.state.stages["sample"].shards_done
        self._to_draw = [n for n in numbers if n not in done or not is_closed(session.work_dir, n)]
        self._open: defaultdict[int, OpenShard] = defaultdict(OpenShard)
        self._drained: asyncio.Queue[int | None] = asyncio.Queue()

    @property
    def to_draw(self) -> list[int]:
        """The shards whose groups have not all ended."""
        return list(self._to_draw)

    @property
    def postponed(self) -> int:
        """The groups whose answers a later run will get."""
        return sum(shard.postponed for shard in self._open.values())

    @property
    def finished_in_open_shards(self) -> int:
        """The groups that have ended, in shards that are not closed."""
        return sum(shard.finished for shard in self._open.values())

    def reopen(self) -> int:
        """Begin another round: the shards that are not drained are read again. Return how many of their groups have
        ended already and will end again."""
        self._retry_errors = False
        return sum(self._open.pop(number, OpenShard()).finished for number in self._to_draw)

    async def groups(self) -> AsyncIterator[OpenGroup]:
        """Yield the groups of each shard, with their attempts and verdicts."""
        await asyncio.to_thread(self._recorder.flush)
        for number in self.to_draw:
            shard = self._open[number]
            groups = self._read(number)
            await asyncio.to_thread(self._recorder.open_rollouts, number)
            while batch := await asyncio.to_thread(lambda: list(islice(groups, _READ_AT_ONCE))):  # noqa: B023
                shard.drawing += len(batch)
                for group in batch:
                    yield OpenGroup(number, group)
            shard.read = True
            self._close_if_drained(number)

    def ended(self, opened: OpenGroup, reason: Ending) -> None:
        shard = self._open[opened.shard]
        shard.drawing -= 1
        shard.attempts += len(opened.group.attempts)
        if reason == "postponed":
            shard.postponed += 1
        else:
            shard.ended[reason] += 1
        self._close_if_drained(opened.shard)

    def close_parked(self) -> None:
        """After the last round: groups that ended for the budget have ended for good in this run."""
        for number in self.to_draw:
            if self._open[number].ended["budget"]:
                self._close_soon(number)

    def finish(self) -> None:
        """Let `run` return once all drained shards are closed."""
        self._drained.put_nowait(None)

    async def run(self) -> None:
        """Close shards as they drain, until `finish`."""
        while (number := await self._drained.get()) is not None:
            counts = await asyncio.to_thread(self._close, number)
            ended = self._open.pop(number).ended
            session, record = self._session, self._session.state.stages["sample"]
            record.by_shard[str(number)] = {"prompts": ended.total(), **counts, "end_reasons": dict(ended)}
            inventory.note_rollouts(session.state, session.work_dir, number)
            if self._verifier is not None:
                inventory.note(session.state, session.work_dir.score(number))
            record.shards_done = sorted({*record.shards_done, number})
            session.save_state()

    def _read(self, number: int) -> Iterator[Group]:
        work_dir = self._session.work_dir
        mark = score_mark(work_dir, number, self._verifier) if self._verifier is not None else None
        for group in read_groups(work_dir, number, mark):
            if self._retry_errors:
                group.again = {n for n, attempt in group.attempts.items() if attempt.error is not None}
            yield group

    def _close_if_drained(self, number: int) -> None:
        shard = self._open[number]
        if shard.read and not shard.drawing and not shard.ended["budget"] and not shard.postponed:
            self._close_soon(number)

    def _close_soon(self, number: int) -> None:
        self._to_draw.remove(number)
        self._drained.put_nowait(number)

    def _close(self, number: int) -> Counter[str]:
        """Fold the journals of a shard into its Parquet files. Return the counts of its rollouts."""
        self._recorder.close_rollouts(number)
        if self._verifier is not None:
            self._recorder.close_scores(number)
        path, recorded = self._session.work_dir.rollout(number), self._open[number].attempts
        counts = tally(path)
        if counts["attempts"] < recorded:
            raise RsrError(
                f"{path} holds {counts['attempts']} of {recorded} attempts\n  another process has changed it while it "
                "was being sampled",
                "look for what changes files in the work dir while rsr runs, such as a cleaner of scratch space",
            )
        return counts


def is_closed(work_dir: WorkDir, shard: int) -> bool:
    """Return whether the rollouts of a shard are one whole Parquet file, without a journal beside it."""
    return work_dir.rollout(shard).exists() and not work_dir.is_open(shard)
