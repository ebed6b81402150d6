"""`regex`: the reply must match a pattern."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from rsr_cli.plugins.contracts import Verifier
from rsr_cli.types import Prompt, Reply, Verdict
from rsr_cli.verifiers.texts.golds import MOST_SHOWN


class Regex(BaseModel, Verifier):
    """Looks for `metadata.pattern`, or for the option `pattern`, in the reply. It is a regular expression of Python.

    A pattern that takes too long is cut off by `verifier.time_limit`; the score is unknown then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    pattern: str | None = None
    """For the prompts that have no `metadata.pattern`."""
    match: Literal["search", "full"] = "search"
    """search: somewhere in the reply. full: the whole reply."""
    ignore_case: bool = False

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            _compiled(pattern, 0)
        return pattern

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored."""
        try:
            self._pattern(prompt)
        except ValueError as error:
            return str(error)
        return None

    def stating(self, gold: str) -> None:
        """Verdicts do not depend on golds."""

    def verify(self, reply: Reply, prompt: Prompt) -> Verdict:
        """Return 1.0 with what matched (the first group, where there is one) or 0.0; `error` where there is no
        pattern."""
        try:
            pattern = self._pattern(prompt)
        except ValueError as error:
            return Verdict.unknown("error", str(error))
        if not reply.strip():
            return Verdict.no_answer("the reply is empty")
        found = pattern.fullmatch(reply.text) if self.match == "full" else pattern.search(reply.text)
        if found is None:
            return Verdict(0.0)
        shown = found[1] if pattern.groups and found[1] is not None else found[0]
        return Verdict(1.0, "scored", shown[:MOST_SHOWN])

    def _pattern(self, prompt: Prompt) -> re.Pattern[str]:
        """Raises ValueError."""
        given = prompt.metadata.get("pattern")
        if given in (None, ""):
            given = self.pattern
        if given in (None, ""):
            raise ValueError("no pattern in metadata.pattern, and verifier.pattern is not set")
        if not isinstance(given, str):
            raise ValueError(f"metadata.pattern is a {type(given).__name__}, not a text")
        return _compiled(given, re.IGNORECASE if self.ignore_case else 0)


def _compiled(pattern: str, flags: int) -> re.Pattern[Any]:
    try:
        return re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"the pattern {pattern[:80]!r} is no regular expression: {error}") from None
