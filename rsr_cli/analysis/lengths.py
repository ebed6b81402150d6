"""How long completions are, by what became of them, against the limit that cuts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rsr_cli.types import Group

BINS = 40
OUTCOMES = ("pass", "fail", "neither", "cut")


@dataclass
class Lengths:
    """Completion tokens in bins; the last one holds what is at the limit or beyond it."""

    limit: int
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, group: Group, passes: Callable[[float], bool], fails: Callable[[float], bool]) -> None:
        for number, attempt in group.attempts.items():
            if attempt.completion_tokens is None or attempt.error is not None:
                continue
            verdict = group.verdicts.get(number) if attempt.valid else None
            score = verdict.score if verdict else None
            outcome = "neither" if score is None else "pass" if passes(score) else "fail" if fails(score) else "neither"
            place = min(attempt.completion_tokens * BINS // self.limit, BINS)
            self.counts["cut" if attempt.truncated else outcome, place] += 1

    def merge(self, later: Lengths) -> None:
        self.counts.update(later.counts)

    def summary(self) -> dict[str, Any] | None:
        """None where no server counted tokens."""
        if not self.counts:
            return None
        histogram = {name: [self.counts[name, place] for place in range(BINS + 1)] for name in OUTCOMES}
        return {"limit": self.limit, "bins": BINS, "histogram": histogram}
