"""`dpo`: the best passing response of each prompt against its worst failing one."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa

from rsr_cli.formatters.base import Candidate, ScoredFormatter
from rsr_cli.types import Group


class Dpo(ScoredFormatter):
    compares: ClassVar[bool] = True

    @property
    def schema(self) -> pa.Schema:
        return self.pair_schema

    @property
    def makes_pairs(self) -> bool:
        return True

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        if self.fail_threshold < lowest:
            return (
                f"fail_threshold {self.fail_threshold:g} is below every score: they go from {lowest:g} to {highest:g}"
            )
        return super().out_of_reach(lowest, highest)

    def is_satisfied(self, group: Group) -> bool:
        return self._pair(group) is not None

    def format(self, group: Group) -> list[dict[str, Any]]:
        pair = self._pair(group)
        if pair is None:
            return []
        return [self.pair_row(group, *pair)]

    def _pair(self, group: Group) -> tuple[Candidate, Candidate] | None:
        """A pass and a fail with different texts and the widest margin; a score that is not known is neither."""
        return self.widest_pair(self.passed(group), self.failed(group))
