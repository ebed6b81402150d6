"""`top_k`: the best k passing responses of each prompt, no text twice."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from rsr_cli.formatters.sft import Sft
from rsr_cli.types import Group


class TopK(Sft):
    k: int = Field(4, ge=1)
    """The most responses of a prompt, and how many passes early stop waits for."""

    def is_satisfied(self, group: Group) -> bool:
        return len(self.passed(group)) >= self.k

    def format(self, group: Group) -> list[dict[str, Any]]:
        return [self.row(group, candidate) for candidate in self.passed(group)[: self.k]]
