"""`ensemble`: several verifiers together, their scores combined and each kept."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from rsr_cli.plugins.composite import Ask, Composite, Member, ask_all, recorded
from rsr_cli.types import Prompt, Status, Verdict

Scores = Mapping[int, float]
"""One member's known scores by attempt; an attempt that it could not score is not there: the member abstains."""


class Voter(Member):
    """A member and its part in the ensemble."""

    weight: float = Field(1.0, ge=0)
    pass_threshold: float = 1.0


class Ensemble(Composite):
    """Asks every member, and combines their verdicts on an attempt into one."""

    members: Sequence[Voter] = Field(min_length=1)
    combine: Literal["weighted", "mean", "min", "all_pass", "majority_vote"] = "weighted"
    """`weighted`: the weighted mean of the scores. `mean`: of scores stretched to 0..1 within the group. `min`: the
    lowest. `all_pass`: 1.0 where every member's score reaches its pass_threshold. `majority_vote`: see below."""
    seed: int = 0
    """Decides votes in which no two members agree."""

    @property
    def score_range(self) -> tuple[float, float] | None:
        """None where it is that of the members."""
        return None if self.combine in ("weighted", "min") else (0.0, 1.0)

    @property
    def compares(self) -> bool:
        """A verdict depends on the other rollouts of its group."""
        return self.combine in ("mean", "majority_vote")

    async def verdicts(self, prompt: Prompt, numbers: Sequence[int], ask: Ask) -> dict[int, Verdict]:
        names = [name for name, _ in self.named()]
        return self.combined(prompt.id, await ask_all(names, numbers, ask))

    def combined(self, prompt_id: str, by_member: Mapping[str, Mapping[int, Verdict]]) -> dict[int, Verdict]:
        """Return one verdict per attempt. It is unknown where every member abstains."""
        attempts = sorted({number for verdicts in by_member.values() for number in verdicts})
        known = [
            {number: verdict.score for number, verdict in verdicts.items() if verdict.score is not None}
            for verdicts in by_member.values()
        ]
        scores = self._combined(prompt_id, known, attempts)
        return {number: _verdict(scores.get(number), number, by_member) for number in attempts}

    def _combined(self, prompt_id: str, known: Sequence[Scores], attempts: Sequence[int]) -> dict[int, float]:
        if self.combine == "majority_vote":
            return self._majority(prompt_id, known, attempts)
        if self.combine == "mean":
            known = [_stretched(scores) for scores in known]
        weights = [member.weight for member in self.members]
        thresholds = [member.pass_threshold for member in self.members]
        result: dict[int, float] = {}
        for number in attempts:
            present = [index for index, scores in enumerate(known) if number in scores]
            if not present:
                continue
            if self.combine == "min":
                result[number] = min(known[index][number] for index in present)
            elif self.combine == "all_pass":
                result[number] = float(all(known[index][number] >= thresholds[index] for index in present))
            elif self.combine == "mean":
                result[number] = sum(known[index][number] for index in present) / len(present)
            elif total := sum(weights[index] for index in present):
                result[number] = sum(weights[index] * known[index][number] for index in present) / total
        return result

    def _majority(self, prompt_id: str, known: Sequence[Scores], attempts: Sequence[int]) -> dict[int, float]:
        """The completion that most members hold for the best gets 1.0, the one most hold for the worst 0.0, others 0.5.

        A tie goes to the first listed of the members in it; where no two agree, the seed decides. A member that scores
        all alike has no vote.
        """
        voters = [scores for scores in known if len(set(scores.values())) > 1]
        if not any(known):
            return {}
        result = {number: 0.5 for number in attempts if any(number in scores for scores in known)}
        if not voters:
            return result
        chance = random.Random(f"{self.seed}\0{prompt_id}")
        best = _elected([max(sorted(scores), key=lambda n: scores[n]) for scores in voters], chance)
        votes = [min((n for n in sorted(scores) if n != best), key=lambda n: scores[n]) for scores in voters]
        result[_elected(votes, chance)] = 0.0
        result[best] = 1.0
        return result


def _elected(votes: Sequence[int], chance: random.Random) -> int:
    counts = Counter(votes)
    most = max(counts.values())
    if most == 1 and len(votes) > 1:
        return chance.choice(votes)
    return next(vote for vote in votes if counts[vote] == most)


def _stretched(scores: Scores) -> dict[int, float]:
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    return {number: (score - low) / (high - low) if high > low else 0.5 for number, score in scores.items()}


def _verdict(score: float | None, number: int, by_member: Mapping[str, Mapping[int, Verdict]]) -> Verdict:
    """The combined score, with each member's verdict in the details and the first extracted answer."""
    parts = {name: verdicts[number] for name, verdicts in by_member.items() if number in verdicts}
    details = {name: recorded(part) for name, part in parts.items()}
    extracted = next((part.extracted_answer for part in parts.values() if part.extracted_answer is not None), None)
    statuses = {part.status for part in parts.values()}
    if score is None:
        status: Literal["timeout", "error"] = "timeout" if statuses == {"timeout"} else "error"
        return Verdict(None, status, extracted, "no member could score it", json.dumps(details, ensure_ascii=False))
    kept: Status = "no_answer" if statuses == {"no_answer"} and score == 0.0 else "scored"
    return Verdict(score, kept, extracted, None, json.dumps(details, ensure_ascii=False))
