"""The allocation of draws to prompts: when a prompt has enough, and the value of one more draw for it."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

from rsr_cli.types import Group

_PRIOR = 0.5
"""Both parameters of the Beta prior of a prompt's pass rate (the Jeffreys prior)."""


class Passes:
    """The number of passes that a prompt needs, by several rules.

    `passes` says whether a score is a pass, `target` is the number of passes wanted, and the difficulty of a prompt is
    estimated from its first `first_step` attempts. `kept` returns a group as formatters see it: a filtered pass does
    not count. Every method is a function of the group alone.
    """

    def __init__(
        self,
        passes: Callable[[float], bool],
        target: int,
        first_step: int,
        kept: Callable[[Group], Group] = lambda group: group,
    ) -> None:
        self._passes = passes
        self._kept = kept
        self._target = target
        self._first_step = first_step

    def uniform(self, group: Group) -> bool:
        """Return whether the prompt has the target number of passes."""
        return self._count(group) >= self._target

    def prop2diff(self, group: Group) -> bool:
        """Return whether the prompt has passes in proportion to its difficulty, the fail rate of its first step.

        A prompt without a pass in the first step needs the target number, and every prompt needs at least one (Tong
        et al. 2024, DART-Math, arXiv 2407.13690).
        """
        first = [score for rollout, score in group.scored() if rollout.attempt.attempt < self._first_step]
        kept = {rollout.attempt.attempt: score for rollout, score in self._kept(group).scored()}
        passed = sum(self._passes(kept[number]) for number in kept if number < self._first_step)
        fails, of = (len(first) - passed, len(first)) if first else (1, 1)
        share = -(-self._target * fails // of)  # rounded up, in whole numbers: 3 * (1 - 2 / 3) is a little above 1
        return self._count(group) >= max(1, share)

    def worth(self, group: Group, under_way: int) -> float:
        """Return the value of one more draw: the expected number of prompts that it newly satisfies, per token.

        The probability of a pass is the mean of the Beta posterior of the pass rate. A truncated attempt counts as a
        draw without a pass, a failed one does not count. A prompt that lacks k passes takes k / probability draws, so
        one draw contributes probability / k, unless the k passes come from the draws `under_way`. The cost of a draw is
        estimated as the mean cost of the prompt's draws so far; prompts without any are drawn before all others.
        """
        judged = [
            attempt
            for number, attempt in group.attempts.items()
            if attempt.error is None and (not attempt.valid or number in group.verdicts)
        ]
        if not judged:
            return 1.0 / (1 + under_way)
        passed = self._count(group)
        chance = (_PRIOR + passed) / (2 * _PRIOR + len(judged))
        lacking = max(1, self._target - passed)
        gain = chance / lacking * _chance_of_fewer(lacking, under_way, chance)
        tokens = sum((attempt.prompt_tokens or 0) + (attempt.completion_tokens or 0) for attempt in judged)
        return gain / max(1.0, tokens / len(judged))

    def _count(self, group: Group) -> int:
        return sum(self._passes(score) for _, score in self._kept(group).scored())


def _chance_of_fewer(successes: int, trials: int, chance: float) -> float:
    """Return the probability of fewer than so many successes (binomial)."""
    return sum(comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(min(successes, trials + 1)))
