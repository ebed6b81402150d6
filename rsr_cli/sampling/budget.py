"""The budget of a run, in tokens and in money, and the rules of its rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rsr_cli.clients.estimates import Usage
from rsr_cli.sampling.fold import Rules


@dataclass(slots=True)
class Budget:
    """Limits on tokens (of prompts and completions together) and on money; None: no limit.

    Attempts in flight count as well, each with the length of the longest one so far; before the first one arrives, with
    its token limit, though one attempt is always allowed. So concurrency decreases towards the end, and the budget is
    exceeded at most by the amount that the last answers are longer than all earlier ones.
    """

    tokens: int | None
    cost: float | None
    prices: tuple[float, float]
    """Of a million prompt tokens, and of a million completion tokens."""
    max_tokens: int
    """The maximum number of completion tokens of one attempt."""
    spent_prompt: int = 0
    spent_completion: int = 0
    attempts: int = 0
    """The attempts that the tokens were spent on."""
    estimated: int = 0
    """Attempts of this run whose tokens are estimates: the server reported no usage."""
    cancelled: int = 0
    """Attempts that were cancelled in flight: each is assumed to have cost the mean of the others."""
    other_cost: Callable[[], float] = lambda: 0.0
    """Returns the other costs of the work dir: its judges."""
    exhausted: bool = False
    """True once a draw was refused because the budget ran out."""
    _longest_prompt: int = 0
    _longest_completion: int | None = None

    @property
    def spent_tokens(self) -> int:
        return self.spent_prompt + self.spent_completion

    def spend(self, usage: Usage) -> None:
        prompt, completion = usage.prompt, usage.completion
        self.attempts += 1
        self.estimated += usage.estimated
        self.spent_prompt += prompt
        self.spent_completion += completion
        self._longest_prompt = max(self._longest_prompt, prompt)
        if completion:
            self._longest_completion = max(self._longest_completion or 0, completion)

    def allows(self, attempts: int) -> bool:
        """Return whether there is budget for so many attempts in flight."""
        if self._longest_completion is None and attempts == 1:
            attempts = 0
        longest = self.max_tokens if self._longest_completion is None else self._longest_completion
        given_up = self.cancelled / self.attempts if self.attempts else 0.0
        prompt = self.spent_prompt * (1 + given_up) + attempts * self._longest_prompt
        completion = self.spent_completion * (1 + given_up) + attempts * longest
        if self.tokens is not None and prompt + completion > self.tokens:
            return False
        if self.cost is None:
            return True
        return prompt * self.prices[0] + completion * self.prices[1] <= (self.cost - self.other_cost()) * 1e6


def next_round(rules: Rules, best: float) -> Rules:
    """Return the rules of the next round: one step more for every prompt; with adaptive allocation, only for those
    whose next draw has at least half the value of the `best` one. The last round has no maximum of attempts, so that
    every group ends with its own end reason."""
    most = rules.max_attempts
    if most is not None:
        most = most + rules.step_size if most < rules.step_size * rules.max_steps else None
    return replace(rules, max_attempts=most, least_worth=best / 2)
