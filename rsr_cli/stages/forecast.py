"""What a full run will take, from what a few prompts have shown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsr_cli.clients.estimates import Usage, usage_of
from rsr_cli.plan import Plan
from rsr_cli.sampling.fold import Draw, next_move
from rsr_cli.sampling.guards import requests_in_flight
from rsr_cli.types import REFERENCE, Attempt, Group, Verdict

_TIMES = 10
"""How often each prompt's run is played through."""


@dataclass(frozen=True)
class Forecast:
    """Of the whole input. `seconds` is a range: from all requests in flight being as quick as the probe's, to the rate
    of the probe itself."""

    prompts: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    seconds: tuple[float, float]


def forecast(plan: Plan, groups: Sequence[Group], prompts: int, seconds: float, judged: float = 0.0) -> Forecast:
    """`groups` are those probed, `prompts` how many the input has, `seconds` what drawing the groups has taken, and
    `judged` what judging them has cost."""
    drawn = [attempt for group in groups for attempt in group.attempts.values()]
    played = _play(plan, groups)
    scale = prompts / (_TIMES * len(groups))
    prompt_tokens = scale * sum(usage.prompt for _, usage in played)
    completion_tokens = scale * sum(usage.completion for _, usage in played)
    verdicts = scale * sum(attempt.valid for attempt, _ in played)
    judging = verdicts * judged / max(1, sum(attempt.valid for attempt in drawn))
    share = _share_in_budget(plan, prompt_tokens, completion_tokens, judging)
    attempts = share * scale * len(played)
    latency = sum(attempt.latency_s for attempt in drawn) / len(drawn)
    times = sorted((attempts * latency / requests_in_flight(plan.config), attempts * seconds / len(drawn)))
    cost = plan.cost(round(share * prompt_tokens), round(share * completion_tokens))
    return Forecast(
        prompts,
        round(attempts),
        round(share * prompt_tokens),
        round(share * completion_tokens),
        cost + share * judging,
        (times[0], times[1]),
    )


def _share_in_budget(plan: Plan, prompt_tokens: float, completion_tokens: float, judging: float) -> float:
    """How much of the run the budget lets through."""
    sampling, share = plan.config.sampling, 1.0
    if sampling.token_budget is not None:
        share = min(share, sampling.token_budget / max(1.0, prompt_tokens + completion_tokens))
    if sampling.cost_budget is not None:
        cost = plan.cost(round(prompt_tokens), round(completion_tokens)) + judging
        share = min(share, sampling.cost_budget / max(1e-9, cost))
    return share


def _play(plan: Plan, groups: Sequence[Group]) -> list[tuple[Attempt, Usage]]:
    """The attempts of runs over these prompts by the plan's rules, each drawn from those that the probe has seen.

    One draw in n + 1 is of any prompt, where a prompt has n: no prompt passes always or never for sure. The server
    counts a prompt once for each request: for a draw that no outcome can make needless that is one request where the
    sampler asks so, else each attempt is one.
    """
    rules, chance = plan.rules, random.Random(0)
    # A server that ignores n is asked for one answer at a time, and counts the prompt with each.
    probed = [attempt for group in groups for attempt in group.attempts.values()]
    counted_again = any(attempt.attempt and attempt.prompt_tokens != 0 for attempt in probed if attempt.error is None)
    with plan.sampler() as sampler:
        together = sampler.together and not counted_again
    everything = [_seen(group, attempt) for group in groups for attempt in group.attempts.values()]
    played: list[tuple[Attempt, Usage]] = []
    for group in groups:
        own = [_seen(group, attempt) for attempt in group.attempts.values()]
        prompt_tokens = max((usage_of(attempt, group.prompt.messages).prompt for attempt, _ in own), default=0)
        for _ in range(_TIMES):
            run = Group(group.prompt)
            if REFERENCE in group.verdicts:
                run.verdicts[REFERENCE] = group.verdicts[REFERENCE]
            while isinstance(move := next_move(run, rules), Draw):
                # As in the loop: what may turn out needless is asked for one by one.
                certain = rules.is_certain(move.place)
                for number in move.attempts if certain else move.attempts[:1]:
                    attempt, verdict = chance.choice(own if chance.randrange(len(own) + 1) else everything)
                    place = move.place
                    drawn = replace(
                        attempt, id=group.prompt.id, attempt=number, step=place.step, step_size=place.step_size
                    )
                    run.attempts[number] = drawn
                    if verdict is not None:
                        run.verdicts[number] = verdict
                    read_again = not (certain and together) or number == move.attempts[0]
                    usage = usage_of(attempt, group.prompt.messages)
                    played.append((drawn, usage._replace(prompt=prompt_tokens if read_again else 0)))
    return played


def _seen(group: Group, attempt: Attempt) -> tuple[Attempt, Verdict | None]:
    return attempt, group.verdicts.get(attempt.attempt)
