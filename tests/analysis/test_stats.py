"""The figures: rates without bias where they are called so, nothing unknown counted as wrong."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.analysis.prompts import PromptStats, pass_at_k, prompt_stats
from rsr_cli.analysis.stats import Distribution, Statistics
from rsr_cli.types import Group
from tests.groups import group


def stats_of(made: Group, end_reason: str = "max_rollouts") -> PromptStats:
    return prompt_stats(made, lambda score: score >= 1.0, lambda score: score <= 0.0, end_reason)


def summary(*groups: Group, end_reason: str = "max_rollouts", early_stop: bool = False) -> dict[str, object]:
    found = Statistics(8, early_stop, (1.0, 2.0))
    for made in groups:
        found.add(made, stats_of(made, end_reason))
    return found.summary()


def test_unknown_scores_are_in_no_rate() -> None:
    row = stats_of(group(1.0, 0.0, None, 0.5, "truncated", "error")).row()
    assert row == {
        "id": "p", "n_valid": 4, "n_scored": 3, "n_pass": 1, "n_fail": 1, "n_truncated": 1, "n_error": 1,
        "n_attempts": 6, "end_reason": "max_rollouts", "pass_rate": 1 / 3, "pass_rate_first_step": 1 / 3,
    }  # fmt: skip
    assert stats_of(group(None, "error")).pass_rate is None


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
