"""What the formatters share: thresholds, the texts that pass or fail, and messages as trainers read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from rsr_cli.errors import InputError
from rsr_cli.plugins.contracts import Formatter
from rsr_cli.reply import final_reply, split_thinking
from rsr_cli.types import Group, Message, Rollout

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
ORIGIN = [("id", pa.string()), ("attempt", pa.int32()), ("score", pa.float64())]

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

    def passed(self, group: Group) -> list[Candidate]:
        """The passing rollouts with different texts, best first, earlier first among equals."""
        return _distinct(item for item in self.by_score(group, best_first=True) if item[1] >= self.pass_threshold)

    def failed(self, group: Group) -> list[Candidate]:
        """The failing rollouts with different texts, worst first, earlier first among equals."""
        return _distinct(item for item in self.by_score(group, best_first=False) if item[1] <= self.fail_threshold)

    def by_score(self, group: Group, *, best_first: bool) -> list[Candidate]:
        """All whose score is known, earlier first among equals."""
        scored = group.scored(with_reference=self.compares)
        if self.reasoning != "inline":
            # A response that is all thinking has no reply to write.
            scored = [item for item in scored if final_reply(item[0].response)]
        return sorted(scored, key=lambda item: -item[1] if best_first else item[1])

    def assistant(self, rollout: Rollout) -> Message:
        thinking = rollout.attempt.reasoning
        if self.reasoning == "inline":
            # Thinking that stands in the response already stays as the model wrote it.
            text = f"<think>\n{thinking.strip()}\n</think>\n\n{rollout.response}" if thinking else rollout.response
            return {"role": "assistant", "content": text}
        inside, reply = split_thinking(rollout.response)
        message = {"role": "assistant", "content": reply or ""}
        if self.reasoning == "field":
            message["reasoning_content"] = thinking or inside
        return message

    def pair_row(self, group: Group, chosen: Candidate, rejected: Candidate) -> dict[str, Any]:
        """A row of `pair_schema`."""
        return {
            "prompt": chat(group),
            "chosen": [self.assistant(chosen[0])],
            "rejected": [self.assistant(rejected[0])],
            "id": group.prompt.id,
            "chosen_attempt": chosen[0].attempt.attempt,
            "rejected_attempt": rejected[0].attempt.attempt,
            "chosen_score": chosen[1],
            "rejected_score": rejected[1],
        }

    @property
    def message_type(self) -> pa.DataType:
        if self.reasoning != "field":
            return MESSAGES
        return pa.list_(pa.struct([*MESSAGES.value_type, ("reasoning_content", pa.string())]))


def pair_schema(messages: pa.DataType) -> pa.Schema:
    """What DPO trainers read; attempt -1 is the reference completion."""
    return pa.schema(
        [
            ("prompt", messages),
            ("chosen", messages),
            ("rejected", messages),
            ("id", pa.string()),
            ("chosen_attempt", pa.int32()),
            ("rejected_attempt", pa.int32()),
            ("chosen_score", pa.float64()),
            ("rejected_score", pa.float64()),
        ]
    )


def widest_pair(better: list[Candidate], worse: list[Candidate]) -> tuple[Candidate, Candidate] | None:
    """The pair with different texts and the widest margin; None where no pair has one."""
    # Of candidates in order of their scores, the widest pair holds the first of one side: if both firsts are one text,
    # the other side of it is the next text.
    firsts = [(chosen, rejected) for chosen in better[:1] for rejected in worse] + [
        (chosen, rejected) for chosen in better[1:] for rejected in worse[:1]
    ]
    pairs = [
        (chosen, rejected)
        for chosen, rejected in firsts
        if chosen[1] > rejected[1] and chosen[0].response.strip() != rejected[0].response.strip()
    ]
    return max(pairs, key=lambda pair: pair[0][1] - pair[1][1], default=None)


def origin(group: Group, candidate: Candidate) -> dict[str, Any]:
    """Where a training row comes from."""
    rollout, score = candidate
    return {"id": group.prompt.id, "attempt": rollout.attempt.attempt, "score": score}


def chat(group: Group) -> list[Message]:
    """The prompt's messages with their content as text; InputError where a part is not text."""
    return [{"role": message["role"], "content": _text(message, group.prompt.id)} for message in group.prompt.messages]


def _text(message: Message, prompt_id: str) -> str:
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "".join(part["text"] for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise InputError(
        f"prompt {prompt_id!r}: a message holds parts that are not text, which this formatter can't write",
        "use the rollouts formatter, or one of your own as path/to/file.py:Name",
    )


def _distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The first of those with the same text."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        found.setdefault(candidate[0].response.strip(), candidate)
    return list(found.values())
