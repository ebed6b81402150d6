"""`top_k`: the best k passing responses of each prompt, no text twice."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from rsr_cli.formatters.sft import Sft


class TopK(Sft):
    k: int = Field(4, ge=1)
    """The most responses of a prompt, and how many passes early stop waits for."""

    @model_validator(mode="before")
    @classmethod
    def _k_is_per_prompt(cls, options: Any) -> Any:
        if "per_prompt" in options:
            raise ValueError("top_k has k for it: the most responses of a prompt")
        return options | {"per_prompt": options.get("k", cls.model_fields["k"].default)}
