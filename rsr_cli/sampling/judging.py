"""Verdicts on the attempts of a group, while it is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from rsr_cli.sampling.queue import OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.types import Group, Verdict

_TRIAL, _WAITING = 50, 30


class GroupScorer(Protocol):
    compares: bool

    def owed(self, group: Group) -> list[int]: ...

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]: ...


class VerdictRecorder(Protocol):
    def verdicts(self, shard: int, group: Group, verdicts: Mapping[int, Verdict], *, compared: bool) -> None: ...


class Judging:
    """Scores attempts and records their verdicts; without a scorer it does neither."""

    def __init__(self, scorer: GroupScorer | None, recorder: VerdictRecorder, watchers: Sequence[Watcher]) -> None:
        self._scorer = scorer
        self._recorder = recorder
        self._watchers = watchers
        self._waiting = 0
        """Attempts that wait for their verdicts."""
        self._verdicts = 0

    @property
    def is_behind(self) -> bool:
        """Many attempts wait for the first verdicts. Nothing is requested meanwhile, so that a verifier that can score
        nothing is noticed before much is drawn for it."""
        return self._verdicts < _TRIAL and self._waiting >= _WAITING

    def owed(self, group: Group) -> list[int]:
        """Return the attempts that an earlier run left without a verdict."""
        return self._scorer.owed(group) if self._scorer is not None else []

    async def judge(self, opened: OpenGroup, numbers: Sequence[int]) -> None:
        """Score what a request brought. Where verdicts compare, the last request of a step scores the whole group."""
        if self._scorer is None:
            return
        if not self._scorer.compares:
            await self.score(opened, [n for n in numbers if n in opened.group.attempts])
        elif opened.pending.keys() <= set(numbers):
            await self.score(opened, self._scorer.owed(opened.group))

    async def score(self, opened: OpenGroup, numbers: Sequence[int]) -> None:
        """Score those of these attempts that are rollouts, and the reference where it is among them."""
        assert self._scorer is not None
        group = opened.group
        to_score = [n for n in numbers if n not in group.attempts or group.attempts[n].valid]
        if not to_score:
            return
        self._waiting += len(to_score)
        try:
            verdicts = await self._scorer.score(group, to_score)
        finally:
            self._waiting -= len(to_score)
        self._verdicts += len(verdicts)
        group.verdicts.update(verdicts)
        self._recorder.verdicts(opened.shard, group, verdicts, compared=self._scorer.compares)
        for number, verdict in verdicts.items():
            if number in group.attempts:
                for watcher in self._watchers:
                    watcher.judged(group.attempts[number], verdict)
