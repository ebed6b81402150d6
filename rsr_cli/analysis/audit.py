"""What an audit looks for: golds that refuse themselves, verifiers that disagree, rollouts that contradict the gold."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import orjson

from rsr_cli.messages import text_of
from rsr_cli.plugins.composite import tokens_spent
from rsr_cli.types import Group, Rollout, Verdict

Outcome = Literal["pass", "fail", "neither", "unknown"]
Case = dict[str, Any]

_LEAST_ROLLOUTS = 4
_CONSENSUS = 0.75


@dataclass
class Disagreements:
    """Rollouts that two verifiers judge differently: all are counted, a few of each kind are kept.

    The kept ones are a uniform sample of their kind (reservoir sampling), the same for the same input.
    """

    per_kind: int
    kind: str = "disagreement"
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what the first and what the second says; agreements too."""
    kept: dict[tuple[str, str], list[Case]] = field(default_factory=lambda: defaultdict(list))
    _chance: random.Random = field(default_factory=lambda: random.Random(0))

    def add(
        self, group: Group, rollout: Rollout, verdicts: Mapping[str, Verdict], outcomes: tuple[Outcome, Outcome]
    ) -> None:
        self.counts[outcomes] += 1
        if outcomes[0] == outcomes[1]:
            return
        kept = self.kept[outcomes]
        place = len(kept) if len(kept) < self.per_kind else self._chance.randrange(self.counts[outcomes])
        if place < self.per_kind:
            kept[place : place + 1] = [case_of(self.kind, group, rollout, verdicts)]

    def cases(self) -> list[Case]:
        return [case for kind in sorted(self.kept) for case in self.kept[kind]]


@dataclass
class Flips:
    """Where a member of a cascade overrules the one before it, and what asking that member has cost, by both names."""

    per_kind: int
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    cost: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    overruled: dict[tuple[str, str], Disagreements] = field(default_factory=dict)

    def add(
        self, group: Group, rollout: Rollout, passes: Callable[[float], bool], fails: Callable[[float], bool]
    ) -> None:
        assert rollout.verdict is not None
        if '"flips"' not in (rollout.verdict.details or ""):
            return
        for members in _cascades(orjson.loads(rollout.verdict.details or "")):
            for (before, first), (after, second) in pairwise(members.items()):
                names = before, after
                self.asked[names] += 1
                self.cost[names].update(tokens_spent(second))
                verdicts = {
                    name: Verdict(item["score"], item["status"], item["extracted_answer"])
                    for name, item in ((before, first), (after, second))
                }
                if first["score"] is not None and second["score"] is not None and first["score"] != second["score"]:
                    kept = self.overruled.setdefault(names, Disagreements(self.per_kind, "flip"))
                    ways = outcome(verdicts[before], passes, fails), outcome(verdicts[after], passes, fails)
                    kept.add(group, rollout, verdicts, ways)

    def summary(self) -> list[dict[str, Any]]:
        return [
            {
                "before": names[0],
                "after": names[1],
                "asked": asked,
                "flips": _ways(self.overruled[names].counts) if names in self.overruled else {},
                "cost": dict(self.cost[names]),
            }
            for names, asked in self.asked.most_common()
        ]

    def cases(self) -> list[Case]:
        return [case for names in sorted(self.overruled) for case in self.overruled[names].cases()]


def _ways(counts: Counter[tuple[str, str]]) -> dict[str, int]:
    return {f"{first} / {second}": count for (first, second), count in counts.most_common()}


def _cascades(details: Any) -> Iterator[dict[str, Any]]:
    """The members' verdicts of each cascade in the details of a verdict, in the order in which they were asked."""
    if not isinstance(details, dict):
        return
    members = details.get("members", details)
    if "flips" in details:
        yield members
    for record in members.values():
        if isinstance(record, dict):
            yield from _cascades(record.get("details"))


def consensus_against_gold(group: Group, fails: Callable[[float], bool]) -> Case | None:
    """A group most of whose rollouts give one answer that the gold refuses; None where it is not so.

    The gold may be wrong there, or the extraction.
    """
    found = [
        (rollout, rollout.verdict.extracted_answer.strip())
        for rollout in group.rollouts()
        if rollout.verdict is not None and rollout.verdict.extracted_answer is not None
    ]
    if len(found) < _LEAST_ROLLOUTS:
        return None
    [(answer, count)] = Counter(answer for _, answer in found).most_common(1)
    rollout = next(rollout for rollout, own in found if own == answer)
    if count < _CONSENSUS * len(found) or rollout.score is None or not fails(rollout.score):
        return None
    assert rollout.verdict is not None
    share = {"consensus": answer, "rollouts": len(found), "agreeing": count}
    return case_of("consensus_against_gold", group, rollout, {"verifier": rollout.verdict}) | share


def case_of(kind: str, group: Group, rollout: Rollout, verdicts: Mapping[str, Verdict]) -> Case:
    """A row that a test of a verifier can read: the prompt, its gold, the response, and what was said of it."""
    return {
        "kind": kind,
        "id": group.prompt.id,
        "attempt": rollout.attempt.attempt,
        "question": _question(group),
        "metadata": group.prompt.metadata,
        "response": rollout.response,
        "verdicts": {
            name: {"score": item.score, "status": item.status, "extracted_answer": item.extracted_answer}
            for name, item in verdicts.items()
        },
    }


def gold_texts(metadata: Mapping[str, Any]) -> list[str]:
    """The golds of a prompt as text, one or several."""
    gold = metadata.get("answer")
    golds: Iterable[Any] = gold if isinstance(gold, list) else [gold]
    return [str(item) for item in golds if item is not None]


def outcome(verdict: Verdict, passes: Callable[[float], bool], fails: Callable[[float], bool]) -> Outcome:
    if verdict.score is None:
        return "unknown"
    return "pass" if passes(verdict.score) else "fail" if fails(verdict.score) else "neither"


def _question(group: Group) -> str:
    return "\n\n".join(text_of(message) for message in group.prompt.messages if message["role"] == "user")
