"""`length`: leaves out replies that are too short or too long."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rsr_cli.plugins.contracts import Filter
from rsr_cli.reply import final_reply
from rsr_cli.types import Group, Rollout


class Length(BaseModel, Filter):
    """Characters are those of the reply, its thinking left out; tokens are those of the whole completion.

    A completion whose tokens were not counted is kept by the limits on tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min_chars: int | None = Field(None, ge=0)
    max_chars: int | None = Field(None, ge=0)
    min_tokens: int | None = Field(None, ge=0)
    max_tokens: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Length:
        if not self.model_fields_set:
            raise ValueError("give at least one of min_chars, max_chars, min_tokens, max_tokens")
        return self

    def keep(self, rollout: Rollout, group: Group) -> Literal[True] | str:
        chars = len(final_reply(rollout.response) or "")
        tokens = rollout.attempt.completion_tokens
        if self.min_chars is not None and chars < self.min_chars:
            return f"{chars} characters, fewer than {self.min_chars}"
        if self.max_chars is not None and chars > self.max_chars:
            return f"{chars} characters, more than {self.max_chars}"
        if self.min_tokens is not None and tokens is not None and tokens < self.min_tokens:
            return f"{tokens} tokens, fewer than {self.min_tokens}"
        if self.max_tokens is not None and tokens is not None and tokens > self.max_tokens:
            return f"{tokens} tokens, more than {self.max_tokens}"
        return True
