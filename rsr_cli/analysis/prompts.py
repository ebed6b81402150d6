"""One prompt's figures: how many attempts, how they ended, how often it passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

from rsr_cli.types import Group


@dataclass(frozen=True, slots=True)
class PromptStats:
    """`first_step` holds the known outcomes (pass or not) of the first step, whose size no outcome has decided;
    `drawn` is false where every attempt was imported."""

    id: str
    n_attempts: int
    n_valid: int
    n_scored: int
    n_pass: int
    n_fail: int
    n_truncated: int
    n_error: int
    end_reason: str
    drawn: bool
    first_step: tuple[bool, ...]
    all_outcomes: tuple[bool, ...]

    @property
    def pass_rate(self) -> float | None:
        """Of all known scores. Biased where outcomes decided when to stop."""
        return self.n_pass / self.n_scored if self.n_scored else None

    @property
    def pass_rate_first_step(self) -> float | None:
        return sum(self.first_step) / len(self.first_step) if self.first_step else None

    def row(self) -> dict[str, Any]:
        """As a row of prompts.parquet."""
        names = ("id", "n_valid", "n_scored", "n_pass", "n_fail", "n_truncated", "n_error", "n_attempts", "end_reason")
        rates = {"pass_rate": self.pass_rate, "pass_rate_first_step": self.pass_rate_first_step}
        return {name: getattr(self, name) for name in names} | rates


def prompt_stats(
    group: Group, passes: Callable[[float], bool], fails: Callable[[float], bool], end_reason: str
) -> PromptStats:
    attempts = group.attempts.values()
    rollouts = list(group.rollouts())
    scored = [(item.attempt.step, item.score) for item in rollouts if item.score is not None]
    outcomes = tuple(passes(score) for _, score in scored)
    first = min((attempt.step for attempt in attempts), default=0)
    return PromptStats(
        id=group.prompt.id,
        n_attempts=len(attempts),
        n_valid=len(rollouts),
        n_scored=len(scored),
        n_pass=sum(outcomes),
        n_fail=sum(fails(score) for _, score in scored),
        n_truncated=sum(attempt.truncated for attempt in attempts),
        n_error=sum(attempt.error is not None for attempt in attempts),
        end_reason=end_reason,
        drawn=any(attempt.source is None for attempt in attempts),
        first_step=tuple(passed for (step, _), passed in zip(scored, outcomes, strict=True) if step == first),
        all_outcomes=outcomes,
    )


def pass_at_k(n: int, passed: int, k: int) -> float:
    """The unbiased estimate of a pass in k draws, from `passed` of n (Chen et al. 2021, arXiv 2107.03374)."""
    return 1.0 - comb(n - passed, k) / comb(n, k)
