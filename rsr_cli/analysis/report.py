"""`report.html`: the figures and a few examples as one page that loads nothing from anywhere.

Model output is hostile: every value goes through autoescaping, and the page's policy forbids scripts and requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from rsr_cli.types import Group

_SHOWN_CHARACTERS = 4000


@dataclass(frozen=True)
class Example:
    """A prompt to look at, and why it was chosen."""

    kind: str
    group: Group

    def messages(self) -> list[tuple[str, str]]:
        return [(message["role"], _cut(message.get("content"))) for message in self.group.prompt.messages]

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
                "response": _cut(rollout.response),
                "reasoning": _cut(rollout.attempt.reasoning),
            }
            for rollout in self.group.rollouts()
        ]


def render_report(summary: dict[str, Any], examples: list[Example]) -> str:
    """The page for a summary as `stats.json` holds it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda value: "–" if value is None else f"{100 * value:.1f} %"
    environment.filters["grouped"] = lambda value: "–" if value is None else f"{value:,}"
    template = environment.from_string(files("rsr_cli.analysis").joinpath("report.html.j2").read_text(encoding="utf-8"))
    order = {"sometimes passes": 0, "never passes": 1, "always passes": 2}
    return template.render(summary=summary, examples=sorted(examples, key=lambda example: order[example.kind]))


def _outcome(score: float | None, scores: dict[str, Any]) -> str:
    """pass, fail, or neither where it is between the thresholds or not known."""
    if score is None:
        return "neither"
    return "pass" if score >= scores["pass_threshold"] else "fail" if score <= scores["fail_threshold"] else "neither"


def _cut(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} … ({len(text):,} characters)"
