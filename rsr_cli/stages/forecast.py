"""What a full run will take, from what a few prompts have shown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsr_cli.config.settings import Config
from rsr_cli.sampling.fold import Draw, next_move
from rsr_cli.sampling.guards import requests_in_flight
from rsr_cli.stages.drawing import money
from rsr_cli.stages.rules import group_rules
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


def forecast(config: Config, groups: Sequence[Group], prompts: int, seconds: float) -> Forecast:
    """`groups` are those probed, `prompts` how many the input has, `seconds` what drawing the groups has taken."""
    drawn = [attempt for group in groups for attempt in group.attempts.values()]
    played = _play(config, groups)
    scale = prompts / (_TIMES * len(groups))
    prompt_tokens = scale * sum(attempt.prompt_tokens or 0 for attempt in played)
    completion_tokens = scale * sum(attempt.completion_tokens or 0 for attempt in played)
    share = _share_in_budget(config, prompt_tokens, completion_tokens)
    attempts = share * scale * len(played)
    latency = sum(attempt.latency_s for attempt in drawn) / len(drawn)
    times = sorted((attempts * latency / requests_in_flight(config), attempts * seconds / len(drawn)))
    return Forecast(
        prompts,
        round(attempts),
        round(share * prompt_tokens),
        round(share * completion_tokens),
        money(config, round(share * prompt_tokens), round(share * completion_tokens)),
        (times[0], times[1]),
    )


def _share_in_budget(config: Config, prompt_tokens: float, completion_tokens: float) -> float:
    """How much of the run the budget lets through."""
    sampling, share = config.sampling, 1.0
    if sampling.token_budget is not None:
        share = min(share, sampling.token_budget / max(1.0, prompt_tokens + completion_tokens))
    if sampling.cost_budget is not None:
        share = min(
            share, sampling.cost_budget / max(1e-9, money(config, round(prompt_tokens), round(completion_tokens)))
        )
    return share


def _play(config: Config, groups: Sequence[Group]) -> list[Attempt]:
    """The attempts of runs over these prompts by the config's rules, each drawn from those that the probe has seen.

    One draw in n + 1 is of any prompt, where a prompt has n: no prompt passes always or never for sure.
    """
    rules, chance = group_rules(config), random.Random(0)
    everything = [_seen(group, attempt) for group in groups for attempt in group.attempts.values()]
    played: list[Attempt] = []
    for group in groups:
        own = [_seen(group, attempt) for attempt in group.attempts.values()]
        for _ in range(_TIMES):
            run = Group(group.prompt)
            if REFERENCE in group.verdicts:
                run.verdicts[REFERENCE] = group.verdicts[REFERENCE]
            while isinstance(move := next_move(run, rules), Draw):
                for number in move.attempts if rules.whole_steps else move.attempts[:1]:
                    attempt, verdict = chance.choice(own if chance.randrange(len(own) + 1) else everything)
                    place = move.place
                    run.attempts[number] = replace(
                        attempt, id=group.prompt.id, attempt=number, step=place.step, step_size=place.step_size
                    )
                    if verdict is not None:
                        run.verdicts[number] = verdict
            played += run.attempts.values()
    return played


def _seen(group: Group, attempt: Attempt) -> tuple[Attempt, Verdict | None]:
    return attempt, group.verdicts.get(attempt.attempt)
