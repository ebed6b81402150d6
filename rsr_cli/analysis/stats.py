"""The figures of a whole work dir, gathered group by group in bounded memory."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from rsr_cli.analysis.difficulty import LEVEL, Prior, fit_prior
from rsr_cli.analysis.prompts import PromptStats, mean, pass_at_k
from rsr_cli.clients.estimates import usage_of
from rsr_cli.types import Group

_PERCENTILES = (5, 25, 50, 75, 95, 99)
_RATE_BINS = 10
_SHOWN = 40
"""Prompts with their intervals, for a chart."""
_RATES = ("pass_rate", "pass_rate_valid", "pass_rate_first_step", "pass_rate_first_step_valid")
_KINDS = ("prompt", "completion")
_NUMBER = re.compile(r"\d+")


@dataclass
class Distribution:
    """Whole numbers counted by value: as small as the number of different values."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, value: int) -> None:
        self.counts[value] += 1

    def summary(self) -> dict[str, float] | None:
        """Mean, extremes and percentiles (nearest rank), None where nothing was counted."""
        total = self.counts.total()
        if not total:
            return None
        values = sorted(self.counts)
        result: dict[str, float] = {
            "mean": round(sum(value * count for value, count in self.counts.items()) / total, 2),
            "min": values[0],
            "max": values[-1],
        }
        ranks = iter(_PERCENTILES)
        percent = next(ranks, None)
        seen = 0
        for value in values:
            seen += self.counts[value]
            while percent is not None and seen * 100 >= percent * total:
                result[f"p{percent}"] = value
                percent = next(ranks, None)
        return result


@dataclass
class Statistics:
    """Fed one group at a time, those of several merged; `summary` is what `stats.json` holds.

    `max_rollouts` and `early_stop` are the config's: they say what early stop saved, and which outcomes are unbiased.
    """

    max_rollouts: int
    early_stop: bool
    """Outcomes decide how many attempts a prompt gets."""
    prices: tuple[float, float]
    """Money per million prompt tokens and per million completion tokens."""

    groups: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    """What the servers counted, and estimates where they did not."""
    estimated: Counter[str] = field(default_factory=Counter)
    """How much of the tokens is estimated, of how many attempts."""
    statuses: Counter[str] = field(default_factory=Counter)
    end_reasons: Counter[str] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    per_prompt: Distribution = field(default_factory=Distribution)
    completion_tokens: Distribution = field(default_factory=Distribution)
    rates: list[int] = field(default_factory=lambda: [0] * _RATE_BINS)
    first_rates: list[int] = field(default_factory=lambda: [0] * _RATE_BINS)
    rate_sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Of the prompts' rates, by name; `having_rates` counts the prompts that have one."""
    having_rates: Counter[str] = field(default_factory=Counter)
    at_k: Counter[int] = field(default_factory=Counter)
    at_k_sum: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    saved: int = 0
    unbiased_rates: list[int] = field(default_factory=lambda: [0] * _RATE_BINS)
    unbiased_from: Counter[str] = field(default_factory=Counter)
    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Prompts by how many passes they have of how many outcomes: what the prior of pass rates is fitted to."""

    def add(self, group: Group, stats: PromptStats) -> None:
        self.end_reasons[stats.end_reason] += 1
        self.per_prompt.add(stats.n_attempts)
        self.groups["total"] += 1
        self.groups["with_a_pass"] += stats.n_pass > 0
        self.groups["sampled"] += stats.n_attempts > 0
        if stats.end_reason == "early_stop" and stats.drawn:
            self.groups["stopped_early"] += 1
            self.saved += max(0, self.max_rollouts - stats.n_valid)
        for name in ("n_scored", "n_pass", "n_fail"):
            self.attempts[name.removeprefix("n_")] += getattr(stats, name)
        self._add_attempts(group, stats)
        self._add_rates(stats)

    def _add_attempts(self, group: Group, stats: PromptStats) -> None:
        attempts = group.attempts.values()
        self.attempts["total"] += stats.n_attempts
        self.attempts["rollouts"] += stats.n_valid
        self.attempts["truncated"] += stats.n_truncated
        self.attempts["errors"] += stats.n_error
        self.attempts["empty"] += sum(
            not attempt.response
            and attempt.tool_calls is None
            and attempt.error is None
            and attempt.finish_reason == "stop"
            for attempt in attempts
        )
        self.finish_reasons.update(attempt.finish_reason for attempt in attempts)
        self.models.update(attempt.model for attempt in attempts)
        self.statuses.update(item.verdict.status if item.verdict else "unscored" for item in group.rollouts())
        completion_tokens = [item.completion_tokens for item in attempts if item.completion_tokens is not None]
        self.completion_tokens.counts.update(completion_tokens)
        for attempt in attempts:
            usage = usage_of(attempt, group.prompt.messages)
            self.tokens["prompt"] += usage.prompt
            self.tokens["completion"] += usage.completion
            if usage.estimated:
                self.estimated["attempts"] += 1
                self.estimated["prompt"] += usage.prompt if attempt.prompt_tokens is None else 0
                self.estimated["completion"] += usage.completion if attempt.completion_tokens is None else 0
        for attempt in attempts if stats.n_error else ():
            if attempt.error is not None:
                # The same trouble with other numbers in its text is the same kind.
                self.errors[_NUMBER.sub("N", attempt.error.partition("\n")[0])[:120]] += 1

    def _add_rates(self, stats: PromptStats) -> None:
        unbiased = stats.first_step if self.early_stop else stats.of_size
        rates = {name: getattr(stats, name) for name in _RATES} | {"unbiased": mean(unbiased)}
        for name, rate in rates.items():
            if rate is not None:
                self.rate_sums[name] += rate
                self.having_rates[name] += 1
        for bins, rate in ((self.rates, rates["unbiased"]), (self.first_rates, rates["pass_rate_first_step"])):
            if rate is not None:
                bins[_bin(rate)] += 1
        difficulty = stats.difficulty
        self.counts[difficulty.passed, difficulty.drawn] += 1
        if difficulty.rate is not None and difficulty.source is not None:
            self.unbiased_rates[_bin(difficulty.rate)] += 1
            self.unbiased_from[difficulty.source] += 1
            self.rate_sums["pass_rate_unbiased"] += difficulty.rate
            self.having_rates["pass_rate_unbiased"] += 1
        k = 1
        while k <= len(unbiased):
            self.at_k[k] += 1
            self.at_k_sum[k] += pass_at_k(len(unbiased), sum(unbiased), k)
            k *= 2

    def merge(self, later: Statistics) -> None:
        """Take in what another one was fed after this one."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(later, item.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, Distribution):
                mine.counts.update(theirs.counts)
        for k, total in later.at_k_sum.items():
            self.at_k_sum[k] += total
        for name, rates in later.rate_sums.items():
            self.rate_sums[name] += rates
        for name in ("rates", "first_rates", "unbiased_rates"):
            setattr(self, name, [a + b for a, b in zip(getattr(self, name), getattr(later, name), strict=True)])
        self.saved += later.saved

    def summary(self) -> dict[str, Any]:
        total, attempts, scored = self.groups["total"], self.attempts["total"], self.attempts["scored"]
        mean_tokens = self.tokens["completion"] / attempts if attempts else 0.0
        return {
            "prompts": {
                "total": total,
                "sampled": self.groups["sampled"],
                "with_a_pass": self.groups["with_a_pass"],
                "end_reasons": dict(self.end_reasons.most_common()),
            },
            "attempts": {
                "total": attempts,
                "rollouts": self.attempts["rollouts"],
                "truncated": self.attempts["truncated"],
                "truncation_rate": _share(self.attempts["truncated"], attempts),
                "errors": self.attempts["errors"],
                "empty_replies": self.attempts["empty"],
                "per_prompt": self.per_prompt.summary(),
                "finish_reasons": dict(self.finish_reasons.most_common()),
                "errors_by_kind": dict(self.errors.most_common(20)),
                "models": dict(self.models.most_common()),
            },
            "scores": {
                "scored": scored,
                "passed": self.attempts["pass"],
                "failed": self.attempts["fail"],
                "statuses": dict(self.statuses.most_common()),
                "no_answer_rate": _share(self.statuses["no_answer"], self.statuses.total()),
            },
            "pass_rate": {
                "mean": self._mean("unbiased"),
                "mean_from": "first step" if self.early_stop else "all attempts",
                "histogram": self.rates,
                "first_step_mean": self._mean("pass_rate_first_step"),
                "first_step_mean_valid": self._mean("pass_rate_first_step_valid"),
                "first_step_histogram": self.first_rates,
                "mean_of_prompts": self._mean("pass_rate"),
                "mean_of_prompts_valid": self._mean("pass_rate_valid"),
                "of_attempts": _share(self.attempts["pass"], scored + self.attempts["truncated"]) if scored else None,
                "of_rollouts": _share(self.attempts["pass"], scored),
                "biased_by_early_stop": self.groups["stopped_early"] > 0,
                "pass_at_k": {
                    str(k): {"value": round(self.at_k_sum[k] / count, 6), "prompts": count}
                    for k, count in sorted(self.at_k.items())
                },
                "pass_at_k_from": "first step" if self.early_stop else "all attempts",
            },
            "difficulty": self._difficulty(),
            "early_stop": {
                "attempts_saved": self.saved,
                "completion_tokens_saved_about": round(self.saved * mean_tokens),
                "share_saved": _share(self.saved, self.saved + self.attempts["rollouts"]),
            },
            "tokens": {
                "prompt": self.tokens["prompt"],
                "completion": self.tokens["completion"],
                "estimated": dict(self.estimated) if self.estimated["attempts"] else None,
                "completion_per_attempt": self.completion_tokens.summary(),
                "to_go_about": self._to_go(self.tokens.total()),
            },
            "cost": self._cost() if any(self.prices) else None,
        }

    @cached_property
    def prior(self) -> Prior:
        """Of the prompts' pass rates, once all are in."""
        return fit_prior(self.counts)

    def _difficulty(self) -> dict[str, Any]:
        prior, shrunk = self.prior, [0] * _RATE_BINS
        for (passed, drawn), count in self.counts.items():
            if drawn:
                shrunk[_bin(prior.estimate(passed, drawn).mean)] += count
        return {
            "unbiased_mean": self._mean("pass_rate_unbiased"),
            "unbiased_histogram": self.unbiased_rates,
            "unbiased_from": {name: self.unbiased_from[name] for name in ("orders", "first_step")},
            "prior": {
                "alpha": round(prior.alpha, 4),
                "beta": round(prior.beta, 4),
                "prompts": prior.prompts,
                "fitted": prior.fitted,
            },
            "shrunk_histogram": shrunk,
            "shown": _shown(prior, self.counts),
            "interval": LEVEL,
        }

    def _mean(self, name: str) -> float | None:
        return _share(self.rate_sums[name], self.having_rates[name])

    def _cost(self) -> dict[str, float]:
        prompt, completion = (self.tokens[name] * price / 1e6 for name, price in zip(_KINDS, self.prices, strict=True))
        total = prompt + completion
        costs = {"prompt": prompt, "completion": completion, "total": total, "to_go_about": self._to_go(total)}
        return {name: round(value, 6) for name, value in costs.items()}

    def _to_go(self, spent: float) -> float:
        """What the unfinished prompts may come to, if they are like the finished ones."""
        unfinished = self.end_reasons["unfinished"]
        finished = self.groups["total"] - unfinished
        return round(spent / finished * unfinished, 6) if finished else 0


def _shown(prior: Prior, counts: Counter[tuple[int, int]]) -> list[dict[str, Any]]:
    """Some prompts at equal distances in the order of their estimates, to be drawn with their intervals."""
    known = sorted((prior.estimate(*key), key, count) for key, count in counts.items() if key[1])
    total, seen = sum(count for _, _, count in known), 0
    shown: list[dict[str, Any]] = []
    number = min(total, _SHOWN)
    for estimate, (passed, drawn), count in known:
        seen += count
        while len(shown) < number and seen * number > total * len(shown):
            shown.append({"passed": passed, "drawn": drawn} | {k: round(v, 4) for k, v in estimate._asdict().items()})
    return shown


def _bin(rate: float) -> int:
    return min(int(rate * _RATE_BINS), _RATE_BINS - 1)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None
