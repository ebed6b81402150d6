"""`rollouts`: every prompt with all its rollouts nested in it, scored or not."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, PrivateAttr

from rsr_cli.formatters.messages import Seen, as_written, message_type
from rsr_cli.plugins.contracts import Formatter
from rsr_cli.types import Group


class Rollouts(BaseModel, Formatter):
    """`metadata` is JSON text in Parquet, since its keys differ from prompt to prompt, and an object in the JSONL.
    Messages that hold more than roles and texts are as they were sent, and JSON text in Parquet too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    has_target: ClassVar[bool] = False

    _plain: bool = PrivateAttr(True)
    _answers_call: bool = PrivateAttr(False)

    def fitted(self, seen: Seen, tools: list[Any] | None) -> Self:
        """This formatter with a place for all that the messages of a run hold; tools are part of the metadata."""
        made = self.model_copy()
        made._plain, made._answers_call = seen.plain, seen.answers_call
        return made

    @property
    def schema(self) -> pa.Schema:
        columns = [("response", pa.string()), ("reasoning", pa.string())]
        columns += [("score", pa.float64()), ("status", pa.string())]
        columns += [("tool_calls", pa.string())] if self._answers_call else []
        json_text = {"rsr": "json"}
        prompt = ("prompt", message_type({})) if self._plain else pa.field("prompt", pa.string(), metadata=json_text)
        return pa.schema(
            [
                ("id", pa.string()),
                prompt,
                pa.field("metadata", pa.string(), metadata=json_text),
                ("rollouts", pa.list_(pa.struct(columns))),
            ]
        )

    def is_satisfied(self, group: Group) -> bool:
        return True

    def format(self, group: Group) -> list[dict[str, Any]]:
        return [
            {
                "id": group.prompt.id,
                "prompt": self._messages(group),
                "metadata": json.dumps(group.prompt.metadata, ensure_ascii=False),
                "rollouts": [
                    {
                        "response": rollout.response,
                        "reasoning": rollout.attempt.reasoning,
                        "score": rollout.score,
                        "status": rollout.verdict.status if rollout.verdict else None,
                        **({"tool_calls": rollout.attempt.tool_calls} if self._answers_call else {}),
                    }
                    for rollout in group.rollouts()
                ],
            }
        ]

    def _messages(self, group: Group) -> Any:
        messages = group.prompt.messages
        if self._plain:
            return [as_written(message, {}) for message in messages]
        return json.dumps(messages, ensure_ascii=False)
