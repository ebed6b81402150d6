"""The fold: what a group needs next follows from its attempts, its verdicts and what is under way alone."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rsr_cli.sampling.fold import Draw, Move, Place, Rules, Wait, next_move
from rsr_cli.types import Attempt, Group, Prompt, Verdict
from tests.sampling.old_fold import old_next_move

OUTCOMES = st.sampled_from(["pass", "fail", "unknown", "truncated", "error"])


def attempt(number: int, place: Place, outcome: str) -> Attempt:
    return Attempt(
        id="p",
        attempt=number,
        step=place.step,
        step_size=place.step_size,
        response=None if outcome in ("truncated", "error") else f"text {number}",
        finish_reason={"truncated": "length", "error": "error"}.get(outcome, "stop"),
        error="broken" if outcome == "error" else None,
        model="m",
    )


def add(group: Group, number: int, place: Place, outcome: str) -> None:
    group.attempts[number] = attempt(number, place, outcome)
    if group.attempts[number].valid:
        score = {"pass": 1.0, "fail": 0.0, "unknown": None}[outcome]
        group.verdicts[number] = Verdict(score, "scored" if score is not None else "timeout")


def has_pass(group: Group) -> bool:
    return any(score >= 1.0 for _, score in group.scored())


def first_pass(group: Group) -> int:
    """Its number; what comes before it has been drawn."""
    number = min(rollout.attempt.attempt for rollout, score in group.scored() if score >= 1.0)
    assert set(range(number)) <= group.attempts.keys()
    return number


def run(
    rules: Rules,
    outcomes: list[str],
    group: Group | None = None,
    seed: int | None = None,
    arrivals: int | None = None,
) -> tuple[Group, Move]:
    """Play a group to its end: attempt k has the k-th outcome. With a seed, attempts are drawn ahead by chance, and
    arrive in any order; without one, one is under way at a time. After so many `arrivals` all is lost that is under
    way."""
    group = group or Group(Prompt("p", [], {}))
    chance = random.Random(seed)
    pending: dict[int, Place] = {}
    while True:
        move = next_move(group, rules, pending)
        if isinstance(move, Draw) and (not pending or (seed is not None and chance.random() < 0.6)):
            assert len(pending) + 1 <= rules.step_size
            pending[move.attempts[0]] = move.place
        elif isinstance(move, Draw | Wait):
            if len(group.attempts) == arrivals:
                return group, Wait()
            number = chance.choice(sorted(pending))
            add(group, number, pending.pop(number), outcomes[number])
        else:
            return group, move


rules_of = st.builds(Rules, st.integers(1, 9), st.integers(1, 5), st.integers(1, 6), st.sampled_from([None, has_pass]))
outcome_lists = st.lists(OUTCOMES, min_size=60, max_size=60)
seeds = st.integers(0, 1 << 30)


def has_two_of_any_kind(group: Group) -> bool:
    return len(group.attempts) >= 2


PLACES = st.builds(Place, st.integers(0, 4), st.integers(1, 5))
ANY_RULES = st.builds(
    Rules,
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([None, has_pass, has_two_of_any_kind, lambda group: True]),
    whole_steps=st.booleans(),
    whole_first_step=st.booleans(),
    max_attempts=st.none() | st.integers(1, 8),
    worth=st.sampled_from([None, lambda group, under_way: 1.0 / (1 + len(group.attempts) + under_way)]),
    least_worth=st.sampled_from([0.0, 0.2, 0.5]),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Group, Rules, dict[int, Place]]:
    """Any group, whether a run could come to it or not; half of the steps have the sizes of the rules."""
    rules = draw(ANY_RULES)
    regular = draw(st.booleans())
    by_rules = [Place(step, rules.size_of(step)) for step in range(rules.max_steps) for _ in range(rules.size_of(step))]

    def place(number: int) -> Place:
        return by_rules[number] if regular and number < len(by_rules) else draw(PLACES)

    group = Group(Prompt("p", [], {}))
    for number, outcome in draw(st.dictionaries(st.integers(0, 11), OUTCOMES, max_size=8)).items():
        add(group, number, place(number), outcome)
        if draw(st.booleans()) and group.attempts[number].error:
            group.again.add(number)
    numbers = draw(st.sets(st.integers(0, 11), max_size=4))
    for number in draw(st.sets(st.sampled_from(sorted(numbers)))) if numbers else set():
        group.verdicts.pop(number, None)
    return group, rules, {number: place(number) for number in sorted(numbers)}


@settings(max_examples=300)
@given(situations())
def test_the_next_move_is_the_one_of_the_former_function(situation: tuple[Group, Rules, dict[int, Place]]) -> None:
    assert next_move(*situation) == old_next_move(*situation)


@given(rules_of, outcome_lists, seeds)
def test_no_limit_is_ever_exceeded(rules: Rules, outcomes: list[str], seed: int) -> None:
    group, reason = run(rules, outcomes, seed=seed)
    valid = sum(item.valid for item in group.attempts.values())
    steps = {item.step for item in group.attempts.values()}
    assert valid <= rules.max_rollouts
    assert len(group.attempts) <= rules.max_steps * rules.step_size
    assert max(steps) < rules.max_steps
    for step in steps:
        of_step = [item for item in group.attempts.values() if item.step == step]
        assert {item.step_size for item in of_step} == {rules.size_of(step)}
        assert len(of_step) <= rules.size_of(step)
    if reason == "max_rollouts":
        assert valid == rules.max_rollouts
    if reason == "early_stop":
        assert has_pass(group) and rules.satisfied is not None
    if reason == "max_steps":
        assert len(group.attempts) == rules.max_steps * rules.step_size
    if reason == "error":
        assert all(item.error for item in group.attempts.values())


@given(rules_of, outcome_lists, seeds, st.integers(0, 20))
def test_a_group_that_lost_what_was_under_way_ends_as_an_unbroken_one(
    rules: Rules, outcomes: list[str], seed: int, arrivals: int
) -> None:
    unbroken, reason = run(rules, outcomes)
    left, _ = run(rules, outcomes, seed=seed, arrivals=arrivals)
    kept = dict(left.attempts)
    resumed, resumed_reason = run(rules, outcomes, left)
    assert resumed_reason == reason
    assert kept.items() <= resumed.attempts.items()
    if reason != "early_stop":
        assert resumed.attempts == unbroken.attempts
    else:
        assert first_pass(resumed) == first_pass(unbroken)


@given(rules_of, outcome_lists, seeds)
def test_what_a_group_ends_with_does_not_depend_on_which_answer_came_first(
    rules: Rules, outcomes: list[str], seed: int
) -> None:
    (one_by_one, reason), (ahead, ahead_reason) = run(rules, outcomes), run(rules, outcomes, seed=seed)
    assert ahead_reason == reason
    if reason == "early_stop":
        assert first_pass(ahead) == first_pass(one_by_one)
    assert one_by_one.attempts.items() <= ahead.attempts.items()


@given(outcome_lists, seeds)
def test_the_first_step_is_drawn_whatever_comes(outcomes: list[str], seed: int) -> None:
    """Whose outcome tells how hard a prompt is must not depend on which answer came first."""
    group, _ = run(Rules(8, 4, 4, has_pass), outcomes, seed=seed)
    assert [n for n, item in group.attempts.items() if item.step == 0] == [0]
    group, _ = run(Rules(8, 4, 4, has_pass, whole_first_step=True), outcomes, seed=seed)
    assert sorted(n for n, item in group.attempts.items() if item.step == 0) == [0, 1, 2, 3]


def test_one_at_a_time_draws_the_fewest() -> None:
    group, reason = run(Rules(16, 4, 8, has_pass), ["fail"] * 6 + ["pass"] + ["fail"] * 60)
    assert reason == "early_stop" and len(group.attempts) == 7
    assert [item.step for item in group.attempts.values()] == [0, 1, 1, 1, 1, 2, 2]


def test_steps_are_no_larger_than_what_is_missing() -> None:
    group, _ = run(Rules(6, 4, 8), ["fail"] * 60)
    assert [item.step for item in group.attempts.values()] == [0] * 4 + [1] * 2


def test_a_step_is_judged_whole_where_verdicts_compare() -> None:
    rules = Rules(8, 2, 4, has_pass, whole_steps=True)
    group = Group(Prompt("p", [], {}))
    assert next_move(group, rules) == Draw(Place(0, 2), [0, 1])
    add(group, 0, Place(0, 2), "pass")
    assert next_move(group, rules, {1: Place(0, 2)}) == Wait()
    add(group, 1, Place(0, 2), "fail")
    assert next_move(group, rules, {1: Place(0, 2)}) == Wait(), "its verdict is still to come"
    assert next_move(group, rules) == "early_stop"


def test_truncated_attempts_eat_steps_and_not_rollouts() -> None:
    group, reason = run(Rules(4, 2, 5), ["truncated"] * 4 + ["fail"] * 60)
    assert reason == "max_rollouts"
    assert sum(item.valid for item in group.attempts.values()) == 4
    group, reason = run(Rules(4, 2, 3, has_pass), ["truncated"] * 60)
    assert reason == "max_steps"
    assert len(group.attempts) == 6 and {item.step for item in group.attempts.values()} == {0, 1, 2}


def test_nothing_but_failures_ends_the_group() -> None:
    group, reason = run(Rules(8, 2, 5), ["error"] * 60)
    assert reason == "error" and len(group.attempts) == 2
    assert run(Rules(8, 2, 5), ["fail", "fail", "error", "error"] + ["fail"] * 60)[1] == "max_rollouts"
    assert run(Rules(4, 2, 9), ["error", "fail"] * 30)[1] == "max_rollouts"


def test_a_failed_attempt_is_asked_again_where_that_is_wanted() -> None:
    group, _ = run(Rules(2, 2, 5), ["error", "fail", "fail"])
    group.again = {0}
    assert next_move(group, Rules(4, 2, 5)) == Draw(Place(0, 2), [0])


def test_an_unknown_score_satisfies_nothing() -> None:
    assert run(Rules(4, 2, 5, has_pass), ["unknown"] * 60)[1] == "max_rollouts"


def test_larger_limits_draw_on_after_the_end() -> None:
    group, reason = run(Rules(2, 4, 8), ["fail"] * 60)
    assert reason == "max_rollouts" and len(group.attempts) == 2
    assert next_move(group, Rules(8, 4, 8)) == Draw(Place(0, 4), [2, 3])


def test_a_satisfied_group_is_not_topped_up_when_its_limits_grow() -> None:
    group, _ = run(Rules(2, 4, 8, has_pass), ["pass", "fail"])
    assert next_move(group, Rules(16, 4, 8, has_pass)) == "early_stop"


def test_a_round_gives_each_prompt_so_many_attempts() -> None:
    group, reason = run(Rules(16, 4, 8, has_pass, max_attempts=4), ["fail"] * 60)
    assert reason == "budget" and len(group.attempts) == 4
    group, reason = run(Rules(16, 4, 8, has_pass, max_attempts=8), ["fail"] * 60, group)
    assert reason == "budget" and len(group.attempts) == 8
