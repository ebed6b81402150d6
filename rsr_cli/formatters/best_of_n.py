"""`best_of_n`: the highest-scoring response of each prompt, or it against the lowest-scoring one."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import NonNegativeFloat

from rsr_cli.formatters.dpo import PAIR_ORIGIN, pair_row
from rsr_cli.formatters.layouts import Job
from rsr_cli.formatters.sft import Sft
from rsr_cli.types import REFERENCE, Group


class BestOfN(Sft):
    """Looks at scores alone: no threshold, and no early stop, since the best may come last.

    The best row is one of the rollouts; a pair may hold the reference completion too.
    """

    compares: ClassVar[bool] = True

    output: Literal["best", "pairs"] = "best"
    """`best` writes rows like sft, `pairs` rows like dpo."""
    min_margin: NonNegativeFloat = 0.0
    """The least difference between the scores of a pair."""
    match_length: bool = False
    """The rejected response is the one that is closest to the chosen one in length."""

    @property
    def job(self) -> Job:
        return "sft" if self.output == "best" else "pairs"

    @property
    def takes_all(self) -> bool:
        return True

    @property
    def origin(self) -> list[tuple[str, pa.DataType]]:  # type: ignore[override]
        return super().origin if self.output == "best" else PAIR_ORIGIN

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        return None  # it has no threshold

    def rows(self, group: Group) -> list[dict[str, Any]]:
        best = self.by_score(group, best_first=True)
        if self.output == "best":
            drawn = self._distinct(item for item in best if item[0].attempt.attempt != REFERENCE)
            return [self.row(group, item) for item in islice(drawn, self.per_prompt)]
        worst = self.by_score(group, best_first=False)
        pairs = self.pairs(best, worst, min_margin=self.min_margin, match_length=self.match_length)
        return [pair_row(self, group, *pair) for pair in pairs]
