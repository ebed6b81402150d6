"""`rollouts`: every prompt with all its rollouts nested in it, scored or not."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from rsr_cli.formatters.base import MESSAGES, chat
from rsr_cli.plugins.contracts import Formatter
from rsr_cli.types import Group


class Rollouts(BaseModel, Formatter):
    """`metadata` is JSON text in Parquet, since its keys differ from prompt to prompt, and an object in the JSONL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    has_target: ClassVar[bool] = False

    @property
    def schema(self) -> pa.Schema:
        rollout = pa.struct(
            [("response", pa.string()), ("reasoning", pa.string()), ("score", pa.float64()), ("status", pa.string())]
        )
        return pa.schema(
            [
                ("id", pa.string()),
                ("messages", MESSAGES),
                pa.field("metadata", pa.string(), metadata={"rsr": "json"}),
                ("rollouts", pa.list_(rollout)),
            ]
        )

    def is_satisfied(self, group: Group) -> bool:
        return True

    def format(self, group: Group) -> list[dict[str, Any]]:
        return [
            {
                "id": group.prompt.id,
                "messages": chat(group),
                "metadata": json.dumps(group.prompt.metadata, ensure_ascii=False),
                "rollouts": [
                    {
                        "response": rollout.response,
                        "reasoning": rollout.attempt.reasoning,
                        "score": rollout.score,
                        "status": rollout.verdict.status if rollout.verdict else None,
                    }
                    for rollout in group.rollouts()
                ],
            }
        ]
