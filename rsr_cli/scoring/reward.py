"""A verifier as the reward function of an RL trainer: the score in training is the score in sampling."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rsr_cli.plugins import registry
from rsr_cli.plugins.verdicts import as_verdict
from rsr_cli.reply import split_thinking
from rsr_cli.types import Prompt, Reply


class Reward:
    """The reward functions of one verifier that scores by rules. `compute_score` is what verl calls, `reward` what TRL
    calls."""

    def __init__(self, verifier: str, options: Mapping[str, Any]) -> None:
        self._verifier = registry.build("verifier", verifier, options)
        self._takes_metadata = registry.takes_metadata(self._verifier.verify)

    def score(self, response: str, metadata: Mapping[str, Any]) -> float | None:
        """Return the score of a response: 0 where its thinking never ends, None where the verifier itself failed."""
        thinking, text = split_thinking(response)
        if text is None:
            return 0.0
        asked: Any = dict(metadata) if self._takes_metadata else Prompt("", [], dict(metadata))
        try:
            return as_verdict(self._verifier.verify(Reply(text, thinking or None), asked)).score
        except Exception:
            return None

    def compute_score(
        self, data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None
    ) -> float:
        """As verl calls it for each response. It has no way to leave one out, so a failure of the verifier is 0."""
        metadata = (extra_info or {}).get("metadata")
        return self.score(solution_str, json.loads(metadata) if metadata else {"answer": ground_truth}) or 0.0

    def reward(self, completions: list[Any], **columns: Any) -> list[float | None]:
        """As TRL calls it for a batch. A null reward leaves a response out."""
        texts = [text if isinstance(text, str) else str(text[-1]["content"] or "") for text in completions]
        golds = columns.get("solution") or [None] * len(texts)
        written = columns.get("metadata") or [json.dumps({"answer": gold}) for gold in golds]
        return [self.score(text, json.loads(metadata)) for text, metadata in zip(texts, written, strict=True)]
