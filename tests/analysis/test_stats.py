"""The figures: rates without bias where they are called so, nothing unknown counted as wrong."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.analysis.difficulty import Stop
from rsr_cli.analysis.prompts import PromptStats, pass_at_k, prompt_stats
from rsr_cli.analysis.stats import Distribution, Statistics
from rsr_cli.types import Group
from tests.groups import group


def stats_of(made: Group, end_reason: str = "max_rollouts") -> PromptStats:
    return prompt_stats(made, lambda score: score >= 1.0, lambda score: score <= 0.0, end_reason, Stop(None, 8))


def summary(*groups: Group, end_reason: str = "max_rollouts", early_stop: bool = False) -> dict[str, object]:
    found = Statistics(8, early_stop, (1.0, 2.0))
    for made in groups:
        found.add(made, stats_of(made, end_reason))
    return found.summary()


def test_unknown_scores_are_in_no_rate() -> None:
    row = stats_of(group(1.0, 0.0, None, 0.5, "truncated", "error")).row()
    assert row == {
        "id": "p", "n_valid": 4, "n_scored": 3, "n_pass": 1, "n_fail": 1, "n_truncated": 1, "n_error": 1,
        "n_attempts": 6, "end_reason": "max_rollouts", "pass_rate": 1 / 4, "pass_rate_first_step": 1 / 4,
        "pass_rate_valid": 1 / 3, "pass_rate_first_step_valid": 1 / 3,
        "pass_rate_unbiased": 1 / 4, "pass_rate_unbiased_from": "first_step",
    }  # fmt: skip
    assert stats_of(group(None, "error")).pass_rate is None


def test_a_truncated_attempt_is_a_wrong_one_and_an_unknown_one_is_neither() -> None:
    cut, unknown = stats_of(group("truncated", "truncated")), stats_of(group("truncated", None))
    assert (cut.pass_rate, cut.pass_rate_first_step, cut.pass_rate_valid) == (0.0, 0.0, None)
    assert (unknown.pass_rate, unknown.pass_rate_first_step, unknown.pass_rate_valid) == (None, None, None)
    rates: Any = summary(group(1.0, "truncated"), group("truncated", "truncated"), group(1.0, 1.0))["pass_rate"]
    assert (rates["mean"], rates["mean_of_prompts"], rates["first_step_mean"]) == (0.5, 0.5, 0.5)
    assert (rates["mean_of_prompts_valid"], rates["of_attempts"], rates["of_rollouts"]) == (1.0, 0.5, 1.0)
    assert rates["pass_at_k"]["1"]["value"] == 0.5 and rates["pass_at_k"]["2"]["value"] == pytest.approx(2 / 3)


def test_pass_at_k_leaves_out_what_was_drawn_because_others_were_cut() -> None:
    """Of eight rollouts wanted two were cut, and two more were drawn in their place: these are there by an outcome."""
    found = stats_of(group("truncated", "truncated", *[0.0] * 6, 1.0, 1.0))
    assert found.of_size == (False,) * 8 and found.pass_rate == 0.2


@given(st.lists(st.sampled_from([1.0, 0.0, None, "truncated", "error"]), max_size=8))
def test_rates_count_what_is_known(outcomes: list[Any]) -> None:
    found = stats_of(group(*outcomes))
    known = [item == 1.0 for item in outcomes if item in (1.0, 0.0)]
    cut = outcomes.count("truncated")
    assert found.pass_rate_valid == (sum(known) / len(known) if known else None)
    if known or (cut and None not in outcomes):
        assert found.pass_rate == sum(known) / (len(known) + cut) == found.pass_rate_first_step
    else:
        assert found.pass_rate is None is found.pass_rate_first_step


def test_tokens_that_no_server_counted_are_estimated_and_called_so() -> None:
    made = group((1.0, "x" * 40), (0.0, "y" * 41), "error", "truncated")
    for number in (0, 1, 2, 3):
        made.attempts[number] = replace(
            made.attempts[number], prompt_tokens=None, completion_tokens=None, params='{"max_tokens": 9}'
        )
    tokens: Any = summary(made)["tokens"]
    assert tokens["completion"] == 10 + 11 + 0 + 9, "the cut one had all of its limit"
    assert tokens["prompt"] == 3, "a token for the four characters of each that was answered"
    assert tokens["estimated"] == {"attempts": 3, "prompt": 3, "completion": 30}
    assert summary(group(1.0))["tokens"]["estimated"] is None  # type: ignore[index]


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_pass(n: int, data: st.DataObject) -> None:
    passed, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(itertools.combinations([True] * passed + [False] * (n - passed), k))
    assert pass_at_k(n, passed, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@given(st.lists(st.integers(0, 50), min_size=1))
def test_distribution(values: list[int]) -> None:
    found = Distribution()
    for value in values:
        found.add(value)
    result = found.summary()
    assert result is not None
    assert result["mean"] == pytest.approx(statistics.fmean(values), abs=0.01)
    ordered = sorted(values)
    for percent in (5, 25, 50, 75, 95, 99):
        rank = max(1, -(-percent * len(values) // 100))
        assert result[f"p{percent}"] == ordered[rank - 1]


def test_early_stop_is_counted_where_it_stopped_something_drawn() -> None:
    stopped = summary(group(1.0, 0.0), group(1.0, 1.0), end_reason="early_stop", early_stop=True)
    assert stopped["early_stop"]["attempts_saved"] == 12  # type: ignore[index]
    assert stopped["pass_rate"]["biased_by_early_stop"]  # type: ignore[index]
    assert stopped["pass_rate"]["first_step_mean"] == 0.75  # type: ignore[index]


def test_errors_are_grouped_by_kind_and_money_is_counted() -> None:
    found = summary(group("error", "error", 1.0), group("error"))
    assert found["attempts"]["errors_by_kind"] == {"HTTP N after N tries": 3}  # type: ignore[index]
    assert found["cost"] == {"prompt": 0.0, "completion": 0.00008, "total": 0.00008, "to_go_about": 0.0}


def test_what_is_to_go_is_reckoned_from_the_finished_prompts() -> None:
    found = Statistics(8, True, (1.0, 2.0))
    for made, end_reason in ((group(1.0, 0.0), "early_stop"), (group(1.0, 0.0), "early_stop"), (group(), "unfinished")):
        found.add(made, stats_of(made, end_reason))
    summary = found.summary()
    assert summary["tokens"]["to_go_about"] == summary["tokens"]["completion"] / 2 > 0
    assert summary["cost"]["to_go_about"] == summary["cost"]["total"] / 2


def test_shards_merged_are_as_one() -> None:
    groups = [group(1.0, 0.0, None), group(0.0, "truncated", "error"), group(1.0, 1.0, 0.5), group()]
    merged = Statistics(8, False, (1.0, 2.0))
    for made in groups:
        alone = Statistics(8, False, (1.0, 2.0))
        alone.add(made, stats_of(made))
        merged.merge(alone)
    assert merged.summary() == summary(*groups)
