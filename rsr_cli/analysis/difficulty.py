"""How hard a prompt is, though outcomes decided how many attempts it got.

`unbiased_rate` is the expectation of the first outcome, given which attempts a group ended with (Girshick, Mosteller
and Savage 1946): unbiased like the first outcome, and never worse. `Prior` shrinks towards the other prompts: the
lowest error for one prompt, and an interval, but not unbiased.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from math import exp, lgamma, log, log1p
from typing import Literal, NamedTuple

import numpy as np

from rsr_cli.types import Attempt, Group

Source = Literal["orders", "first_step"]
_LEAST_PROMPTS = 20
_LARGEST_PRIOR = 1000.0
LEVEL = 0.95
"""Of the intervals."""


@dataclass(frozen=True)
class Stop:
    """When a group ends. `satisfied` must depend on which rollouts there are, not on their order, and more rollouts
    must never undo it; None where nothing stops early."""

    satisfied: Callable[[Group], bool] | None
    max_rollouts: int
    alike: bool = False
    """Rollouts of the same score that are written differently are alike to it, whatever they say."""
    whole_steps: bool = False
    """It is asked after whole steps only."""
    by_more: bool = False
    """More than these decide: other groups, where a budget goes where it is worth most, or the order of the rollouts,
    where the first step sets the target."""


class Difficulty(NamedTuple):
    """`rate` is None where nothing is known. `passed` of `drawn` outcomes are those that the stop accounts for: without
    what was drawn ahead of it."""

    rate: float | None
    source: Source | None
    passed: int
    drawn: int


def unbiased_rate(
    group: Group, outcomes: Mapping[int, bool], first_step: float | None, end_reason: str, stop: Stop
) -> Difficulty:
    """Return the estimate for a group whose attempts, by number, have these known `outcomes`.

    Attempts are alike before they are drawn, so every order of the same attempts was equally likely; possible are those
    orders in which the group did not end before its last attempt. The estimate is the share of the possible orders that
    begin with a pass. As more rollouts never undo an end, only the last attempt decides whether an order is possible:
    without it the group must not have ended. Where that does not hold, or a score is unknown, it is the rate of the
    first step, which is drawn whatever comes.
    """
    counted = _counted(group, end_reason, stop)
    own = {number: outcomes[number] for number in counted if number in outcomes}
    passed, drawn = sum(own.values()), len(own)
    fallback = Difficulty(first_step, None if first_step is None else "first_step", passed, drawn)
    if stop.by_more or end_reason in ("budget", "unfinished") or drawn < len(counted) or not drawn:
        return fallback
    if all(attempt.source is not None for attempt in counted.values()) or drawn == 1:
        return Difficulty(passed / drawn, "orders", passed, drawn)  # there whatever they came to
    if end_reason == "early_stop" and stop.whole_steps:
        return fallback
    last = _possible_last(group, counted, own, stop, end_reason == "early_stop")
    if not last:
        return fallback
    return Difficulty(sum(passed - own[number] for number in last) / len(last) / (drawn - 1), "orders", passed, drawn)


def _counted(group: Group, end_reason: str, stop: Stop) -> dict[int, Attempt]:
    """The attempts that did not fail, up to the first at which the group had ended: later ones were drawn ahead."""
    numbers = [number for number in sorted(group.attempts) if group.attempts[number].error is None]
    if stop.satisfied is not None and end_reason == "early_stop" and not (stop.whole_steps or stop.by_more):
        imported = sum(group.attempts[number].source is not None for number in numbers)
        low, high = max(1, imported), len(numbers)
        if high - 1 >= low and not stop.satisfied(_part(group, numbers[: high - 1])):
            low = high  # nothing was drawn ahead, as is most often so
        while low < high:
            middle = (low + high) // 2
            if stop.satisfied(_part(group, numbers[:middle])):
                high = middle
            else:
                low = middle + 1
        numbers = numbers[:high]
    return {number: group.attempts[number] for number in numbers}


def _possible_last(
    group: Group, counted: Mapping[int, Attempt], outcomes: Mapping[int, bool], stop: Stop, satisfied: bool
) -> list[int]:
    """The attempts without which the group would not have ended yet."""
    numbers = list(counted)
    if stop.satisfied is None or not (satisfied or stop.satisfied(_part(group, numbers))):
        valid = [number for number in numbers if counted[number].valid]
        return valid if len(valid) >= stop.max_rollouts else numbers
    if stop.alike:
        kinds = _kinds(group, numbers)
    else:
        # What can be left out together can be left out one by one: the fails of most formatters.
        passed = [number for number in numbers if outcomes[number]]
        kinds = [[number] for number in (passed if passed and stop.satisfied(_part(group, passed)) else numbers)]
    # That it had not ended before its last attempt is how the counted ones were found, unless all before are imported.
    needed = numbers[-1] if satisfied and counted[numbers[-2]].source is None else None
    return [
        number
        for kind in kinds
        if needed in kind or not stop.satisfied(_part(group, [other for other in numbers if other != kind[0]]))
        for number in kind
    ]


def _kinds(group: Group, numbers: list[int]) -> list[list[int]]:
    """The attempts of which one can stand for all: those of the same score whose texts come once, and each text that
    comes more than once."""
    texts = {number: _text(group.attempts[number]) for number in numbers}
    counts = Counter(texts.values())
    kinds: defaultdict[object, list[int]] = defaultdict(list)
    for number in numbers:
        verdict = group.verdicts.get(number)
        score = verdict.score if verdict and group.attempts[number].valid else None
        kinds[score, texts[number] if counts[texts[number]] > 1 else None].append(number)
    return list(kinds.values())


def _text(attempt: Attempt) -> tuple[str | None, ...]:
    """By which formatters tell responses apart, at the finest."""
    return attempt.response and attempt.response.strip(), attempt.reasoning and attempt.reasoning.strip()


def _part(group: Group, numbers: list[int]) -> Group:
    return Group(group.prompt, {number: group.attempts[number] for number in numbers}, group.verdicts)


class Estimate(NamedTuple):
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Prior:
    """The Beta distribution of pass rates over the prompts. `fitted` is False where there are too few of them."""

    alpha: float
    beta: float
    prompts: int
    fitted: bool

    @cached_property
    def estimate(self) -> Callable[[int, int], Estimate]:
        """The posterior of a prompt with so many passes of so many outcomes: its mean and the middle 95 %.

        How many outcomes there are, and that they decided it themselves, does not matter: the rule of the stop drops
        out of the likelihood.
        """

        @cache
        def estimate(passed: int, drawn: int) -> Estimate:
            alpha, beta = self.alpha + passed, self.beta + drawn - passed
            tail = (1 - LEVEL) / 2
            return Estimate(
                alpha / (alpha + beta), beta_quantile(alpha, beta, tail), beta_quantile(alpha, beta, 1 - tail)
            )

        return estimate


def fit_prior(counts: Counter[tuple[int, int]]) -> Prior:
    """Return the Beta prior that makes `counts` likeliest: how many prompts have so many passes of so many outcomes.

    The maximum of the beta-binomial likelihood by Minka's fixed point; with few prompts Jeffreys' prior.
    """
    prompts = sum(count for (_, drawn), count in counts.items() if drawn)
    if prompts < _LEAST_PROMPTS:
        return Prior(0.5, 0.5, prompts, fitted=False)
    longest = max(drawn for _, drawn in counts)
    passes, fails, outcomes = (np.zeros(longest) for _ in range(3))
    for (passed, drawn), count in counts.items():
        passes[:passed] += count
        fails[: drawn - passed] += count
        outcomes[:drawn] += count
    steps = np.arange(longest)
    alpha = beta = 0.5
    for _ in range(5000):
        total = (outcomes / (alpha + beta + steps)).sum()
        a = max(alpha * float((passes / (alpha + steps)).sum() / total), 0.01)
        b = max(beta * float((fails / (beta + steps)).sum() / total), 0.01)
        scale = min(1.0, _LARGEST_PRIOR / (a + b))
        a, b = a * scale, b * scale
        close = abs(a - alpha) < 1e-7 * alpha and abs(b - beta) < 1e-7 * beta
        alpha, beta = a, b
        if close:
            break
    return Prior(alpha, beta, prompts, fitted=True)


def beta_quantile(alpha: float, beta: float, share: float) -> float:
    """Return the x below which a Beta distribution has this share."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_share(alpha, beta, middle) < share else (low, middle)
    return (low + high) / 2


def _beta_share(alpha: float, beta: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (alpha + 1) / (alpha + beta + 2):
        return 1 - _beta_share(beta, alpha, 1 - x)
    front = exp(lgamma(alpha + beta) - lgamma(alpha) - lgamma(beta) + alpha * log(x) + beta * log1p(-x))
    c, d, result = 1.0, 0.0, 1.0
    for step in range(1000):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (beta - half) * x / ((alpha + 2 * half - 1) * (alpha + 2 * half))
        else:
            term = -(alpha + half) * (alpha + beta + half) * x / ((alpha + 2 * half) * (alpha + 2 * half + 1))
        d = 1 / (_away_from_zero(1 + term * d))
        c = _away_from_zero(1 + term / c)
        result *= c * d
        if abs(1 - c * d) < 1e-10:
            break
    return front * (result - 1) / alpha


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-30 else 1e-30
