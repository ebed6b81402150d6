"""What a group needs next, as a pure function of its attempts and verdicts.

The loop asks it after every step; a resumed run asks it of what the journal holds and goes on from there. Neither
time nor chance nor any other group enters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rsr_cli.types import EndReason, Group


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of a group; `satisfied` is None where nothing stops it early."""

    max_rollouts: int
    step_size: int
    max_steps: int
    satisfied: Callable[[Group], bool] | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """Ask for these attempts, as (the rest of) this step."""

    step: int
    step_size: int
    attempts: Sequence[int]


def next_move(group: Group, rules: Rules) -> Draw | EndReason:
    """The attempts to draw next, or why the group has ended.

    Expects a verdict for every rollout where `rules.satisfied` is given. A step is asked for whole: what a crash cut
    off is drawn first, so that a resumed group ends as an unbroken one. A group of nothing but failures ends after
    its first step: each of them was retried already, or can't be mended (the prompt is too long, say).
    """
    steps: dict[int, list[int]] = defaultdict(list)
    for number, attempt in group.attempts.items():
        steps[attempt.step].append(number)
    begin = 0
    for step in sorted(steps):
        size = max(group.attempts[number].step_size for number in steps[step])
        places = range(begin, begin + size)
        missing = [number for number in places if number not in group.attempts or number in group.again]
        if missing:
            return Draw(step, size, missing)
        begin += size
    last = max(steps, default=-1)
    if rules.satisfied is not None and steps and rules.satisfied(group):
        return "early_stop"
    valid = sum(attempt.valid for attempt in group.attempts.values())
    if valid >= rules.max_rollouts:
        return "max_rollouts"
    if steps and all(attempt.error is not None for attempt in group.attempts.values()):
        return "error"
    if len(steps) >= rules.max_steps:
        return "max_steps"
    size = min(rules.step_size, rules.max_rollouts - valid)
    begin = max(begin, max(group.attempts, default=-1) + 1)
    return Draw(last + 1, size, range(begin, begin + size))
