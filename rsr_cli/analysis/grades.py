"""Scores that are more than right or wrong: how they are spread, and what the best of k draws has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb, isfinite
from typing import Any

from rsr_cli.types import Group

_BINS = 20


@dataclass
class Grades:
    """`size` is how many attempts every prompt has whatever comes, None where outcomes decide it."""

    size: int | None
    counts: Counter[float] = field(default_factory=Counter)
    """By score, in three digits: as small as the number of different ones."""
    best: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    having_best: Counter[int] = field(default_factory=Counter)

    def add(self, group: Group) -> None:
        scored = [(item[0].attempt.attempt, item[1]) for item in group.scored() if isfinite(item[1])]
        self.counts.update(float(f"{score:.3g}") for _, score in scored)
        scores = sorted(score for number, score in scored if self.size is not None and number < self.size)
        k = 1
        while k <= len(scores):
            self.best[k] += best_of_k(scores, k)
            self.having_best[k] += 1
            k *= 2

    def merge(self, later: Grades) -> None:
        self.counts.update(later.counts)
        self.having_best.update(later.having_best)
        for k, total in later.best.items():
            self.best[k] += total

    def summary(self) -> dict[str, Any] | None:
        """None where every score is 0 or 1."""
        if self.counts.keys() <= {0.0, 1.0}:
            return None
        low, high = min(self.counts), max(self.counts)
        width = (high - low) / _BINS or 1.0
        histogram = [0] * _BINS
        for score, count in self.counts.items():
            histogram[min(int((score - low) / width), _BINS - 1)] += count
        best = {
            str(k): {"value": round(self.best[k] / count, 6), "prompts": count}
            for k, count in sorted(self.having_best.items())
        }
        return {"lowest": low, "highest": high, "histogram": histogram, "best_of_k": best}


def best_of_k(scores: Sequence[float], k: int) -> float:
    """The expectation of the best of k of these scores, which are sorted."""
    n = len(scores)
    return sum(scores[place] * comb(place, k - 1) for place in range(k - 1, n)) / comb(n, k)
