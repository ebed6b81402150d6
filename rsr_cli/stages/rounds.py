"""The rounds of a run on a budget: in each, every prompt takes at most one more step, so that no prompt takes the
tokens that another has had no chance of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rsr_cli.clients.estimates import Usage
from rsr_cli.sampling.budget import Budget, next_round
from rsr_cli.sampling.fold import Rules
from rsr_cli.sampling.queue import Ending, OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.stages.progress import Progress
from rsr_cli.types import Attempt


class Rounds(Watcher):
    """Iterates over the rules of each round; without a budget there is one round, of the rules as they are.

    A round is followed by another one as long as groups ended for the round's limits and the budget is not exhausted.
    """

    def __init__(self, rules: Rules, budget: Budget | None, progress: Progress) -> None:
        self.budget = budget
        self.parked = 0
        """The groups that the limits of the round or the budget ended."""
        self._best_worth = 0.0
        """The highest value of a draw for one of them."""
        self._rules = rules
        self._progress = progress

    def __iter__(self) -> Iterator[Rules]:
        rules = self._rules if self.budget is None else replace(self._rules, max_attempts=self._rules.size_of(0))
        while True:
            self.parked, self._best_worth = 0, 0.0
            yield rules
            if self.budget is None or self.budget.exhausted or not self.parked:
                return
            rules = next_round(rules, self._best_worth)

    def arrived(self, attempt: Attempt, usage: Usage) -> None:
        if usage.estimated and self.budget is not None and self.budget.estimated == 1:
            self._progress.warn(
                "some answers of the server have no usage (token counts): for the budget their tokens are estimated, "
                "at four characters each"
            )

    def ended(self, opened: OpenGroup, reason: Ending) -> None:
        if reason == "budget":
            self.parked += 1
            if self._rules.worth is not None:
                self._best_worth = max(self._best_worth, self._rules.worth(opened.group, 0))

    def report(self) -> None:
        """Say so where the budget ended the run."""
        if self.budget is not None and self.budget.exhausted:
            self._progress.say(
                f"the budget is spent: {self.parked} prompts may need more. A run with a larger one goes on from here"
            )
