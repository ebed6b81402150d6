"""What a work dir has drawn and what that has cost, over all runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from rsr_cli.clients.estimates import usage_of
from rsr_cli.sampling.budget import Budget
from rsr_cli.scoring.judge_costs import judge_cost
from rsr_cli.stages.session import Session
from rsr_cli.store.groups import read_groups
from rsr_cli.store.state import StageState
from rsr_cli.store.tally import tally, tally_journal
from rsr_cli.store.work_dir import WorkDir


def drawn_so_far(work_dir: WorkDir, record: StageState) -> Counter[str]:
    """Return the counts of the attempts in all shards; those of open shards have no `prompts`."""
    counts: Counter[str] = Counter()
    for shard in work_dir.shards():
        if shard in record.shards_done and str(shard) in record.by_shard:
            closed = record.by_shard[str(shard)]
            counts.update({name: value for name, value in closed.items() if name != "end_reasons"})
        else:
            counts.update(tally(work_dir.rollout(shard)) + tally_journal(work_dir.rollout_journal(shard)))
    return counts


def spent_tokens(work_dir: WorkDir, numbers: Iterable[int]) -> Counter[str]:
    """Return the tokens and the number of the attempts in these shards; tokens without a usage report are estimated."""
    spent: Counter[str] = Counter()
    for shard in numbers:
        counts = tally(work_dir.rollout(shard)) + tally_journal(work_dir.rollout_journal(shard))
        spent += _with_estimates(work_dir, shard, counts) if counts["without_usage"] else counts
    return spent


def spent_money(session: Session) -> float:
    """Return the cost of all attempts in the work dir and of their judges."""
    spent = spent_tokens(session.work_dir, session.work_dir.shards())
    drawn = session.plan.cost(spent["prompt_tokens"], spent["completion_tokens"])
    return drawn + judge_cost(session.plan.verifier, session.work_dir.cache())


def remaining_budget(session: Session, numbers: Iterable[int], judges: Callable[[], float]) -> Budget | None:
    """Return the budget of the config less what these shards have cost; None where there is no limit.

    `judges` returns the cost of the judges so far.
    """
    sampling, settings = session.config.sampling, session.config.sampler
    if sampling.token_budget is None and sampling.cost_budget is None:
        return None
    backends = [settings.in_full(member) for member in settings.members] or [settings]
    spent = spent_tokens(session.work_dir, numbers)
    return Budget(
        sampling.token_budget,
        sampling.cost_budget,
        (settings.price.prompt, settings.price.completion),
        max_tokens=max(backend.max_tokens for backend in backends),
        spent_prompt=spent["prompt_tokens"],
        spent_completion=spent["completion_tokens"],
        attempts=spent["attempts"],
        cancelled=session.state.stages["sample"].counts.get("cancelled", 0),
        other_cost=judges,
    )


def _with_estimates(work_dir: WorkDir, shard: int, counts: Counter[str]) -> Counter[str]:
    """Return the counts of a shard, with estimated tokens where an attempt has no usage report."""
    tokens: Counter[str] = Counter()
    for group in read_groups(work_dir, shard):
        for attempt in group.attempts.values():
            usage = usage_of(attempt, group.prompt.messages)
            tokens.update(prompt_tokens=usage.prompt, completion_tokens=usage.completion)
    return Counter({**counts, **tokens})
