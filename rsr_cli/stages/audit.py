"""audit: can the golds and the verifier be trusted? Looks at what verify has scored, and changes nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import orjson

from rsr_cli.analysis.audit import Case, Disagreements, Flips, case_of, consensus_against_gold, gold_texts, outcome
from rsr_cli.config.references import expand
from rsr_cli.config.scalars import load_yaml
from rsr_cli.config.settings import VerifierSettings
from rsr_cli.errors import ConfigError
from rsr_cli.plugins.contracts import Verifier
from rsr_cli.scoring.scorer import ConfiguredScorer
from rsr_cli.secrecy import redact
from rsr_cli.stages.interrupts import run_interruptible
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.store.groups import read_groups
from rsr_cli.types import Attempt, Group, Rollout, Verdict

_PER_KIND = 10
_AT_ONCE = 256


def audit(session: Session, *, against: str | None = None) -> StageResult:
    """Write summary/audit.json and summary/audit_cases.jsonl.

    `against` is a second verifier to compare with on the same rollouts, a type or a mapping in YAML as in the config;
    an ensemble's members are compared as they stand.
    """
    session.require_rollouts(scored=True)
    work_dir = session.work_dir
    work = _Audit(session, against)
    with session.progress.task("audit") as task:
        run_interruptible(work.look(task.advance), lambda: session.progress.say("stopping the audit"))
    result = StageResult("audit", counts=work.summary(), notes=work.notes())
    session.write(work_dir.summary / "audit.json", json.dumps(result.counts, indent=2, ensure_ascii=False) + "\n")
    lines = b"".join(orjson.dumps(case) + b"\n" for case in work.cases())
    session.write(work_dir.summary / "audit_cases.jsonl", lines.decode())
    return result


class _Audit:
    def __init__(self, session: Session, against: str | None) -> None:
        self._session = session
        plan = session.plan
        self._passes, self._fails = plan.passes, plan.fails
        self._rules = {
            id(node): plan.scorer(verifier=node) for node in plan.verifier.leaves() if node.runs_in_processes
        }
        self._second = self._second_scorer(against) if against else None
        self._names = (
            (plan.config.verifier.type, f"against {redact(against)}") if against else tuple(plan.verifier.members)[:2]
        )
        self._bad_golds: list[Case] = []
        self._consensus: list[Case] = []
        self._disagreements = Disagreements(_PER_KIND)
        self._flips = Flips(_PER_KIND)
        self._golds = 0

    def _second_scorer(self, against: str) -> ConfiguredScorer:
        given = load_yaml(against)
        tree = {"verifier": given if isinstance(given, dict) else {"type": against}}
        expanded = expand(tree, lambda key: f"--against: {'.'.join(map(str, key[1:]))}")
        if expanded.problems:
            raise ConfigError("\n".join(expanded.problems.values()))
        self._session.require_trusted(expanded.tree)
        settings = VerifierSettings.model_validate(expanded.tree["verifier"])
        return self._session.plan.with_verifier(settings).scorer(self._session.work_dir.cache())

    async def look(self, advance: Callable[[], None]) -> None:
        work_dir = self._session.work_dir
        async with AsyncExitStack() as stack:
            for scorer in self._rules.values():
                await stack.enter_async_context(scorer)
            if self._second is not None:
                await stack.enter_async_context(self._second)
            for shard in work_dir.shards():
                for group in read_groups(work_dir, shard):
                    await self._check_gold(group)
                    if case := consensus_against_gold(group, self._fails):
                        self._consensus.append(case)
                    await self._compare(group)
                    advance()

    async def _check_gold(self, group: Group) -> None:
        """Does the gold, given as the answer, pass?"""
        golds = gold_texts(group.prompt.metadata)
        self._golds += bool(golds)
        rule = self._session.plan.verifier.first_rule(group.prompt)
        if rule is None or not isinstance(rule.made, Verifier):
            return
        stated = {number: rule.made.stating(gold) for number, gold in enumerate(golds)}
        given = Group(
            group.prompt, {number: _said(group, number, text) for number, text in stated.items() if text is not None}
        )
        for number, verdict in (await self._rules[id(rule)].score(given, given.attempts)).items():
            if verdict.score is None or not self._passes(verdict.score):
                self._bad_golds.append(
                    case_of("bad_gold", group, Rollout(given.attempts[number], verdict), {"verifier": verdict})
                )

    async def _compare(self, group: Group) -> None:
        rollouts = [rollout for rollout in group.rollouts() if rollout.verdict is not None]
        if self._second is not None and rollouts:
            others = await self._second.score(group, [rollout.attempt.attempt for rollout in rollouts])
        for rollout in rollouts:
            self._flips.add(group, rollout, self._passes, self._fails)
            first: Verdict | None = rollout.verdict
            assert first is not None
            if self._second is not None:
                second: Verdict | None = others[rollout.attempt.attempt]
            else:
                first, second = _parts(first, self._names)
            if first is not None and second is not None:
                outcomes = (outcome(first, self._passes, self._fails), outcome(second, self._passes, self._fails))
                named = {str(self._names[0]): first, str(self._names[1]): second}
                self._disagreements.add(group, rollout, named, outcomes)

    def summary(self) -> dict[str, Any]:
        counts = self._disagreements.counts
        return {
            "golds": self._golds,
            "bad_golds": len(self._bad_golds),
            "consensus_against_gold": len(self._consensus),
            "compared": list(self._names) if counts else [],
            "compared_rollouts": counts.total(),
            "flips": self._flips.summary(),
            "disagreements": {f"{a} / {b}": count for (a, b), count in counts.most_common() if a != b},
        }

    def cases(self) -> list[Case]:
        return [*self._bad_golds, *self._consensus, *self._disagreements.cases(), *self._flips.cases()]

    def notes(self) -> list[str]:
        """The cases as lines for people, a few of each kind."""
        lines = []
        if not self._rules:
            lines.append("golds were not checked: that takes a rule verifier, and there is none here")
        for title, cases in (
            ("golds that do not accept themselves", self._bad_golds),
            ("golds that most rollouts contradict", self._consensus),
            (f"disagreements of {' and '.join(map(str, self._names))}", self._disagreements.cases()),
            ("verdicts that a later member of a cascade has overruled", self._flips.cases()),
        ):
            if cases:
                lines.append(f"{title}: {len(cases)} listed in summary/audit_cases.jsonl")
                lines += [f"  {_line(case)}" for case in cases[:_PER_KIND]]
        lines += [f"the cascade: {_told(item)}" for item in self._flips.summary()]
        return lines or ["nothing suspicious was found"]


def _told(item: dict[str, Any]) -> str:
    """What became of one step of a cascade, as a line for people."""
    cost = item["cost"]
    spent = f", {cost['prompt_tokens']:,} and {cost['completion_tokens']:,} tokens in {cost['asked']:,} requests"
    ways = ", ".join(f"{count} x {way}" for way, count in item["flips"].items()) or "none overruled"
    return f"{item['before']} left {item['asked']:,} to {item['after']} ({ways}{spent if cost else ''})"


def _said(group: Group, number: int, text: str) -> Attempt:
    return Attempt(
        id=group.prompt.id, attempt=number, step=0, step_size=1, response=text, finish_reason="stop", model="gold"
    )


def _parts(verdict: Verdict, names: tuple[str, ...]) -> tuple[Verdict | None, Verdict | None]:
    """The verdicts of an ensemble's first two members, (None, None) where it has no such details."""
    details = json.loads(verdict.details) if verdict.details else {}
    if len(names) < 2 or not all(isinstance(details.get(name), dict) for name in names[:2]):
        return None, None
    parts = [details[name] for name in names[:2]]
    found = [
        replace(verdict, score=p["score"], status=p["status"], extracted_answer=p["extracted_answer"]) for p in parts
    ]
    return found[0], found[1]


def _line(case: Case) -> str:
    said = ", ".join(
        f"{name}: {item['status']} {item['score']} ({item['extracted_answer']!r:.40})"
        for name, item in case["verdicts"].items()
    )
    more = f", {case['agreeing']} of {case['rollouts']} say {case['consensus']!r:.40}" if "consensus" in case else ""
    return f"{case['id']} attempt {case['attempt']}: gold {case['metadata'].get('answer')!r:.40}, {said}{more}"
