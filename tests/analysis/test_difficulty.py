"""Rates under early stop: unbiased where they are called so, intervals that hold what they promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from math import sqrt

import numpy as np
import pytest

from rsr_cli.analysis.difficulty import Difficulty, Stop, beta_quantile, fit_prior, unbiased_rate
from rsr_cli.plugins import registry
from rsr_cli.types import Group
from tests.groups import group

Outcome = float | str | tuple[float, str]
CHANCES: dict[Outcome, float] = {(1.0, "a"): 0.2, (1.0, "b"): 0.15, (0.0, "c"): 0.3, (0.0, "d"): 0.15, "truncated": 0.2}
"""A model that says the same again and is cut now and then; it passes in 0.35 of all cases."""


def known(made: Group) -> dict[int, bool]:
    scores = {number: verdict.score == 1.0 for number, verdict in made.verdicts.items() if verdict.score is not None}
    return scores | {number: False for number, attempt in made.attempts.items() if attempt.truncated}


def estimate(made: Group, stop: Stop, end_reason: str) -> Difficulty:
    outcomes = known(made)
    return unbiased_rate(made, outcomes, float(outcomes[0]) if 0 in outcomes else None, end_reason, stop)


def endings(
    stop: Stop, most: int, drawn: tuple[Outcome, ...] = (), chance: float = 1.0
) -> Iterator[tuple[Group, float, str]]:
    """Every group that a prompt can end with, with its chance and the reason."""
    made = group(*drawn)
    if drawn and stop.satisfied is not None and stop.satisfied(made):
        yield made, chance, "early_stop"
    elif sum(attempt.valid for attempt in made.attempts.values()) == stop.max_rollouts:
        yield made, chance, "max_rollouts"
    elif len(drawn) == most:
        yield made, chance, "max_steps"
    else:
        for outcome, share in CHANCES.items():
            yield from endings(stop, most, (*drawn, outcome), chance * share)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("options", [{"type": "sft"}, {"type": "dpo"}, {"type": "top_k", "k": 2}, None])
def test_the_rate_is_unbiased_over_all_that_can_happen(options: dict[str, object] | None, alike: bool) -> None:
    satisfied = None
    if options is not None:
        formatter = registry.build("formatter", str(options["type"]), {k: v for k, v in options.items() if k != "type"})
        satisfied = formatter.is_satisfied
    stop = Stop(satisfied, max_rollouts=4, alike=alike)
    expected = squared = first_squared = naive = total = 0.0
    for made, chance, end_reason in endings(stop, 5):
        found = estimate(made, stop, end_reason)
        assert found.rate is not None and found.source == "orders"
        outcomes = known(made)
        expected += chance * found.rate
        naive += chance * sum(outcomes.values()) / len(outcomes)
        squared += chance * (found.rate - 0.35) ** 2
        first_squared += chance * (outcomes[0] - 0.35) ** 2
        total += chance
    assert total == pytest.approx(1.0)
    assert expected == pytest.approx(0.35, abs=1e-12)
    assert squared <= first_squared + 1e-12, "never worse than the first outcome"
    assert options is None or abs(naive - 0.35) > 0.02


def passes(count: int, fails: int = 0) -> Callable[[Group], bool]:
    def satisfied(made: Group) -> bool:
        scores = [verdict.score for number, verdict in made.verdicts.items() if number in made.attempts]
        return scores.count(1.0) >= count and scores.count(0.0) >= fails

    return satisfied


def test_what_was_drawn_ahead_of_the_stop_does_not_count() -> None:
    stop = Stop(passes(1), 8)
    found = estimate(group(0.0, 1.0, 1.0, 0.0), stop, "early_stop")
    assert (found.passed, found.drawn, found.rate) == (1, 2, 0.0)


def test_where_the_stop_follows_more_than_outcomes_the_first_step_is_taken() -> None:
    made = group(1.0, 0.0, 1.0)
    for stop, end_reason in (
        (Stop(passes(2), 8, whole_steps=True), "early_stop"),
        (Stop(passes(2), 8, by_more=True), "max_rollouts"),
        (Stop(passes(4), 8), "budget"),
        (Stop(passes(4), 8), "unfinished"),
    ):
        assert estimate(made, stop, end_reason)[:2] == (1.0, "first_step")
    assert estimate(group(0.0, None, 1.0), Stop(passes(1), 8), "early_stop")[:2] == (0.0, "first_step")
    assert estimate(group(None, 1.0), Stop(passes(1), 8), "early_stop")[:2] == (None, None)
    assert estimate(group(0.0, 1.0, 0.0), Stop(passes(2), 3, whole_steps=True), "max_rollouts")[:2] == (1 / 3, "orders")


def test_figures_of_simulated_populations() -> None:
    """Error and bias against the true rate, and how often the interval holds it: 6,000 prompts, at most 16 draws."""
    chance = np.random.default_rng(0)
    true = chance.beta(0.7, 0.7, 6000)
    draws = chance.random((6000, 16)) < true[:, None]
    errors = {}
    for name, need, fails in (("sft", 1, 0), ("dpo", 1, 1), ("top_k", 4, 0)):
        stop = Stop(passes(need, fails), 16)
        found: list[Difficulty] = []
        cache: dict[tuple[bool, ...], Difficulty] = {}
        for row in draws:
            made: tuple[bool, ...] = tuple(map(bool, row))
            ends = [n for n in range(1, 17) if sum(made[:n]) >= need and n - sum(made[:n]) >= fails]
            made, reason = (made[: ends[0]], "early_stop") if ends else (made, "max_rollouts")
            if made not in cache:
                cache[made] = estimate(group(*map(float, made)), stop, reason)
            found.append(cache[made])
        rates = np.array([item.rate for item in found], dtype=float)
        assert abs((rates - true).mean()) < 0.015
        prior = fit_prior(Counter((item.passed, item.drawn) for item in found))
        posterior = np.array([prior.estimate(item.passed, item.drawn) for item in found])
        assert 0.93 < ((posterior[:, 1] <= true) & (true <= posterior[:, 2])).mean() < 0.97
        assert prior.alpha == pytest.approx(0.7, abs=0.1) and prior.beta == pytest.approx(0.7, abs=0.1)
        errors[name] = tuple(
            round(sqrt(((rate - true) ** 2).mean()), 3) for rate in (draws[:, 0], rates, posterior[:, 0])
        )
    expected = {"sft": (0.386, 0.386, 0.214), "dpo": (0.386, 0.270, 0.177), "top_k": (0.381, 0.151, 0.130)}
    assert {name: pytest.approx(values, abs=0.02) for name, values in expected.items()} == errors


def test_few_prompts_have_a_prior_that_says_so() -> None:
    prior = fit_prior(Counter({(1, 2): 19}))
    assert (prior.fitted, prior.alpha, prior.beta) == (False, 0.5, 0.5)
    alike = fit_prior(Counter({(8, 16): 50}))
    assert alike.fitted and alike.estimate(8, 16).mean == pytest.approx(0.5)
    never = fit_prior(Counter({(0, 16): 50}))
    assert 0 <= never.estimate(0, 16).low < never.estimate(0, 16).high < 0.05


def test_quantiles_of_a_beta_distribution() -> None:
    """Of B(1, n) and B(n, 1), which are known in closed form, and of the arcsine distribution."""
    for share in (0.025, 0.3, 0.975):
        for n in (1, 7, 400):
            assert beta_quantile(n, 1, share) == pytest.approx(share ** (1 / n))
            assert beta_quantile(1, n, share) == pytest.approx(1 - (1 - share) ** (1 / n))
        assert beta_quantile(0.5, 0.5, share) == pytest.approx(np.sin(share * np.pi / 2) ** 2)
