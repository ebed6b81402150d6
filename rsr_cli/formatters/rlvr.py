"""`rlvr`: the prompts themselves, with their golds and how hard they are, for RL with verifiable rewards."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pyarrow as pa

from rsr_cli.formatters.base import ScoredFormatter
from rsr_cli.formatters.layouts import Job, as_text, no_place
from rsr_cli.formatters.messages import Seen
from rsr_cli.types import Group


class Rlvr(ScoredFormatter):
    """One row per prompt whose pass rate is known. No prompt stops early for it: the rate is what it is for."""

    origin: ClassVar[list[tuple[str, pa.DataType]]] = [
        ("id", pa.string()),
        ("pass_rate", pa.float64()),
        ("prompt_tokens", pa.int32()),
    ]

    source: str = "rsr"
    """The name by which a trainer finds the reward function: verl's `data_source`, open-instruct's `dataset`. A field
    of the metadata where it is written as `metadata.NAME`."""

    @property
    def job(self) -> Job:
        return "rlvr"

    @property
    def takes_all(self) -> bool:
        return True

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        return None  # it takes prompts, whatever their scores

    def _no_place(self, seen: Seen) -> str | None:
        if why := seen.odd.get("gold"):
            return f"{why}, which rlvr writes as the gold"
        # That an answer is a call does not matter: answers are not written.
        names = ("parts", "prefill", *no_place(self.job, self.layout))
        return next((why for name in names if (why := seen.odd.get(name))), None)

    def rows(self, group: Group) -> list[dict[str, Any]]:
        rate = self.rate(group)
        if rate is None:
            return []
        metadata = group.prompt.metadata
        path, _, name = self.source.partition("metadata.")
        laid_out = self.laid_out(
            prompt=self.chat(group),
            id=group.prompt.id,
            gold=as_text(metadata.get("answer")),
            source=self.source if path or not name else as_text(metadata.get(name)),
            metadata=json.dumps(metadata, ensure_ascii=False),
        )
        tokens = [item.attempt.prompt_tokens for item in group.rollouts()]
        longest = max((count for count in tokens if count is not None), default=None)
        return [laid_out | {"id": group.prompt.id, "pass_rate": rate, "prompt_tokens": longest} | self.beside(group)]
