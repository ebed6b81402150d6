"""How draws are shared out over the prompts: when a prompt has enough, and what one more draw for it is worth."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

from rsr_cli.types import Group

_PRIOR = 0.5
"""Both parameters of the Beta prior of a prompt's pass rate (Jeffreys')."""


class Passes:
    """The passes that a prompt is to have, and what follows from those it has.

    `passes` tells whether a score is one, `target` is how many are wanted, and the first `first_step` attempts tell how
    hard a prompt is. `kept` returns a group as formatters see it: a pass that is filtered is none. Every method is a
    function of the group alone.
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
        """The prompt has its target of passes."""
        return self._count(group) >= self._target

    def prop2diff(self, group: Group) -> bool:
        """The prompt has passes in proportion to its difficulty, which is the fail rate of its first step. One that
        never passes there needs the target, each needs at least one (Tong et al. 2024, DART-Math, arXiv 2407.13690).
        """
        first = [score for rollout, score in group.scored() if rollout.attempt.attempt < self._first_step]
        kept = {rollout.attempt.attempt: score for rollout, score in self._kept(group).scored()}
        passed = sum(self._passes(kept[number]) for number in kept if number < self._first_step)
        fails, of = (len(first) - passed, len(first)) if first else (1, 1)
        share = -(-self._target * fails // of)  # rounded up, in whole numbers: 3 * (1 - 2 / 3) is a little above 1
        return self._count(group) >= max(1, share)

    def worth(self, group: Group, under_way: int) -> float:
        """What one more draw is worth: the prompts that it newly satisfies, in expectation, per token.

        The chance of a pass is the mean of the Beta posterior of the pass rate; a truncated attempt is a draw without a
        pass, a failed one is none. A prompt that lacks k passes takes k / chance draws, so one draw is a chance / k of
        it, if those under way do not bring the k anyway. A draw is taken to cost what the prompt's draws so far have
        cost on average; before the first nothing is known, and it comes before all others.
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
    """Fewer than so many of the trials succeed."""
    return sum(comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(min(successes, trials + 1)))
