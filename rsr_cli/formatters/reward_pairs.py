"""`reward_pairs`: pairs of responses with different scores, and their margin, for reward models."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa

from rsr_cli.formatters.choosing import Candidate
from rsr_cli.formatters.dpo import PAIR_ORIGIN, Dpo
from rsr_cli.formatters.layouts import Job
from rsr_cli.types import Group


class RewardPairs(Dpo):
    """Looks at scores alone: no threshold."""

    origin: ClassVar[list[tuple[str, pa.DataType]]] = [*PAIR_ORIGIN, ("margin", pa.float64())]

    @property
    def job(self) -> Job:
        return "reward"

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        if self.min_margin <= highest - lowest:
            return None
        return f"min_margin {self.min_margin:g} is wider than all scores: they go from {lowest:g} to {highest:g}"

    def rows(self, group: Group) -> list[dict[str, Any]]:
        return [row | {"margin": row["chosen_score"] - row["rejected_score"]} for row in super().rows(group)]

    def _pairs(self, group: Group) -> list[tuple[Candidate, Candidate]]:
        better = self._distinct(self.by_score(group, best_first=True))
        worse = self._distinct(self.by_score(group, best_first=False))
        return self.pairs(better, worse, min_margin=self.min_margin, match_length=self.match_length)
