"""From prompts to training rows: how many are left after each step, and what became of the others."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rsr_cli.analysis.prompts import PromptStats

STEPS = (
    "not sampled",
    "every attempt failed",
    "no whole reply",
    "no score is known",
    "no rollout passes",
    "every pass is filtered",
)
"""Why a prompt has nothing to learn from, in the order in which it goes through them."""
_NO_FAIL = "no fail to set against a pass"
_NOT_TAKEN = "has a pass that the formatter does not take"
_NUMBER = re.compile(r"\d+")
LeftOut = tuple[int, str, str]
"""An attempt, the filter that leaves it out, and why."""


@dataclass
class Funnel:
    total: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    filtered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rollouts by filter and reason."""
    rows: Counter[str] = field(default_factory=Counter)
    """By formatter; so are the others."""
    prompts: Counter[str] = field(default_factory=Counter)
    without: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Prompts that have no row, by why."""

    def add(
        self,
        stats: PromptStats,
        passed: Sequence[int],
        left_out: Sequence[LeftOut],
        rows: Mapping[str, int],
        pairs: Mapping[str, bool],
    ) -> None:
        """`passed` are the attempts that pass, `rows` is how many rows of each formatter are of this prompt; `pairs`
        says of each formatter that its rows are pairs."""
        self.total += 1
        # The same reason with other numbers in it is the same.
        self.filtered.update((name, _NUMBER.sub("N", why)[:120]) for _, name, why in left_out)
        why = self._loss(stats, passed, {number for number, _, _ in left_out})
        if why:
            self.lost[why] += 1
        for name, count in rows.items():
            self.rows[name] += count
            self.prompts[name] += count > 0
            if not count:
                self.without[name][why or (_NO_FAIL if pairs[name] and not stats.n_fail else _NOT_TAKEN)] += 1

    def _loss(self, stats: PromptStats, passed: Sequence[int], left_out: set[int]) -> str | None:
        if not stats.n_attempts:
            return STEPS[0]
        if stats.n_error == stats.n_attempts:
            return STEPS[1]
        if not stats.n_valid:
            return STEPS[2]
        if not stats.n_scored:
            return STEPS[3]
        if not passed:
            return STEPS[4]
        return STEPS[5] if left_out.issuperset(passed) else None

    def merge(self, later: Funnel) -> None:
        self.total += later.total
        for name in ("lost", "filtered", "rows", "prompts"):
            getattr(self, name).update(getattr(later, name))
        for name, counts in later.without.items():
            self.without[name].update(counts)

    def summary(self) -> dict[str, Any]:
        return {
            "prompts": self.total,
            "lost": {why: self.lost[why] for why in STEPS if self.lost[why]},
            "with_a_kept_pass": self.total - self.lost.total(),
            "filtered": [
                {"filter": name, "reason": why, "rollouts": count}
                for (name, why), count in self.filtered.most_common(20)
            ],
            "formatters": {
                name: {"rows": self.rows[name], "prompts": self.prompts[name], "without": dict(self.without[name])}
                for name in self.rows
            },
        }
