"""`dpo`: the best passing response of each prompt against its worst failing one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from rsr_cli.formatters.base import Candidate, ScoredFormatter, chat
from rsr_cli.types import Group


class Dpo(ScoredFormatter):
    @property
    def schema(self) -> pa.Schema:
        kind = self.message_type
        return pa.schema(
            [
                ("prompt", kind),
                ("chosen", kind),
                ("rejected", kind),
                ("id", pa.string()),
                ("chosen_attempt", pa.int32()),
                ("rejected_attempt", pa.int32()),
                ("chosen_score", pa.float64()),
                ("rejected_score", pa.float64()),
            ]
        )

    def is_satisfied(self, group: Group) -> bool:
        return self._pair(group) is not None

    def format(self, group: Group) -> list[dict[str, Any]]:
        pair = self._pair(group)
        if pair is None:
            return []
        (chosen, chosen_score), (rejected, rejected_score) = pair
        return [
            {
                "prompt": chat(group),
                "chosen": [self.assistant(chosen)],
                "rejected": [self.assistant(rejected)],
                "id": group.prompt.id,
                "chosen_attempt": chosen.attempt.attempt,
                "rejected_attempt": rejected.attempt.attempt,
                "chosen_score": chosen_score,
                "rejected_score": rejected_score,
            }
        ]

    def _pair(self, group: Group) -> tuple[Candidate, Candidate] | None:
        """A pass and a fail with different texts and the widest margin; a score that is not known is neither."""
        pairs = [
            (chosen, rejected)
            for chosen in self.passed(group)
            for rejected in self.failed(group)
            if chosen[1] > rejected[1] and chosen[0].response.strip() != rejected[0].response.strip()
        ]
        return max(pairs, key=lambda pair: pair[0][1] - pair[1][1], default=None)
