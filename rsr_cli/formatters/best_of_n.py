"""`best_of_n`: the highest-scoring response of each prompt, or it against the lowest-scoring one."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from rsr_cli.formatters.sft import Sft
from rsr_cli.types import REFERENCE, Group


class BestOfN(Sft):
    """Looks at scores alone: no threshold, and no early stop, since the best may come last.

    The best row is one of the rollouts; a pair may hold the reference completion too.
    """

    compares: ClassVar[bool] = True
    takes_all: ClassVar[bool] = True
    """No prompt stops early for it."""

    output: Literal["best", "pairs"] = "best"
    """`best` writes rows like sft, `pairs` rows like dpo."""
    min_margin: float = Field(0.0, ge=0)
    """The least difference between the scores of a pair."""

    @property
    def schema(self) -> pa.Schema:
        return super().schema if self.output == "best" else self.pair_schema

    @property
    def makes_pairs(self) -> bool:
        return self.output == "pairs"

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        return None  # it has no threshold

    def is_satisfied(self, group: Group) -> bool:
        return False

    def format(self, group: Group) -> list[dict[str, Any]]:
        if self.output == "best":
            drawn = (item for item in self.by_score(group, best_first=True) if item[0].attempt.attempt != REFERENCE)
            return [self.row(group, item) for item in islice(drawn, 1)]
        pair = self.widest_pair(self.by_score(group, best_first=True), self.by_score(group, best_first=False))
        if pair is None or pair[0][1] - pair[1][1] < self.min_margin:
            return []
        return [self.pair_row(group, *pair)]
