"""The fold: what a group needs next follows from its attempts and verdicts alone."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.sampling.fold import Draw, Rules, next_move
from rsr_cli.types import Attempt, EndReason, Group, Prompt, Verdict

OUTCOMES = st.sampled_from(["pass", "fail", "unknown", "truncated", "error"])


def attempt(number: int, step: int, step_size: int, outcome: str) -> Attempt:
    return Attempt(
        id="p",
        attempt=number,
        step=step,
        step_size=step_size,
        response=None if outcome in ("truncated", "error") else f"text {number}",
        finish_reason={"truncated": "length", "error": "error"}.get(outcome, "stop"),
        error="broken" if outcome == "error" else None,
        model="m",
    )


def add(group: Group, number: int, move: Draw, outcome: str) -> None:
    group.attempts[number] = attempt(number, move.step, move.step_size, outcome)
    if group.attempts[number].valid:
        score = {"pass": 1.0, "fail": 0.0, "unknown": None}[outcome]
        group.verdicts[number] = Verdict(score, "scored" if score is not None else "timeout")


def has_pass(group: Group) -> bool:
    return any(score >= 1.0 for _, score in group.scored())


def run(rules: Rules, outcomes: list[str], group: Group | None = None) -> tuple[Group, EndReason]:
    """Play a group to its end: attempt k has the k-th outcome."""
    group = group or Group(Prompt("p", [], {}))
    while isinstance(move := next_move(group, rules), Draw):
        for number in move.attempts:
            add(group, number, move, outcomes[number])
    return group, move


rules_of = st.builds(Rules, st.integers(1, 9), st.integers(1, 5), st.integers(1, 6), st.sampled_from([None, has_pass]))
outcome_lists = st.lists(OUTCOMES, min_size=40, max_size=40)


@given(rules_of, outcome_lists)
def test_no_limit_is_ever_exceeded(rules: Rules, outcomes: list[str]) -> None:
    group, reason = run(rules, outcomes)
    valid = sum(item.valid for item in group.attempts.values())
    steps = {item.step for item in group.attempts.values()}
    assert valid <= rules.max_rollouts
    assert len(steps) <= rules.max_steps
    assert sorted(group.attempts) == list(range(len(group.attempts)))
    assert max(sum(item.step == step for item in group.attempts.values()) for step in steps) <= rules.step_size
    if reason == "max_rollouts":
        assert valid == rules.max_rollouts
    if reason == "early_stop":
        assert rules.satisfied is not None and rules.satisfied(group)
    if reason == "error":
        assert steps == {0} and all(item.error for item in group.attempts.values())


@given(rules_of, outcome_lists, st.integers(0, 1 << 30))
def test_a_group_that_lost_any_attempts_ends_as_an_unbroken_one(rules: Rules, outcomes: list[str], seed: int) -> None:
    """A crash leaves the steps before whole, and any part of the last one, in any order of arrival."""
    unbroken, reason = run(rules, outcomes)
    chance = random.Random(seed)
    stop = chance.randint(0, max(item.step for item in unbroken.attempts.values()))
    left = Group(unbroken.prompt)
    for number, item in unbroken.attempts.items():
        last_step_has_one = item.step == stop and chance.random() < 0.5
        if item.step < stop or last_step_has_one:
            left.attempts[number] = item
            if number in unbroken.verdicts:
                left.verdicts[number] = unbroken.verdicts[number]
    resumed, resumed_reason = run(rules, outcomes, left)
    assert resumed.attempts == unbroken.attempts
    assert resumed.verdicts == unbroken.verdicts
    assert resumed_reason == reason


def test_a_step_draws_no_more_than_are_missing() -> None:
    group, _ = run(Rules(6, 4, 8), ["fail"] * 40)
    assert [item.step for item in group.attempts.values()] == [0] * 4 + [1] * 2


def test_truncated_attempts_eat_steps_and_not_rollouts() -> None:
    group, reason = run(Rules(4, 2, 5), ["truncated"] * 4 + ["fail"] * 40)
    assert reason == "max_rollouts"
    assert sum(item.valid for item in group.attempts.values()) == 4
    assert run(Rules(4, 2, 3), ["truncated"] * 40)[1] == "max_steps"


def test_nothing_but_failures_ends_the_group() -> None:
    group, reason = run(Rules(8, 2, 5), ["error"] * 40)
    assert reason == "error" and len(group.attempts) == 2
    assert run(Rules(8, 2, 5), ["fail", "fail", "error", "error"] + ["fail"] * 40)[1] == "max_rollouts"
    assert run(Rules(4, 2, 9), ["error", "fail"] * 20)[1] == "max_rollouts"


def test_an_unknown_score_satisfies_nothing() -> None:
    assert run(Rules(4, 2, 5, has_pass), ["unknown"] * 40)[1] == "max_rollouts"


def test_larger_limits_draw_on_after_the_end() -> None:
    group, reason = run(Rules(2, 4, 8), ["fail"] * 40)
    assert reason == "max_rollouts" and len(group.attempts) == 2
    move = next_move(group, Rules(8, 4, 8))
    assert isinstance(move, Draw)
    assert (move.step, list(move.attempts)) == (1, [2, 3, 4, 5])


def test_a_satisfied_group_is_not_topped_up_when_its_limits_grow() -> None:
    group, _ = run(Rules(2, 4, 8, has_pass), ["pass", "fail"])
    assert next_move(group, Rules(16, 4, 8, has_pass)) == "early_stop"
