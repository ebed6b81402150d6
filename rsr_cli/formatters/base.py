"""What the formatters share: thresholds, the texts that pass or fail, and messages as trainers read them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, PrivateAttr

from rsr_cli.errors import InputError
from rsr_cli.formatters.messages import Kind, Seen, as_written, common_calls, message_type
from rsr_cli.plugins.contracts import Formatter
from rsr_cli.reply import final_reply, split_thinking
from rsr_cli.types import Group, Message, Rollout

ORIGIN = [("id", pa.string()), ("attempt", pa.int32()), ("score", pa.float64())]

UNWRITABLE_HINT = (
    "leave such rows out by the transform, or write them with the formatter rollouts, which keeps messages as they "
    "were sent, or with one of your own; formatter: [] writes nothing"
)

Candidate = tuple[Rollout, float]


class ScoredFormatter(BaseModel, Formatter):
    """The options of every formatter that chooses by score."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pass_threshold: float = 1.0
    """A score of at least this is a pass."""
    fail_threshold: float = 0.0
    """A score of at most this is a fail; between the two it is neither."""
    reasoning: Literal["inline", "field", "drop"] = "inline"
    """The thinking, wherever it came: before the reply in think tags, in `reasoning_content`, or left out."""

    @property
    def makes_pairs(self) -> bool:
        """Its rows hold two responses of a prompt."""
        return False

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        """Why scores from `lowest` to `highest` can never give it what it asks for."""
        if self.pass_threshold <= highest:
            return None
        return f"pass_threshold {self.pass_threshold:g} is above every score: they go from {lowest:g} to {highest:g}"

    _fields: dict[str, Kind] = PrivateAttr(default_factory=dict)
    _has_tools: bool = PrivateAttr(False)
    _tools: list[Any] | None = PrivateAttr(None)

    def model_post_init(self, context: Any) -> None:
        self._fields = self._columns(Seen())

    def refusal(self, seen: Seen) -> str | None:
        """Why rows of these prompts can't be written, None where they can."""
        return seen.parts or seen.prefill

    def fitted(self, seen: Seen, tools: list[Any] | None) -> Self:
        """This formatter with a place for all that the messages of a run hold. `tools` are those of prompts that have
        none of their own."""
        made = self.model_copy()
        made._fields = self._columns(seen)
        made._has_tools, made._tools = seen.tools or bool(tools), tools
        return made

    def _columns(self, seen: Seen) -> dict[str, Kind]:
        """The keys of messages beside role and content, with those that answers add."""
        found = Seen(dict(seen.fields))
        if self.reasoning == "field":
            found.add_field("reasoning_content", "text")
        if seen.answers_call:
            found.add_field("tool_calls", "calls")
        return found.fields

    def passed(self, group: Group) -> list[Candidate]:
        """The passing rollouts that are written differently, best first, earlier first among equals."""
        return self._distinct(item for item in self.by_score(group, best_first=True) if item[1] >= self.pass_threshold)

    def failed(self, group: Group) -> list[Candidate]:
        """The failing rollouts that are written differently, worst first, earlier first among equals."""
        return self._distinct(item for item in self.by_score(group, best_first=False) if item[1] <= self.fail_threshold)

    def by_score(self, group: Group, *, best_first: bool) -> list[Candidate]:
        """All whose score is known, earlier first among equals."""
        scored = group.scored(with_reference=self.compares)
        if self.reasoning != "inline":
            # A response that is all thinking has no reply to write.
            scored = [item for item in scored if item[0].attempt.tool_calls or final_reply(item[0].response)]
        return sorted(scored, key=lambda item: -item[1] if best_first else item[1])

    def assistant(self, rollout: Rollout) -> Message:
        attempt = rollout.attempt
        thinking = attempt.reasoning
        if self.reasoning == "inline":
            # Thinking that stands in the response already stays as the model wrote it.
            text = f"<think>\n{thinking.strip()}\n</think>\n\n{rollout.response}" if thinking else rollout.response
            message: Message = {"role": "assistant", "content": text}
        else:
            inside, reply = split_thinking(rollout.response)
            message = {"role": "assistant", "content": reply or ""}
            if self.reasoning == "field":
                message["reasoning_content"] = thinking or inside
        if attempt.tool_calls:
            message["content"] = message["content"] or None
            message["tool_calls"] = common_calls(json.loads(attempt.tool_calls))
        return as_written(message, self._fields)

    def chat(self, group: Group) -> list[Message]:
        """The prompt's messages, with all their keys; InputError where a row can't hold them."""
        if why := self.refusal(Seen.of([group.prompt])):
            raise InputError(f"{why}: this formatter can't write that", UNWRITABLE_HINT)
        return [as_written(message, self._fields) for message in group.prompt.messages]

    def tools(self, group: Group) -> dict[str, Any]:
        """The column with the prompt's tools, as JSON text; no column where no prompt has any."""
        if not self._has_tools:
            return {}
        tools = (group.prompt.metadata.get("sampling") or {}).get("tools", self._tools)
        return {"tools": json.dumps(tools, ensure_ascii=False) if tools else None}

    def widest_pair(self, better: list[Candidate], worse: list[Candidate]) -> tuple[Candidate, Candidate] | None:
        """The pair that is written differently, with the widest margin; None where no pair has one."""
        texts = {id(item): self._written(item[0]) for item in (*better, *worse)}
        # `better` has the best first and `worse` the worst, so the widest pair holds the first of one side: any other
        # pair is no wider than the two that its members make with the firsts, one of which differs.
        with_firsts = [(chosen, rejected) for chosen in better[:1] for rejected in worse]
        with_firsts += [(chosen, rejected) for chosen in better[1:] for rejected in worse[:1]]
        pairs = [
            (chosen, rejected)
            for chosen, rejected in with_firsts
            if chosen[1] > rejected[1] and texts[id(chosen)] != texts[id(rejected)]
        ]
        return max(pairs, key=lambda pair: pair[0][1] - pair[1][1], default=None)

    def _distinct(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The first of those that are written alike."""
        found: dict[str, Candidate] = {}
        for candidate in candidates:
            found.setdefault(self._written(candidate[0]), candidate)
        return list(found.values())

    def _written(self, rollout: Rollout) -> str:
        """What a row has of a rollout, to compare by; without the space around it and the random ids of calls."""
        message = self.assistant(rollout)
        calls = json.loads(rollout.attempt.tool_calls or "[]")
        texts = [message.get(name) or "" for name in ("content", "reasoning_content")]
        return json.dumps([*(text.strip() for text in texts), [call["function"] for call in calls]])

    def pair_row(self, group: Group, chosen: Candidate, rejected: Candidate) -> dict[str, Any]:
        """A row of `pair_schema`."""
        return {
            "prompt": self.chat(group),
            "chosen": [self.assistant(chosen[0])],
            "rejected": [self.assistant(rejected[0])],
            "id": group.prompt.id,
            "chosen_attempt": chosen[0].attempt.attempt,
            "rejected_attempt": rejected[0].attempt.attempt,
            "chosen_score": chosen[1],
            "rejected_score": rejected[1],
            **self.tools(group),
        }

    @property
    def message_type(self) -> pa.DataType:
        return message_type(self._fields)

    @property
    def pair_schema(self) -> pa.Schema:
        """What DPO trainers read; attempt -1 is the reference completion."""
        kind = self.message_type
        return pa.schema(
            [
                ("prompt", kind),
                ("chosen", kind),
                ("rejected", kind),
                ("id", pa.string()),
                ("chosen_attempt", pa.int32()),
                ("rejected_attempt", pa.int32()),
                ("chosen_score", pa.float64()),
                ("rejected_score", pa.float64()),
                *self.tools_column,
            ]
        )

    @property
    def tools_column(self) -> list[tuple[str, pa.DataType]]:
        return [("tools", pa.string())] if self._has_tools else []


def origin(group: Group, candidate: Candidate) -> dict[str, Any]:
    """Where a training row comes from."""
    rollout, score = candidate
    return {"id": group.prompt.id, "attempt": rollout.attempt.attempt, "score": score}
