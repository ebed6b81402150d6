"""One prompt's figures: how many attempts, how they ended, how often it passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from rsr_cli.analysis.difficulty import Difficulty, Stop, unbiased_rate
from rsr_cli.types import Group


@dataclass(frozen=True, slots=True)
class PromptStats:
    """The outcomes are those that are known: of a score whether it passes, and a truncated attempt does not.

    `first_step` holds those of the first step, `of_size` those of the attempts that are drawn whatever comes where
    nothing stops early: no outcome has decided how many there are. `drawn` is false where every attempt was imported.
    """

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
    first_step_valid: tuple[bool, ...]
    """Without the truncated attempts."""
    of_size: tuple[bool, ...]
    difficulty: Difficulty

    @property
    def pass_rate(self) -> float | None:
        """Of all known outcomes, truncated attempts among them. Biased where outcomes decided when to stop."""
        known = self.n_scored + self.n_truncated
        return self.n_pass / known if known and (self.n_scored or not self.n_valid) else None

    @property
    def pass_rate_valid(self) -> float | None:
        """Of the known scores alone."""
        return self.n_pass / self.n_scored if self.n_scored else None

    @property
    def pass_rate_first_step(self) -> float | None:
        return mean(self.first_step)

    @property
    def pass_rate_first_step_valid(self) -> float | None:
        return mean(self.first_step_valid)

    def row(self) -> dict[str, Any]:
        """As a row of prompts.parquet."""
        names = ("id", "n_valid", "n_scored", "n_pass", "n_fail", "n_truncated", "n_error", "n_attempts", "end_reason")
        rates = ("pass_rate", "pass_rate_first_step", "pass_rate_valid", "pass_rate_first_step_valid")
        unbiased = {"pass_rate_unbiased": self.difficulty.rate, "pass_rate_unbiased_from": self.difficulty.source}
        return {name: getattr(self, name) for name in (*names, *rates)} | unbiased


def prompt_stats(
    group: Group, passes: Callable[[float], bool], fails: Callable[[float], bool], end_reason: str, stop: Stop
) -> PromptStats:
    attempts = group.attempts.values()
    rollouts = list(group.rollouts())
    scored = {item.attempt.attempt: item.score for item in rollouts if item.score is not None}
    outcomes = {number: passes(score) for number, score in scored.items()}
    unknown = {item.attempt.attempt for item in rollouts} - outcomes.keys()
    if outcomes or not unknown:
        outcomes |= {number: False for number, attempt in group.attempts.items() if attempt.truncated}
    first = min((attempt.step for attempt in attempts), default=0)
    first_step = {number for number in outcomes if group.attempts[number].step == first}
    first_outcomes = tuple(outcomes[number] for number in sorted(first_step))
    drawn = any(attempt.source is None for attempt in attempts)
    return PromptStats(
        id=group.prompt.id,
        n_attempts=len(attempts),
        n_valid=len(rollouts),
        n_scored=len(scored),
        n_pass=sum(outcomes.values()),
        n_fail=sum(map(fails, scored.values())),
        n_truncated=sum(attempt.truncated for attempt in attempts),
        n_error=sum(attempt.error is not None for attempt in attempts),
        end_reason=end_reason,
        drawn=drawn,
        first_step=first_outcomes,
        first_step_valid=tuple(outcomes[number] for number in sorted(first_step & scored.keys())),
        # Truncated ones are replaced, up to max_steps: what comes after the first `max_rollouts` is there by their
        # outcome.
        of_size=tuple(outcomes[number] for number in sorted(outcomes) if number < stop.max_rollouts or not drawn),
        difficulty=unbiased_rate(group, outcomes, mean(first_outcomes), end_reason, stop),
    )


def mean(outcomes: Sequence[bool]) -> float | None:
    return sum(outcomes) / len(outcomes) if outcomes else None


def pass_at_k(n: int, passed: int, k: int) -> float:
    """The unbiased estimate of a pass in k draws, from `passed` of n (Chen et al. 2021, arXiv 2107.03374)."""
    return 1.0 - comb(n - passed, k) / comb(n, k)
