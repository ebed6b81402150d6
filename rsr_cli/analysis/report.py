"""`report.html`: the figures and a few examples as one page that loads nothing from anywhere.

Model output is hostile: every value goes through autoescaping, and the page's policy forbids scripts and requests.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rsr_cli.analysis.charts import bar, columns, intervals, line, short
from rsr_cli.messages import text_of
from rsr_cli.types import Group

_SHOWN_CHARACTERS = 4000


@dataclass(frozen=True)
class Example:
    """A prompt to look at, and why it was chosen."""

    kind: str
    group: Group

    def messages(self) -> list[tuple[str, str]]:
        return [(message["role"], _cut(text_of(message))) for message in self.group.prompt.messages]

    def answer(self) -> str:
        return _cut(self.group.prompt.metadata.get("answer"))

    def rollouts(self, scores: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "attempt": rollout.attempt.attempt,
                "score": rollout.score,
                "outcome": _outcome(rollout.score, scores),
                "status": rollout.verdict.status if rollout.verdict else "not scored",
                "extracted": rollout.verdict.extracted_answer if rollout.verdict else None,
                "explanation": _cut(rollout.verdict.explanation) if rollout.verdict else None,
                "response": _cut(rollout.response),
                "reasoning": _cut(rollout.attempt.reasoning),
            }
            for rollout in self.group.rollouts()
        ]


def render_report(summary: dict[str, Any], examples: list[Example]) -> str:
    """The page for a summary as `stats.json` holds it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda value: "–" if value is None else f"{100 * value:.1f}\u00a0%"
    environment.filters["grouped"] = lambda value: "–" if value is None else f"{value:,}"
    environment.filters["money"] = lambda value: f"{value:,.2f}" if value >= 1 else f"{value:.4f}"
    environment.filters["short_value"] = lambda value: _cut(value, 120)
    style = _file("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    order = {"sometimes passes": 0, "never passes": 1, "always passes": 2}
    return environment.from_string(_file("report.html.j2")).render(
        summary=summary,
        examples=sorted(examples, key=lambda example: order[example.kind]),
        charts=charts_of(summary),
        steps=_steps(summary["funnel"]),
        bar=bar,
        style=Markup(style),
        style_hash=f"sha256-{digest}",
    )


def charts_of(summary: dict[str, Any]) -> dict[str, Any]:
    """The charts by name, None for one that has nothing to show."""
    rate, difficulty = summary["pass_rate"], summary["difficulty"]
    tenths = [f"{10 * place} to {10 * place + 10} %" for place in range(10)]
    percents = [(share / 10, f"{10 * share} %") for share in range(0, 11, 2)]
    charts: dict[str, Any] = {
        name: columns({"bar": difficulty[f"{name}_histogram"]}, tenths, percents, f"prompts by pass rate, {name}")
        for name in ("unbiased", "shrunk")
    }
    shown, total = difficulty["shown"], difficulty["prior"]["prompts"]
    estimates = [
        (item["mean"], item["low"], item["high"], f"{item['passed']} of {item['drawn']}: {item['mean']:.1%}")
        for item in shown
    ]
    charts["intervals"] = intervals(estimates, "pass rates with intervals") if shown else None
    charts["sampled"] = total // len(shown) if shown and total >= 2 * len(shown) else None
    at_k = [(f"k = {k}", item["value"]) for k, item in rate["pass_at_k"].items()]
    charts["pass_at_k"] = line(at_k, 0.0, 1.0, "pass at k", "{:.1%}") if len(at_k) > 1 else None
    lengths, grades = summary["lengths"], summary["grades"]
    charts["lengths"] = _lengths(lengths) if lengths else None
    charts["grades"] = charts["best_of_k"] = None
    if grades:
        low, high, bins = grades["lowest"], grades["highest"], len(grades["histogram"])
        edges = [low + (high - low) * place / bins for place in range(bins + 1)]
        titles = [f"{edges[place]:.3g} to {edges[place + 1]:.3g}" for place in range(bins)]
        ticks = [(share / 4, f"{low + (high - low) * share / 4:.3g}") for share in range(5)]
        charts["grades"] = columns({"bar": grades["histogram"]}, titles, ticks, "rollouts by score")
        best = [(f"k = {k}", item["value"]) for k, item in grades["best_of_k"].items()]
        charts["best_of_k"] = line(best, low, high, "best of k", "{:.3g}") if len(best) > 1 else None
    return charts


def _lengths(lengths: dict[str, Any]) -> Markup:
    limit, bins = lengths["limit"], lengths["bins"]
    titles = [f"{limit * place // bins:,} to {limit * (place + 1) // bins:,} tokens" for place in range(bins)]
    ticks = [(share / 4 * bins / (bins + 1), short(limit * share // 4)) for share in range(5)]
    return columns(lengths["histogram"], [*titles, f"{limit:,} tokens or more"], ticks, "attempts by length")


def _steps(funnel: dict[str, Any]) -> list[dict[str, Any]]:
    """The prompts that are left after each step, and how many it takes."""
    left = funnel["prompts"]
    steps = [{"name": "in the data", "left": left, "lost": 0}]
    for why, lost in funnel["lost"].items():
        left -= lost
        steps.append({"name": f"without: {why}", "left": left, "lost": lost})
    return [*steps, {"name": "with a pass to learn from", "left": left, "lost": 0}]


def _file(name: str) -> str:
    return files("rsr_cli.analysis").joinpath(name).read_text(encoding="utf-8")


def _outcome(score: float | None, scores: dict[str, Any]) -> str:
    """pass, fail, or neither where it is between the thresholds or not known."""
    if score is None:
        return "neither"
    return "pass" if score >= scores["pass_threshold"] else "fail" if score <= scores["fail_threshold"] else "neither"


def _cut(value: Any, characters: int = _SHOWN_CHARACTERS) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= characters else f"{text[:characters]} … ({len(text):,} characters)"
