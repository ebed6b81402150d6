"""run and resume: the five stages one after the other, each doing only what is missing or out of date."""

from __future__ import annotations

from typing import Any

from rsr_cli.config.settings import Config
from rsr_cli.samplers.truncation import TRUNCATION_RISE
from rsr_cli.stages.analyze import analyze
from rsr_cli.stages.drawing import money
from rsr_cli.stages.format import format_
from rsr_cli.stages.prepare import Counts, prepare, read_dataset
from rsr_cli.stages.sample import sample
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.stages.verify import verify


def run(session: Session, *, retry_errors: bool = False, allow_mixed: bool = False) -> list[StageResult]:
    """prepare, sample, verify, format, analyze: the same as calling them one by one. The later ones are left for the
    next run where sample has to wait for answers that are made elsewhere."""
    results = [prepare(session), sample(session, retry_errors=retry_errors, allow_mixed=allow_mixed)]
    if results[-1].postponed:
        return results
    return [*results, verify(session), format_(session), analyze(session)]


def most_it_can_spend(config: Config) -> dict[str, Any]:
    """The prompts of the input, and the most requests, tokens and money that a run over them can take.

    Reads the whole input through the transform, and writes nothing. Retries are not counted: a request that failed
    is rarely billed.
    """
    counts = Counts()
    characters = 0
    for prompt in read_dataset(config, counts):
        characters += sum(len(str(message.get("content") or "")) for message in prompt.messages)
    sampling = config.sampling
    per_prompt = sampling.max_steps * sampling.step_size
    attempts = counts.prompts * per_prompt
    completion_tokens = attempts * _most_tokens(config)
    # Four characters a token is the usual rule of thumb: the tokenizer is the server's.
    prompt_tokens = round(characters / 4) * per_prompt
    if sampling.token_budget is not None:
        completion_tokens = min(completion_tokens, sampling.token_budget)
    cost = money(config, prompt_tokens, completion_tokens)
    return {
        "prompts": counts.prompts,
        "skipped": counts.skipped,
        "without_answer": counts.without_answer,
        "most_attempts": attempts,
        "most_requests": attempts,
        "most_completion_tokens": completion_tokens,
        "prompt_tokens_about": prompt_tokens,
        "most_cost": round(cost if sampling.cost_budget is None else min(cost, sampling.cost_budget), 2),
    }


def _most_tokens(config: Config) -> int:
    """Of one attempt, with what is drawn again where it was cut."""
    limit = max(settings.max_tokens for settings in config.sampler.each())
    last = config.sampling.truncation_limit or TRUNCATION_RISE * limit
    if config.sampling.on_truncation == "continue":
        return max(limit, last)
    total = limit
    while config.sampling.on_truncation == "raise_limit" and limit < last:
        limit = min(2 * limit, last)
        total += limit
    return total
