"""What a group needs next, as a pure function of its attempts, its verdicts and what is under way.

The loop asks it whenever something of the group has changed; a resumed run asks it of what the journal holds and goes
on from there. Neither time nor chance nor any other group enters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rsr_cli.types import EndReason, Group


class Place(NamedTuple):
    """Where an attempt stands: its step, and how many attempts that step may take."""

    step: int
    step_size: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of a group; `satisfied` is None where nothing stops it early."""

    max_rollouts: int
    step_size: int
    max_steps: int
    satisfied: Callable[[Group], bool] | None = None
    whole_steps: bool = False
    """Verdicts compare the rollouts of a group: a step is drawn whole, and judged before the next."""
    whole_first_step: bool = False
    """The stop depends on how hard a prompt is: that is read from a whole first step."""
    max_attempts: int | None = None
    """The most attempts of a prompt in this round of a run on a budget."""
    worth: Callable[[Group, int], float] | None = None
    """What one more draw is worth, given how many are under way: where it is most is drawn first."""
    least_worth: float = 0.0
    """Draws that are worth less wait for a later round."""

    def size_of(self, step: int) -> int:
        """How many attempts a step may take: max_steps * step_size over all of them.

        Where groups stop early the first is of one attempt. It is drawn whatever comes, so it tells how hard a prompt
        is without the bias of the stop; what it is short of, the last step may take.
        """
        if self.satisfied is None or self.whole_steps or self.whole_first_step or self.max_steps == 1:
            return self.step_size
        if step == 0:
            return 1
        return 2 * self.step_size - 1 if step == self.max_steps - 1 else self.step_size


@dataclass(frozen=True, slots=True)
class Draw:
    """These attempts may be asked for now, in this order; all of them have the same place."""

    place: Place
    attempts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Wait:
    """What comes next depends on what is under way; from the attempt `enough` on it is not needed any more."""

    enough: int | None = None


Move = Draw | Wait | EndReason

_NOTHING: Mapping[int, Place] = {}


def next_move(group: Group, rules: Rules, pending: Mapping[int, Place] = _NOTHING) -> Move:
    """The attempts that may be drawn now, Wait where that depends on what is `pending`, or why the group has ended.

    `pending` are the attempts under way, and those that wait for a verdict: every other rollout has one where
    `rules.satisfied` is given. Attempts are drawn in the order of their numbers, so whatever a crash cut off is drawn
    first. At most `step_size` are under way at a time, and never more than could still become rollouts.

    A satisfied group is still owed what comes before the attempt that satisfied it: which answers a group ends with
    then follows from their numbers and not from which of them was quickest (the shortest, most likely). A group of
    nothing but failures ends after as many as one step takes: each of them was retried already, or can't be mended
    (the prompt is too long, say).
    """
    attempts = group.attempts
    being_judged_whole = rules.whole_steps and bool(pending)
    satisfied = rules.satisfied is not None and bool(attempts) and not being_judged_whole and rules.satisfied(group)
    valid, only_failures, begun = 0, True, dict(pending.values())
    for attempt in attempts.values():
        valid += attempt.valid
        only_failures = only_failures and attempt.error is not None
        begun[attempt.step] = attempt.step_size
    undecided = sum(number not in attempts or not attempts[number].valid for number in pending)
    if not satisfied:
        if valid >= rules.max_rollouts:
            return Wait() if pending else "max_rollouts"
        if not group.again and not being_judged_whole and _has_had_its_share(group, rules, undecided):
            return Wait() if pending else "budget"
    room = min(rules.step_size - len(pending), rules.max_rollouts - valid - undecided)
    end = _end_of_need(group, rules, pending) if satisfied else None
    begin = 0
    # All steps in order: those that were begun as they were begun, the others as the rules have them.
    for step in range(max(rules.max_steps, max(begun, default=0) + 1)):
        place = Place(step, begun[step] if step in begun else rules.size_of(step))
        if end is not None and begin >= end:
            return "early_stop"
        numbers = range(begin, begin + place.step_size if end is None else min(end, begin + place.step_size))
        missing = [n for n in numbers if n not in pending and (n not in attempts or n in group.again)]
        if missing and only_failures and missing[0] >= rules.step_size:
            return Wait() if pending else "error"
        if missing and room > 0 and (not being_judged_whole or place in pending.values()):
            return Draw(place, missing[:room])
        if satisfied and any(n in pending for n in numbers):
            return Wait(end)
        if missing and not satisfied:
            return Wait()
        begin += place.step_size
    if satisfied:
        return "early_stop"
    return Wait() if pending else "max_steps"


def _has_had_its_share(group: Group, rules: Rules, under_way: int) -> bool:
    """The group draws no more in this round of a run on a budget."""
    if rules.max_attempts is not None and len(group.attempts) + under_way >= rules.max_attempts:
        return True
    return rules.worth is not None and rules.worth(group, under_way) < rules.least_worth


def _end_of_need(group: Group, rules: Rules, pending: Mapping[int, Place]) -> int:
    """The end of the attempts that a satisfied group needs: the fewest of them, from the first on, that satisfy it,
    and those between."""
    assert rules.satisfied is not None
    end = max(group.attempts) + 1
    least = rules.step_size if rules.whole_first_step else 1
    if end - len(group.attempts) or any(number < end for number in pending):
        # Some are missing before the last: it may be that the last ones were not needed.
        fewer = Group(group.prompt, dict(group.attempts), group.verdicts)
        for number in sorted(group.attempts, reverse=True):
            del fewer.attempts[number]
            if not fewer.attempts or not rules.satisfied(fewer):
                break
            end = number
    return max(end, least)
