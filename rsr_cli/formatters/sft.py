"""`sft`: the best passing response of each prompt."""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa

from rsr_cli.formatters.base import ORIGIN, Candidate, ScoredFormatter, origin
from rsr_cli.types import Group


class Sft(ScoredFormatter):
    layout: Literal["messages", "prompt_completion"] = "messages"
    """`messages` is trained on whole, `prompt` + `completion` on the completion only (TRL)."""

    @property
    def schema(self) -> pa.Schema:
        kind = self.message_type
        columns = [("messages", kind)] if self.layout == "messages" else [("prompt", kind), ("completion", kind)]
        return pa.schema([*columns, *ORIGIN, *self.tools_column])

    def is_satisfied(self, group: Group) -> bool:
        return bool(self.passed(group))

    def format(self, group: Group) -> list[dict[str, Any]]:
        return [self.row(group, candidate) for candidate in self.passed(group)[:1]]

    def row(self, group: Group, candidate: Candidate) -> dict[str, Any]:
        prompt, completion = self.chat(group), [self.assistant(candidate[0])]
        text = (
            {"messages": prompt + completion}
            if self.layout == "messages"
            else {"prompt": prompt, "completion": completion}
        )
        return text | origin(group, candidate) | self.tools(group)
