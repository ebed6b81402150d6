"""What a probe's completions say: a finding per question, with a traffic light and what to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rsr_cli.config.settings import Config, Limits
from rsr_cli.errors import printable
from rsr_cli.reply import final_reply
from rsr_cli.sampling.guard_windows import Texts
from rsr_cli.sampling.guards import missing_reply
from rsr_cli.types import Attempt, Group, Verdict
from rsr_cli.words import counted

Light = Literal["green", "yellow", "red"]

_NEARLY_FULL = 0.8
"""Of max_tokens: completions of this length leave little room for longer ones."""
_TOO_HARD, _TOO_EASY = 0.05, 0.95
_LEAST_SCORED = 20
"""Where so many fail, one and all, something is wrong."""


@dataclass(frozen=True)
class Finding:
    """`told` is what was seen; `change` what to do about it, None where all is well."""

    name: str
    light: Light
    told: str
    change: str | None = None


def findings(config: Config, groups: Sequence[Group], passes: Callable[[float], bool]) -> list[Finding]:
    """Red is what a guard would stop the run for, and a verifier that passes or scores nothing."""
    attempts = [attempt for group in groups for attempt in group.attempts.values()]
    whole = [attempt for attempt in attempts if attempt.error is None and not attempt.truncated]
    verdicts = [verdict for group in groups for number, verdict in group.verdicts.items() if number in group.attempts]
    found = [_errors(config, attempts), _length(config, attempts), _truncation(config, attempts)]
    if whole:
        found += [_thinking(whole), _empty(config, whole), _distinct(config, groups)]
    if verdicts:
        found += [_no_answer(config, verdicts), _unscored(config, verdicts)]
    if any(verdict.score is not None for verdict in verdicts):
        found.append(_pass_rate(config, groups, passes))
    return found


def _errors(config: Config, attempts: Sequence[Attempt]) -> Finding:
    failed = [attempt.error for attempt in attempts if attempt.error is not None]
    if not failed:
        return Finding("errors", "green", "none")
    [(error, count)] = Counter(failed).most_common(1)
    light = _light(len(failed) / len(attempts), config.guards.errors)
    change = "mend what the server complains of; leave out prompts that are too long (data.preprocess.transform)"
    return Finding(
        "errors", light, f"{_of(len(failed), attempts)}, {count} x {printable(error)[:200].rstrip('.')}", change
    )


def _length(config: Config, attempts: Sequence[Attempt]) -> Finding:
    lengths = sorted(attempt.completion_tokens for attempt in attempts if attempt.completion_tokens is not None)
    limit = config.sampler.max_tokens
    if not lengths:
        change = "let the server count tokens (usage), else neither length nor cost is known"
        return Finding("length", "yellow", "the server counts no tokens", change)
    middle, high, top = (percentile(lengths, percent) for percent in (50, 95, 99))
    told = f"p50 {middle:,} · p95 {high:,} · p99 {top:,} tokens, of max_tokens {limit:,}"
    if high < _NEARLY_FULL * limit:
        return Finding("length", "green", told)
    return Finding("length", "yellow", told, f"raise sampler.max_tokens, say to {4 * limit}")


def _truncation(config: Config, attempts: Sequence[Attempt]) -> Finding:
    cut = sum(attempt.truncated for attempt in attempts)
    light = _light(cut / len(attempts), config.guards.truncation)
    change = (
        f"set sampler.max_tokens={4 * config.sampler.max_tokens} (and sampler.timeout with it), or let cut attempts go "
        "on: sampling.on_truncation=continue"
    )
    return Finding("truncation", light, _of(cut, attempts), None if light == "green" else change)


def _thinking(whole: Sequence[Attempt]) -> Finding:
    """Whether the thinking can be told from the reply: in a field of its own, or by its tags."""
    in_field = sum(bool(attempt.reasoning) for attempt in whole)
    in_text = sum(
        bool(attempt.response) and final_reply(attempt.response or "") != (attempt.response or "").strip()
        for attempt in whole
    )
    told = f"in a field of its own {in_field} · in the text {in_text} · none {max(0, len(whole) - in_field - in_text)}"
    if in_field and in_text:
        change = "the server takes out only some of it: start it with the reasoning parser of this very model"
        return Finding("thinking", "yellow", told, change)
    return Finding("thinking", "green", told)


def _empty(config: Config, whole: Sequence[Attempt]) -> Finding:
    reasons = Counter(reason for attempt in whole if (reason := missing_reply(attempt)))
    light = _light(reasons.total() / len(whole), config.guards.empty)
    told = ", ".join([_of(reasons.total(), whole), *(f"{count} x {reason}" for reason, count in reasons.most_common())])
    change = (
        "see that the server tells thinking from reply (vLLM: --reasoning-parser), and that both fit into "
        f"sampler.max_tokens={config.sampler.max_tokens}"
    )
    return Finding("no reply", light, told, None if light == "green" else change)


def _distinct(config: Config, groups: Sequence[Group]) -> Finding:
    """Bare answers count among the distinct texts, but that they come twice is no fault."""
    texts, repeats, compared, different, total = Texts(len(groups)), 0, 0, 0, 0
    for group in groups:
        responses = [rollout.response.strip() for rollout in group.rollouts()]
        total += len(responses)
        different += len(set(responses))
        for rollout in group.rollouts():
            repeated = texts.add(rollout.attempt)
            compared += repeated is not None
            repeats += bool(repeated)
    told = f"{different} of {total} within their prompts"
    same = texts.most_common_share()
    if len(texts) > 1 and _light(same, config.guards.identical) != "green":
        change = "see what reaches the model: its chat template, sampler.model, a cache before it"
        return Finding(
            "distinct", _light(same, config.guards.identical), f"{same:.0%} of the prompts got the same", change
        )
    light = _light(repeats / compared if compared else 0.0, config.guards.repeated)
    change = (
        f"set a higher sampler.temperature (it is {config.sampler.temperature}), see that the server heeds it and the "
        "seed; else sampling.max_rollouts=1 does as well"
    )
    return Finding("distinct", light, told, None if light == "green" else change)


def _no_answer(config: Config, verdicts: Sequence[Verdict]) -> Finding:
    count = sum(verdict.status == "no_answer" for verdict in verdicts)
    light = _light(count / len(verdicts), config.guards.no_answer)
    change = "ask for a form that the verifier reads in data.preprocess.instruction, or take another verifier"
    return Finding("no answer", light, _of(count, verdicts), None if light == "green" else change)


def _unscored(config: Config, verdicts: Sequence[Verdict]) -> Finding:
    reasons = Counter(
        f"{verdict.status}: {verdict.explanation or 'no reason given'}" for verdict in verdicts if verdict.score is None
    )
    if not reasons:
        return Finding("unscored", "green", "none")
    [(reason, count)] = reasons.most_common(1)
    light = (
        "red" if reasons.total() == len(verdicts) else _light(reasons.total() / len(verdicts), config.guards.unscored)
    )
    told = f"{_of(reasons.total(), verdicts)}, {count} x {printable(reason)[:200].rstrip('.')}"
    return Finding("unscored", light, told, "mend the verifier, or metadata.answer in the transform")


def _pass_rate(config: Config, groups: Sequence[Group], passes: Callable[[float], bool]) -> Finding:
    outcomes = [[passes(score) for _, score in group.scored()] for group in groups]
    scored, passed = sum(map(len, outcomes)), sum(map(sum, outcomes))
    mixed = sum(any(group) and not all(group) for group in outcomes)
    rate = passed / scored
    passing = f"{sum(map(any, outcomes))} of {counted(len(groups), 'prompts')} with a pass"
    told = f"{rate:.1%} of {scored} scored · {passing}, {mixed} mixed"
    if not passed and scored >= _LEAST_SCORED:
        change = (
            "nothing passes: read some replies (rsr run on a few rows, then rsr show --failed), check the golds and "
            "pass_threshold, or take easier prompts"
        )
        return Finding("pass rate", "red", told, change)
    if rate <= _TOO_HARD:
        return Finding(
            "pass rate", "yellow", told, "easier prompts, a stronger model or a higher sampling.max_rollouts"
        )
    if rate >= _TOO_EASY:
        return Finding("pass rate", "yellow", told, "harder prompts: there is little to choose between")
    return Finding("pass rate", "green", told)


def percentile(values: Sequence[int], percent: int) -> int:
    """The nearest rank in sorted values."""
    return values[max(0, -(-percent * len(values) // 100) - 1)]


def _light(share: float, limits: Limits) -> Light:
    if limits.stop is not None and share > limits.stop:
        return "red"
    return "yellow" if limits.warn is not None and share > limits.warn else "green"


def _of(count: int, items: Sequence[object]) -> str:
    return f"{count} of {len(items)} ({count / len(items):.0%})"
