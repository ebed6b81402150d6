"""`dpo`: the best passing response of each prompt against its worst failing one."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
from pydantic import NonNegativeFloat

from rsr_cli.formatters.base import ScoredFormatter
from rsr_cli.formatters.choosing import Candidate
from rsr_cli.formatters.layouts import Job
from rsr_cli.types import Group

PAIR_ORIGIN = [
    ("id", pa.string()),
    ("chosen_attempt", pa.int32()),
    ("rejected_attempt", pa.int32()),
    ("chosen_score", pa.float64()),
    ("rejected_score", pa.float64()),
    ("prompt_tokens", pa.int32()),
    ("chosen_tokens", pa.int32()),
    ("rejected_tokens", pa.int32()),
]
"""Where both sides of a pair come from, and how long they are; attempt -1 is the reference completion."""


class Dpo(ScoredFormatter):
    compares: ClassVar[bool] = True
    origin: ClassVar[list[tuple[str, pa.DataType]]] = PAIR_ORIGIN

    min_margin: NonNegativeFloat = 0.0
    """The least difference between the scores of a pair."""
    match_length: bool = False
    """The rejected response is the one that is closest to the chosen one in length, not the worst one."""

    @property
    def job(self) -> Job:
        return "pairs"

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        if self.fail_threshold < lowest:
            return (
                f"fail_threshold {self.fail_threshold:g} is below every score: they go from {lowest:g} to {highest:g}"
            )
        return super().out_of_reach(lowest, highest)

    def has_enough(self, group: Group) -> bool:
        return len(self._pairs(group)) >= self.per_prompt

    def rows(self, group: Group) -> list[dict[str, Any]]:
        return [pair_row(self, group, *pair) for pair in self._pairs(group)]

    def _pairs(self, group: Group) -> list[tuple[Candidate, Candidate]]:
        """Passes with fails; a score that is not known is neither."""
        return self.pairs(
            self.passed(group), self.failed(group), min_margin=self.min_margin, match_length=self.match_length
        )


def pair_row(formatter: ScoredFormatter, group: Group, chosen: Candidate, rejected: Candidate) -> dict[str, Any]:
    laid_out = formatter.laid_out(
        prompt=formatter.chat(group), reply=formatter.assistant(chosen[0]), rejected=formatter.assistant(rejected[0])
    )
    tokens = [side[0].attempt.prompt_tokens for side in (chosen, rejected)]
    found = {
        "id": group.prompt.id,
        "chosen_attempt": chosen[0].attempt.attempt,
        "rejected_attempt": rejected[0].attempt.attempt,
        "chosen_score": chosen[1],
        "rejected_score": rejected[1],
        "prompt_tokens": max((count for count in tokens if count is not None), default=None),
        "chosen_tokens": chosen[0].attempt.completion_tokens,
        "rejected_tokens": rejected[0].attempt.completion_tokens,
    }
    return laid_out | found | formatter.beside(group)
