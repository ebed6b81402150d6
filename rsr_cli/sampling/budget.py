"""What a run may spend, in tokens and in money, and the rounds in which it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rsr_cli.clients.estimates import Usage
from rsr_cli.sampling.fold import Rules


@dataclass(slots=True)
class Budget:
    """Tokens are those of prompts and completions together; a limit is None where there is none.

    What is under way counts too, each attempt at the longest seen so far (before the first at its limit, but one is
    drawn in any case). So towards the end fewer draws are under way, and the limits are passed at most by what the last
    answers are longer than all before them.
    """

    tokens: int | None
    cost: float | None
    prices: tuple[float, float]
    """Of a million prompt tokens and of a million completion tokens."""
    max_tokens: int
    """The most completion tokens of one attempt."""
    spent_prompt: int = 0
    spent_completion: int = 0
    attempts: int = 0
    """Those that the tokens were spent for."""
    estimated: int = 0
    """Attempts whose tokens no server has counted, in this run."""
    cancelled: int = 0
    """Attempts that were asked for and given up: each is taken to have cost what the others have on average."""
    other_cost: Callable[[], float] = lambda: 0.0
    """What else the work dir has cost: its judge."""
    exhausted: bool = False
    """Some draw was given up for want of it."""
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
        """There is room for so many attempts, counting all that are under way."""
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
    """The rules of the next round: one step more for every prompt, where draws differ in worth only for those that are
    worth half of the `best` or more. In the last one nothing is capped, so that every group says why it ends."""
    most = rules.max_attempts
    if most is not None:
        most = most + rules.step_size if most < rules.step_size * rules.max_steps else None
    return replace(rules, max_attempts=most, least_worth=best / 2)
