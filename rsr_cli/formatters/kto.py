"""`kto`: single responses of each prompt, with a label: true for a pass, false for a fail."""

from __future__ import annotations

from typing import Any

from rsr_cli.formatters.base import ScoredFormatter, origin
from rsr_cli.formatters.choosing import Candidate
from rsr_cli.formatters.layouts import Job
from rsr_cli.types import Group


class Kto(ScoredFormatter):
    """`per_prompt` is for each of the two labels."""

    @property
    def job(self) -> Job:
        return "kto"

    def has_enough(self, group: Group) -> bool:
        return min(map(len, self._sides(group))) >= self.per_prompt

    def rows(self, group: Group) -> list[dict[str, Any]]:
        passed, failed = self._sides(group)
        labelled = [(item, True) for item in passed[: self.per_prompt]]
        labelled += [(item, False) for item in failed[: self.per_prompt]]
        return [self._row(group, item, label) for item, label in labelled]

    def _sides(self, group: Group) -> tuple[list[Candidate], list[Candidate]]:
        """Passes and fails. What is written like a pass is no fail: a text has one label."""
        passed, failed = self.passed(group), self.failed(group)
        texts = {self._written(rollout) for rollout, _ in passed}
        return passed, [item for item in failed if self._written(item[0]) not in texts]

    def _row(self, group: Group, candidate: Candidate, label: bool) -> dict[str, Any]:
        laid_out = self.laid_out(prompt=self.chat(group), reply=self.assistant(candidate[0]), label=label)
        return laid_out | origin(group, candidate) | self.beside(group)
