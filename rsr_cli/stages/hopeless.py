"""Runs that come to nothing: refused before the first token where that is known, else told by the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

from rsr_cli.config.settings import Config
from rsr_cli.errors import ConfigError, GuardStop, InputError
from rsr_cli.plan import Plan
from rsr_cli.sampling.guards import Guards
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.types import Group, Prompt
from rsr_cli.words import counted


def refuse_hopeless(plan: Plan, prompts: Iterable[Prompt]) -> None:
    """ConfigError where a formatter can never have what it asks for, InputError where no prompt has what the verifier
    needs. Reads the prompts up to the first that has it."""
    _refuse_out_of_reach(plan)
    config, lonely = plan.config, _lonely_pairs(plan)
    count, reason, scorable = 0, None, False
    for prompt in prompts:
        count += 1
        reason = plan.verifier.cannot_score(prompt)
        scorable = scorable or reason is None
        if lonely and config.sampling.include_reference and Group(prompt).reference() is not None:
            lonely = []
        if scorable and not lonely:
            return
    if count and not scorable:
        raise InputError(
            f"the verifier {config.verifier.type} can score no reply to any of the "
            f"{counted(count, 'prompts')}: {reason}",
            "let data.preprocess.transform give what it needs, or take another verifier; to draw without scoring: "
            "rsr sample with sampling.early_stop=false",
        )
    if count and lonely:
        raise ConfigError(
            f"formatter: {', '.join(lonely)} makes pairs, and one rollout of a prompt is no pair",
            "raise sampling.max_rollouts (and max_steps * step_size), or give the prompts a metadata.reference",
        )


def _refuse_out_of_reach(plan: Plan) -> None:
    scores = plan.verifier.score_range
    problems = []
    for name, item in plan.formatters.items():
        if scores is not None and (problem := item.out_of_reach(*scores)):
            problems.append(f"formatter {name}: {problem}")
    if problems:
        raise ConfigError(
            "\n".join(problems), f"the scores of the verifier {plan.config.verifier.type} set the thresholds"
        )


def _lonely_pairs(plan: Plan) -> list[str]:
    """The formatters that make pairs, where a prompt has but one rollout and only a reference can be the other."""
    sampling = plan.config.sampling
    if min(sampling.max_rollouts, sampling.max_steps * sampling.step_size) > 1:
        return []
    return [name for name, item in plan.formatters.items() if item.makes_pairs]


def unscored_advice(plan: Plan, root: str, *, late: bool) -> str:
    """What to do about replies that can't be scored; `late` where some of them timed out."""
    again = f"rsr verify -w {root} --retry-unknown"
    if not plan.verifier.is_rule:
        return (
            "see what it says (rsr show --json), then change its model, max_tokens or template: all is scored again. "
            f"If its server was the trouble, {again} asks again for these alone"
        )
    if late:
        return f"{again} verifier.time_limit={3 * plan.config.verifier.time_limit:g} gives these more time"
    return (
        "asking again changes nothing: correct metadata.answer in the transform (in a new work dir), or the verifier "
        f"(a change of its file scores all again). If the cause lay outside of both: {again}"
    )


def raise_if_for_nothing(session: Session, results: Sequence[StageResult]) -> None:
    """GuardStop where nothing could be scored or no training row was written, though there are prompts."""
    counts = {result.stage: result.counts for result in results if not result.postponed}
    prompts = session.state.stages["prepare"].counts.get("prompts", 0)
    root = quote(str(session.work_dir.root))
    if not prompts:
        return
    verified = counts.get("verify")
    if verified and not verified.get("scored", 0) + verified.get("no_answer", 0):
        if not verified.get("rollouts"):
            raise GuardStop(
                f"nothing could be scored: no attempt for the {counted(prompts, 'prompts')} is a rollout",
                f"rsr analyze -w {root} says how they ended: cut at sampler.max_tokens, failed, or without a text",
            )
        late = bool(verified.get("timeout"))
        raise GuardStop(
            f"none of the {counted(verified['rollouts'], 'rollouts')} could be scored. All of them are kept",
            unscored_advice(session.plan, root, late=late),
        )
    written = counts.get("format", {}).get("rows")
    if written and not any(written.values()):
        raise GuardStop(
            f"no training row was written for the {counted(prompts, 'prompts')}. All attempts and verdicts are kept",
            f"read some (rsr show -w {root} --failed), check the golds (rsr verify -w {root} --audit) and the "
            "thresholds of the formatters, or take easier prompts",
        )


def guards(session: Session, config: Config | None = None) -> Guards:
    """Return guards that warn on the session's progress, with the limits of its config or of another one."""
    root, plan = quote(str(session.work_dir.root)), session.plan
    warn = session.progress.warn
    return Guards(config or plan.config, plan.passes, root, warn, lambda late: unscored_advice(plan, root, late=late))
