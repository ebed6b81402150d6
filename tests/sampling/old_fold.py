"""The former `next_move`, in one piece: the oracle that the present one is checked against."""

from __future__ import annotations

from collections.abc import Mapping

from rsr_cli.sampling.fold import Draw, Move, Place, Rules, Wait
from rsr_cli.types import Group


def old_next_move(group: Group, rules: Rules, pending: Mapping[int, Place]) -> Move:
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
