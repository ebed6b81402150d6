"""When a prompt has enough, and where a draw is worth most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.sampling.allocation import Passes
from rsr_cli.sampling.fold import Draw, Rules, next_move
from rsr_cli.types import Attempt, Group, Prompt, Verdict


def group(outcomes: str, tokens: int = 10, steps: int = 1000) -> Group:
    """One attempt per letter: p passes, f fails, t is truncated, u has an unknown score, w waits for its verdict."""
    result = Group(Prompt("p", [], {}))
    for number, outcome in enumerate(outcomes):
        result.attempts[number] = Attempt(
            id="p", attempt=number, step=number // steps, step_size=steps,
            response="r", finish_reason="length" if outcome == "t" else "stop", model="m",
            prompt_tokens=0, completion_tokens=tokens,
        )  # fmt: skip
        if outcome in "pf":
            result.verdicts[number] = Verdict(float(outcome == "p"))
        elif outcome == "u":
            result.verdicts[number] = Verdict.unknown("timeout", "too slow")
    return result


def passes(target: int, first_step: int = 4) -> Passes:
    return Passes(lambda score: score >= 1.0, target, first_step)


@pytest.mark.parametrize(("outcomes", "enough"), [("", False), ("fp", False), ("fpfp", True), ("ptup", True)])
def test_uniform_wants_the_same_of_every_prompt(outcomes: str, enough: bool) -> None:
    assert passes(2).uniform(group(outcomes)) is enough


@pytest.mark.parametrize(
    ("first", "needed"),
    [("pppp", 1), ("pppf", 2), ("ppff", 4), ("pfff", 6), ("ffff", 8), ("tttt", 8), ("puut", 1), ("pfut", 4)],
)
def test_prop2diff_wants_passes_in_proportion_to_the_fail_rate_of_the_first_step(first: str, needed: int) -> None:
    more = needed - first.count("p")
    assert passes(8).prop2diff(group(first + "p" * more))
    if more > 0:
        assert not passes(8).prop2diff(group(first + "p" * (more - 1)))


def test_prop2diff_rounds_up_exactly() -> None:
    assert passes(3, first_step=3).prop2diff(group("ppf")), (
        "a third of 3 is 1: 3 * (1 - 2 / 3) would be 1.0000000000000002"
    )


def test_prop2diff_reads_the_difficulty_of_a_group_that_another_allocation_began() -> None:
    begun = group("pf", steps=1)
    rules = Rules(16, 4, 4, passes(4).prop2diff, whole_first_step=True)
    move = next_move(begun, rules)
    assert isinstance(move, Draw) and 2 in move.attempts
    assert passes(4).prop2diff(group("pfpp", steps=1))
    assert not passes(4).prop2diff(group("pfff" + "p", steps=1))


def test_a_draw_is_worth_the_prompts_it_satisfies_per_token() -> None:
    worth = passes(1).worth
    assert worth(group("f", tokens=10), 0) == pytest.approx(0.25 / 10)
    assert worth(group("fff", tokens=10), 0) == pytest.approx(0.125 / 10)
    assert worth(group("fff", tokens=40), 0) == pytest.approx(0.125 / 40)
    assert passes(4).worth(group("pf", tokens=10), 0) == pytest.approx(0.5 / 3 / 10)


def test_a_prompt_that_nothing_is_known_of_comes_first() -> None:
    worth = passes(4).worth
    assert worth(group(""), 0) > worth(group("ppp", tokens=1), 0)
    assert worth(group("w"), 1) > worth(group("ppp", tokens=2), 0)


def test_a_truncated_attempt_is_a_draw_without_a_pass() -> None:
    worth = passes(2).worth
    assert worth(group("ptt"), 0) == worth(group("pff"), 0) < worth(group("p"), 0)
    assert worth(group("pw"), 1) == worth(group("p"), 1), "its verdict is still to come"


def test_what_is_under_way_counts_where_it_may_bring_all_that_is_lacking() -> None:
    one, three = passes(2), passes(4)
    known = group("pf")
    assert one.worth(known, 2) == pytest.approx(one.worth(known, 0) * 0.25)
    assert three.worth(known, 2) == three.worth(known, 0), "two can't bring three passes"
    assert three.worth(known, 3) == pytest.approx(three.worth(known, 0) * 7 / 8)


@given(st.text("pft", min_size=1, max_size=20), st.integers(1, 6), st.integers(0, 6))
def test_a_fail_lowers_the_worth_and_nothing_makes_it_vanish(outcomes: str, target: int, under_way: int) -> None:
    worth = passes(target).worth
    assert worth(group(outcomes + "f"), 0) < worth(group(outcomes), 0)
    assert 0 < worth(group(outcomes), under_way) <= worth(group(outcomes), 0) + 1e-12


def test_draws_of_little_worth_wait_for_a_later_round() -> None:
    rules = Rules(16, 4, 4, passes(1).uniform, worth=passes(1).worth, least_worth=0.25 / 10)
    assert isinstance(next_move(group("f"), rules), Draw)
    assert next_move(group("ff"), rules) == "budget"
