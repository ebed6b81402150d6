"""What a budget allows, and the rounds in which it is spent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.clients.estimates import Usage
from rsr_cli.sampling.budget import Budget, next_round
from rsr_cli.sampling.fold import Rules


def usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt, completion, False)


def test_before_anything_was_seen_every_attempt_is_reckoned_at_its_limit() -> None:
    budget = Budget(1000, None, (0.0, 0.0), max_tokens=300)
    assert budget.allows(3) and not budget.allows(4)


def test_one_is_drawn_where_anything_is_left() -> None:
    assert Budget(100, None, (0.0, 0.0), max_tokens=300).allows(1)
    assert not Budget(100, None, (0.0, 0.0), max_tokens=300).allows(2)
    assert not Budget(100, None, (0.0, 0.0), max_tokens=300, spent_prompt=90, spent_completion=11).allows(1)


def test_afterwards_each_is_reckoned_at_the_longest_seen() -> None:
    budget = Budget(1000, None, (0.0, 0.0), max_tokens=300)
    budget.spend(usage(10, 90))
    budget.spend(usage(10, 40))
    assert budget.spent_tokens == 150
    assert budget.allows(8), "850 are left"
    assert not budget.allows(9)


def test_money_counts_prompts_and_completions_at_their_own_prices() -> None:
    budget = Budget(None, 0.01, (1.0, 10.0), max_tokens=200)
    budget.spend(usage(1000, 200))
    assert budget.allows(2), "0.003 spent, and as much for each"
    assert not budget.allows(3)


def test_what_earlier_runs_spent_counts() -> None:
    assert not Budget(1000, None, (0.0, 0.0), max_tokens=300, spent_prompt=500, spent_completion=300).allows(2)


def test_both_limits_are_kept() -> None:
    assert Budget(1000, 1.0, (0.0, 1.0), max_tokens=300).allows(3)
    assert not Budget(1000, 0.0005, (0.0, 1.0), max_tokens=300).allows(3)


@given(st.integers(1, 5000), st.integers(1, 8), st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_a_limit_is_passed_only_by_the_longest_answer_of_all(limit: int, prompt: int, completions: list[int]) -> None:
    budget = Budget(limit, None, (0.0, 0.0), max_tokens=300)
    longest = 0
    for completion in completions:
        before = budget.spent_tokens
        if not budget.allows(1):
            break
        budget.spend(usage(prompt, completion))
        assert budget.spent_tokens <= limit or completion > longest
        assert before <= limit
        longest = max(longest, completion)


def test_every_round_is_a_step_longer_and_the_last_has_no_cap() -> None:
    rules = Rules(8, 2, 3, max_attempts=2)
    caps = []
    while rules.max_attempts is not None:
        caps.append(rules.max_attempts)
        rules = next_round(rules, best=0.5)
    assert caps == [2, 4, 6]
    assert rules.least_worth == 0.25
