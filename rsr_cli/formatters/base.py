"""What the formatters share: their options, the texts that pass or fail, and messages as trainers read them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, PrivateAttr, model_validator

from rsr_cli.errors import InputError
from rsr_cli.formatters import layouts
from rsr_cli.formatters.choosing import Candidate, preferred, several_pairs, widest_pair
from rsr_cli.formatters.messages import MOST_KEYS, Kind, Seen, as_written, common_calls, message_type
from rsr_cli.plugins.contracts import Formatter
from rsr_cli.reply import split_thinking
from rsr_cli.types import Group, Message, Rollout

UNWRITABLE_HINT = (
    "leave such rows out by the transform, or write them with the formatter rollouts, which keeps messages as they "
    "were sent, or with one of your own; formatter: [] writes nothing"
)


class Quota(BaseModel):
    """How many rows of each kind there are to be, by a field of the metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    field: str
    """The field of the metadata; its value is in a column of this name too."""
    rows: dict[str, NonNegativeInt]
    """The most rows with each value; there are none with any other."""


class ScoredFormatter(BaseModel, Formatter):
    """The options of every formatter that chooses by score."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pass_threshold: float = 1.0
    """A score of at least this is a pass."""
    fail_threshold: float = 0.0
    """A score of at most this is a fail; between the two it is neither."""
    layout: str = "trl"
    """The trainer that is to read the rows."""
    reasoning: Literal["inline", "field", "drop"] = "inline"
    """The thinking, wherever it came: before the reply in think tags, in `reasoning_content`, or left out."""
    per_prompt: PositiveInt = 1
    """The most rows of a prompt."""
    pass_rate: tuple[float, float] | None = None
    """The lowest and the highest pass rate of a prompt that has rows. With it no prompt stops early, since a rate that
    early stop has decided is no measure."""
    prefer: Literal["first", "shortest", "longest", "random"] = "first"
    """Which comes first of responses with the same score."""
    max_rows: PositiveInt | None = None
    """The most rows of all prompts together, those of few prompts never before those of many."""
    quota: Quota | None = None
    """The most rows by a field of the metadata."""
    columns: tuple[str, ...] = ()
    """Fields of the metadata that rows carry: texts as they are, anything else as JSON text."""

    _fields: dict[str, Kind] = PrivateAttr(default_factory=dict)
    _has_tools: bool = PrivateAttr(False)
    _tools: list[Any] | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if why := layouts.unknown_layout(self.job, self.layout):
            raise ValueError(f"layout: {why}")
        if self.reasoning == "field" and self.layout in layouts.NO_REASONING_FIELD:
            raise ValueError(f"reasoning: {self.layout} drops reasoning_content; inline is what it reads")
        if self.pass_rate is not None and not 0 <= self.pass_rate[0] <= self.pass_rate[1] <= 1:
            raise ValueError("pass_rate: the lowest and the highest, from 0 to 1")
        return self

    def model_post_init(self, context: Any) -> None:
        self._fields = self._keys(Seen())

    @property
    def job(self) -> layouts.Job:
        """What its rows train."""
        return "sft"

    @property
    def takes_all(self) -> bool:
        """It needs to see all rollouts of a prompt, so that none stops early."""
        return self.pass_rate is not None

    @property
    def makes_pairs(self) -> bool:
        """Its rows hold two responses of a prompt."""
        return self.job in ("pairs", "reward")

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        """Why scores from `lowest` to `highest` can never give it what it asks for."""
        if self.pass_threshold <= highest:
            return None
        return f"pass_threshold {self.pass_threshold:g} is above every score: they go from {lowest:g} to {highest:g}"

    def refusal(self, seen: Seen) -> str | None:
        """Why rows of these prompts can't be written, None where they can."""
        lost = [name for name in self._carried if name not in seen.metadata]
        if lost and 0 < len(seen.metadata) < MOST_KEYS:
            return f"no prompt has metadata.{lost[0]}"
        if twice := [name for name in self._carried if name in self._row_schema.names]:
            return f"metadata.{twice[0]} has the name of a column that rows have anyway"
        return self._no_place(seen)

    def _no_place(self, seen: Seen) -> str | None:
        names = layouts.no_place(self.job, self.layout)
        if seen.answers_call and "tools" in names:
            return f"some answers are tool_calls, and the layout {self.layout} has no place for them"
        for name in ("parts", "prefill", *names):
            if why := seen.odd.get(name):
                return f"{why}, and the layout {self.layout} has no place for it" if name in names else why
        return None

    def fitted(self, seen: Seen, tools: list[Any] | None) -> Self:
        """This formatter with a place for all that the messages of a run hold. `tools` are those of prompts that have
        none of their own."""
        made = self.model_copy()
        made._fields = self._keys(seen)
        made._has_tools, made._tools = seen.tools or bool(tools), tools
        return made

    def _keys(self, seen: Seen) -> dict[str, Kind]:
        """The keys of messages beside role and content, with those that answers add."""
        found = Seen(dict(seen.fields))
        if self.reasoning == "field":
            found.add_field("reasoning_content", "text")
        if seen.answers_call:
            found.add_field("tool_calls", "calls")
        return found.fields

    def is_satisfied(self, group: Group) -> bool:
        return not self.takes_all and self.has_enough(group)

    def has_enough(self, group: Group) -> bool:
        """The group gives all the rows that one prompt may have."""
        raise NotImplementedError

    def format(self, group: Group) -> list[dict[str, Any]]:
        return self.rows(group) if self._in_band(group) else []

    def rows(self, group: Group) -> list[dict[str, Any]]:
        """The training rows of a group that is in the band."""
        raise NotImplementedError

    def rate(self, group: Group) -> float | None:
        """The share of passes among the known scores and the truncated attempts, None where none is known."""
        scores = [score for _, score in group.scored()]
        truncated = sum(attempt.truncated for attempt in group.attempts.values())
        passes = sum(score >= self.pass_threshold for score in scores)
        return passes / (len(scores) + truncated) if scores else None

    def _in_band(self, group: Group) -> bool:
        if self.pass_rate is None:
            return True
        rate = self.rate(group)
        return rate is not None and self.pass_rate[0] <= rate <= self.pass_rate[1]

    def passed(self, group: Group) -> list[Candidate]:
        """The passing rollouts that are written differently, best first, the preferred one first among equals."""
        return self._distinct(item for item in self.by_score(group, best_first=True) if item[1] >= self.pass_threshold)

    def failed(self, group: Group) -> list[Candidate]:
        """The failing rollouts that are written differently, worst first, earlier first among equals."""
        return self._distinct(item for item in self.by_score(group, best_first=False) if item[1] <= self.fail_threshold)

    def by_score(self, group: Group, *, best_first: bool) -> list[Candidate]:
        """All whose score is known and that say something after their thinking."""
        scored = group.scored(with_reference=self.compares)
        scored = [item for item in scored if item[0].attempt.tool_calls or split_thinking(item[0].response)[1]]
        if not best_first:
            return sorted(scored, key=lambda item: item[1])
        first = preferred(self.prefer, lambda rollout: len(self._written(rollout)))
        return sorted(scored, key=lambda item: (-item[1], first(item[0])))

    def pairs(
        self, better: list[Candidate], worse: list[Candidate], *, min_margin: float, match_length: bool
    ) -> list[tuple[Candidate, Candidate]]:
        """The pairs that become rows."""
        texts = {id(item): self._written(item[0]) for item in (*better, *worse)}
        if self.per_prompt > 1 or match_length:
            return several_pairs(
                better, worse, texts, count=self.per_prompt, min_margin=min_margin, match_length=match_length
            )
        pair = widest_pair(better, worse, texts)
        return [pair] if pair is not None and pair[0][1] - pair[1][1] >= min_margin else []

    def assistant(self, rollout: Rollout) -> Message:
        """The answer as the last message. Thinking has one form, however the model or its server wrote it."""
        attempt = rollout.attempt
        inside, reply = split_thinking(rollout.response)
        field = (attempt.reasoning or "").strip()
        thinking = field if inside in field else "\n\n".join(filter(None, (field, inside)))
        message: Message = {"role": "assistant", "content": reply or ""}
        if self.reasoning == "inline" and thinking:
            message["content"] = f"<think>\n{thinking}\n</think>\n\n{reply or ''}"
        elif self.reasoning == "field":
            message["reasoning_content"] = thinking
        if attempt.tool_calls:
            message["content"] = message["content"] or None
            message["tool_calls"] = common_calls(json.loads(attempt.tool_calls))
        return as_written(message, self._fields)

    def chat(self, group: Group) -> list[Message]:
        """The prompt's messages, with all their keys; InputError where a row can't hold them."""
        if why := self._no_place(Seen.of([group.prompt])):
            raise InputError(f"{why}: this formatter can't write that", UNWRITABLE_HINT)
        return [as_written(message, self._fields) for message in group.prompt.messages]

    def laid_out(self, **filling: Any) -> dict[str, Any]:
        """The columns that the trainer reads."""
        return layouts.row(self.job, self.layout, layouts.Filling(**filling))

    def beside(self, group: Group) -> dict[str, Any]:
        """The columns that every row of a prompt has: its tools as JSON text where any prompt has some, and what is
        carried from its metadata."""
        found = {name: layouts.as_text(group.prompt.metadata.get(name)) for name in self._carried}
        if self._has_tools:
            tools = (group.prompt.metadata.get("sampling") or {}).get("tools", self._tools)
            found["tools"] = json.dumps(tools, ensure_ascii=False) if tools else None
        return found

    @property
    def _carried(self) -> list[str]:
        return list(dict.fromkeys([*self.columns, *([self.quota.field] if self.quota else [])]))

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

    origin: ClassVar[list[tuple[str, pa.DataType]]] = [
        ("id", pa.string()),
        ("attempt", pa.int32()),
        ("score", pa.float64()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
    ]
    """Where a row comes from, and how long it is by the backend's count, which includes the thinking."""

    @property
    def _row_schema(self) -> pa.Schema:
        laid_out = layouts.columns(self.job, self.layout, message_type(self._fields))
        tools = [("tools", pa.string())] if self._has_tools else []
        return pa.schema([*laid_out, *self.origin, *tools])

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*self._row_schema, *((name, pa.string()) for name in self._carried)])


def origin(group: Group, candidate: Candidate) -> dict[str, Any]:
    """Where a training row comes from."""
    rollout, score = candidate
    attempt = rollout.attempt
    return {
        "id": group.prompt.id,
        "attempt": attempt.attempt,
        "score": score,
        "prompt_tokens": attempt.prompt_tokens,
        "completion_tokens": attempt.completion_tokens,
    }
