"""run and resume: the five stages one after the other, each doing only what is missing or out of date."""

from __future__ import annotations

from typing import Any

from rsr_cli.config.settings import SamplerSettings, Sampling
from rsr_cli.formatters.messages import Seen
from rsr_cli.messages import text_of
from rsr_cli.plan import Plan
from rsr_cli.samplers.params import request_params
from rsr_cli.samplers.truncation import TRUNCATION_RISE
from rsr_cli.stages.analyze import analyze
from rsr_cli.stages.format import format_
from rsr_cli.stages.prepare import Counts, prepare, read_dataset
from rsr_cli.stages.sample import sample
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.stages.training_files import require_own_names
from rsr_cli.stages.verify import verify
from rsr_cli.stages.writable import refuse_unwritable
from rsr_cli.types import Prompt


def run(
    session: Session, *, retry_errors: bool = False, allow_mixed: bool = False, redraw: bool = False
) -> list[StageResult]:
    """prepare, sample, verify, format, analyze: the same as calling them one by one. The later ones are left for the
    next run where sample has to wait for answers that are made elsewhere."""
    require_own_names(session)  # before anything is paid for
    results = [
        prepare(session),
        sample(session, retry_errors=retry_errors, allow_mixed=allow_mixed, redraw=redraw, will_be_verified=True),
    ]
    if results[-1].postponed:
        return results
    return [*results, verify(session), format_(session), analyze(session)]


def most_it_can_spend(plan: Plan) -> dict[str, Any]:
    """The prompts of the input, and the most requests, tokens and money that a run over them can take.

    Reads the whole input through the transform, and writes nothing. Retries are not counted: a request that failed
    is rarely billed.
    """
    config, counts = plan.config, Counts()
    sampling, price = config.sampling, config.sampler.price
    attempts_each = sampling.max_steps * sampling.step_size
    requests = completion_tokens = 0
    prompt_tokens = 0.0
    seen = Seen()
    for prompt in read_dataset(plan, counts):
        seen.add(prompt)
        limits = max((_rungs(settings, sampling, prompt) for settings in config.sampler.each()), key=sum)
        requests += attempts_each * len(limits)
        completion_tokens += attempts_each * sum(limits)
        # Four characters a token is the usual rule of thumb: the tokenizer is the server's.
        characters = sum(len(text_of(message)) for message in prompt.messages)
        prompt_tokens += attempts_each * len(limits) * characters / 4
    refuse_unwritable(plan, seen)
    cost = plan.cost(round(prompt_tokens), completion_tokens)
    if sampling.cost_budget is not None:
        cost = min(cost, sampling.cost_budget)
    if sampling.token_budget is not None:
        completion_tokens = min(completion_tokens, sampling.token_budget)
        prompt_tokens = min(prompt_tokens, sampling.token_budget)
        cost = min(cost, sampling.token_budget * max(price.prompt, price.completion) / 1e6)
    return {
        "prompts": counts.prompts,
        "skipped": counts.skipped,
        "without_answer": counts.without_answer,
        "most_attempts": counts.prompts * attempts_each,
        "most_requests": requests,
        "most_completion_tokens": completion_tokens,
        "prompt_tokens_about": round(prompt_tokens),
        "most_cost": round(cost, 2),
    }


def _rungs(settings: SamplerSettings, sampling: Sampling, prompt: Prompt) -> list[int]:
    """The most completion tokens of each request of one attempt, with what is drawn again where it was cut."""
    limit = request_params(settings, prompt).max_tokens
    last = sampling.truncation_limit or TRUNCATION_RISE * limit
    rungs = [limit]
    if sampling.on_truncation == "continue" and last > limit:
        rungs.append(last - limit)
    while sampling.on_truncation == "raise_limit" and rungs[-1] < last:
        rungs.append(min(2 * rungs[-1], last))
    return rungs
