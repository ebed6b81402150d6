"""`sft`: the best passing response of each prompt."""

from __future__ import annotations

from typing import Any

from rsr_cli.formatters.base import ScoredFormatter, origin
from rsr_cli.formatters.choosing import Candidate
from rsr_cli.types import Group


class Sft(ScoredFormatter):
    """With `layout: messages`, which is TRL's too, rows are one conversation; with `prompt_completion` they are in two
    parts, of which TRL trains the second only."""

    def has_enough(self, group: Group) -> bool:
        return len(self.passed(group)) >= self.per_prompt

    def rows(self, group: Group) -> list[dict[str, Any]]:
        return [self.row(group, candidate) for candidate in self.passed(group)[: self.per_prompt]]

    def row(self, group: Group, candidate: Candidate) -> dict[str, Any]:
        laid_out = self.laid_out(prompt=self.chat(group), reply=self.assistant(candidate[0]))
        return laid_out | origin(group, candidate) | self.beside(group)
