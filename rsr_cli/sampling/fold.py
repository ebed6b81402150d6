"""What a group draws next: a pure function of its attempts, its verdicts and its pending attempts.

The loop evaluates it after every change of the group; a resumed run evaluates it on the contents of the journal and
continues from there. It depends on neither time, nor chance, nor any other group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rsr_cli.types import EndReason, Group


class Place(NamedTuple):
    """The step of an attempt, and the number of attempts of that step."""

    step: int
    step_size: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of a group. `satisfied` is the early stop, None where there is none."""

    max_rollouts: int
    step_size: int
    max_steps: int
    satisfied: Callable[[Group], bool] | None = None
    whole_steps: bool = False
    """Verdicts compare the rollouts of a group: all attempts of a step are drawn, then judged together."""
    whole_first_step: bool = False
    """The early stop depends on the difficulty of the prompt, which is estimated from a complete first step."""
    max_attempts: int | None = None
    """The maximum number of attempts of a prompt in this round of a run on a budget; None: no maximum."""
    worth: Callable[[Group, int], float] | None = None
    """The value of one more draw, given the number of pending attempts. The highest is drawn first."""
    least_worth: float = 0.0
    """Draws of a lower value wait for a later round."""

    def size_of(self, step: int) -> int:
        """Return the number of attempts of a step; over all steps it is max_steps * step_size.

        With early stop, step 0 is one attempt, drawn unconditionally, so its pass rate is an unbiased difficulty
        estimate. The last step takes the attempts that step 0 leaves.
        """
        if self.satisfied is None or self.whole_steps or self.whole_first_step or self.max_steps == 1:
            return self.step_size
        if step == 0:
            return 1
        return 2 * self.step_size - 1 if step == self.max_steps - 1 else self.step_size

    def is_certain(self, place: Place) -> bool:
        """Return whether all attempts of this step are needed, whatever their outcomes."""
        return self.satisfied is None or self.whole_steps or place.step == 0


@dataclass(frozen=True, slots=True)
class Draw:
    """These attempts may be requested now, in this order. All of them have the same place."""

    place: Place
    attempts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Wait:
    """The next move depends on pending attempts. Those numbered `enough` or higher are no longer needed."""

    enough: int | None = None


Move = Draw | Wait | EndReason

_NOTHING: Mapping[int, Place] = {}


class GroupView:
    """A group under its rules, with the attempts that are pending: requested, or without a verdict yet."""

    __slots__ = (
        "_begun",
        "group",
        "only_failures",
        "pending",
        "room",
        "rules",
        "satisfied",
        "step_is_open",
        "undecided",
        "valid",
    )

    def __init__(self, group: Group, rules: Rules, pending: Mapping[int, Place]) -> None:
        attempts = group.attempts
        valid, only_failures, begun = 0, True, dict(pending.values())
        for attempt in attempts.values():
            valid += attempt.valid
            only_failures = only_failures and attempt.error is not None
            begun[attempt.step] = attempt.step_size
        self.group = group
        self.rules = rules
        self.pending = pending
        self.valid = valid
        self.only_failures = only_failures
        self._begun = begun
        self.undecided = 0
        """Pending attempts that are not rollouts (yet)."""
        for number in pending:
            self.undecided += number not in attempts or not attempts[number].valid
        self.room = min(rules.step_size - len(pending), rules.max_rollouts - valid - self.undecided)
        """How many more attempts may be pending."""
        self.step_is_open = rules.whole_steps and bool(pending)
        """Verdicts compare the attempts of a step, and some of it are pending: nothing is decided before the last."""
        self.satisfied = (
            rules.satisfied is not None and bool(attempts) and not self.step_is_open and rules.satisfied(group)
        )

    @property
    def has_its_share(self) -> bool:
        """The group draws no more in this round of a run on a budget."""
        rules, under_way = self.rules, self.undecided
        if rules.max_attempts is not None and len(self.group.attempts) + under_way >= rules.max_attempts:
            return True
        return rules.worth is not None and rules.worth(self.group, under_way) < rules.least_worth

    def steps(self) -> Iterator[tuple[int, range]]:
        """Yield each step with the numbers of its attempts. A step that has begun keeps its size, the others have the
        size of the rules."""
        begin = 0
        begun, rules = self._begun, self.rules
        for step in range(max(rules.max_steps, max(begun, default=0) + 1)):
            size = begun[step] if step in begun else rules.size_of(step)
            yield step, range(begin, begin + size)
            begin += size

    def missing(self, numbers: range) -> list[int]:
        """Return those of the attempts that are to be requested."""
        attempts, again, pending = self.group.attempts, self.group.again, self.pending
        return [n for n in numbers if n not in pending and (n not in attempts or n in again)]

    def has_failed(self, next_number: int) -> bool:
        """Every attempt failed, and there are as many as one step takes: each was retried already, or can't succeed
        (the prompt is too long, for example)."""
        return self.only_failures and next_number >= self.rules.step_size

    def end(self, reason: EndReason) -> Move:
        """Return the reason, once nothing is pending."""
        return Wait() if self.pending else reason


def next_move(group: Group, rules: Rules, pending: Mapping[int, Place] = _NOTHING) -> Move:
    """Return the attempts that may be requested now, Wait where that depends on `pending` ones, or the end reason.

    `pending` are the attempts that were requested and those that wait for a verdict: where `rules.satisfied` is given,
    every other rollout has a verdict. Attempts are requested in ascending order, so those that a crash lost come first.
    At most `step_size` are pending at a time, and never more than could still become rollouts.
    """
    view = GroupView(group, rules, pending)
    return _still_owed(view) if view.satisfied else _comes_next(view)


def _still_owed(view: GroupView) -> Move:
    """Return the move of a satisfied group, which is still owed the attempts before the deciding one.

    The attempts that a group ends with then depend on their numbers, and not on which of them arrived first (the
    shortest, most likely).
    """
    end = _end_of_need(view)
    for step, of_step in view.steps():
        if of_step.start >= end:
            break
        numbers = range(of_step.start, min(end, of_step.stop))
        missing = view.missing(numbers)
        if missing and view.has_failed(missing[0]):
            return view.end("error")
        if missing and view.room > 0:
            return Draw(Place(step, len(of_step)), missing[: view.room])
        if any(number in view.pending for number in numbers):
            return Wait(end)
    return "early_stop"


def _comes_next(view: GroupView) -> Move:
    """Return the move of a group that is not satisfied: the first missing attempts, unless a limit is reached."""
    if view.valid >= view.rules.max_rollouts:
        return view.end("max_rollouts")
    if not view.group.again and not view.step_is_open and view.has_its_share:
        return view.end("budget")
    for step, numbers in view.steps():
        missing = view.missing(numbers)
        if not missing:
            continue
        if view.has_failed(missing[0]):
            return view.end("error")
        place = Place(step, len(numbers))
        if view.room > 0 and (not view.step_is_open or place in view.pending.values()):
            return Draw(place, missing[: view.room])
        return Wait()
    return view.end("max_steps")


def _end_of_need(view: GroupView) -> int:
    """Return the end of the attempts that a satisfied group needs: the shortest run of them, from number 0, that
    satisfies it."""
    group, rules = view.group, view.rules
    assert rules.satisfied is not None
    end = max(group.attempts) + 1
    least = rules.step_size if rules.whole_first_step else 1
    if end - len(group.attempts) or any(number < end for number in view.pending):
        # An attempt before the last is missing or pending: the last ones may have been drawn ahead of need.
        fewer = Group(group.prompt, dict(group.attempts), group.verdicts)
        for number in sorted(group.attempts, reverse=True):
            del fewer.attempts[number]
            if not fewer.attempts or not rules.satisfied(fewer):
                break
            end = number
    return max(end, least)
