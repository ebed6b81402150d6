"""Messages as trainers read them: which keys those of a run have, and as what columns they are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa

from rsr_cli.messages import text_of
from rsr_cli.types import Message, Prompt

Kind = Literal["text", "bool", "int", "float", "calls", "json"]
"""What all values of a key are. `calls` are tool calls as OpenAI has them, whose arguments are JSON text; `json` is
anything else, written as JSON text."""

CALLS = pa.list_(
    pa.struct(
        [
            ("id", pa.string()),
            ("type", pa.string()),
            ("function", pa.struct([("name", pa.string()), ("arguments", pa.string())])),
        ]
    )
)
_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "calls": CALLS,
    "json": pa.string(),
}
_ALWAYS = ("role", "content")
MOST_KEYS = 200
_FIRST = ("tool_calls", "tool_call_id", "name", "reasoning_content")


@dataclass
class Seen:
    """What the messages of some prompts hold beside roles and texts."""

    fields: dict[str, Kind] = field(default_factory=dict)
    """The keys beside role and content."""
    odd: dict[str, str] = field(default_factory=dict)
    """What not every row has a place for, by its name (see `_odd`), and where it is first seen."""
    metadata: list[str] = field(default_factory=list)
    """The keys of metadata, at most `MOST_KEYS` of them."""
    tools: bool = False
    """A prompt has tools of its own."""
    answers_call: bool = False
    """Some answers are tool calls."""

    @property
    def plain(self) -> bool:
        return not (self.fields or "parts" in self.odd)

    def add(self, prompt: Prompt) -> None:
        for message in prompt.messages:
            for name, value in message.items():
                if name not in _ALWAYS and value is not None:
                    self.add_field(name, _kind(name, value))
        for name, where in _odd(prompt):
            self.odd.setdefault(name, f"prompt {prompt.id!r}: {where}")
        self._add_keys(prompt.metadata)
        self.tools = self.tools or bool((prompt.metadata.get("sampling") or {}).get("tools"))

    def add_field(self, name: str, kind: Kind) -> None:
        before = self.fields.get(name, kind)
        numbers = {before, kind} == {"int", "float"}
        self.fields[name] = kind if before == kind else "float" if numbers else "json"

    def _add_keys(self, keys: Iterable[str]) -> None:
        new = [key for key in keys if key not in self.metadata]
        self.metadata += new[: MOST_KEYS - len(self.metadata)]

    def merge(self, other: Seen) -> None:
        for name, kind in other.fields.items():
            self.add_field(name, kind)
        self.odd = other.odd | self.odd
        self._add_keys(other.metadata)
        self.tools = self.tools or other.tools
        self.answers_call = self.answers_call or other.answers_call

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Seen:
        return cls(**json.loads(text))

    @classmethod
    def of(cls, prompts: Iterable[Prompt]) -> Seen:
        made = cls()
        for prompt in prompts:
            made.add(prompt)
        return made


def _odd(prompt: Prompt) -> Iterator[tuple[str, str]]:
    """Yield what not every training row can hold, and where it is."""
    messages = prompt.messages
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    for place, message in enumerate(messages):
        content = message.get("content")
        if other := [part for part in content if part["type"] != "text"] if isinstance(content, list) else []:
            yield "parts", f"messages[{place}] has a part of the type {other[0]['type']!r}"
        if message["role"] == "developer":
            yield "developer", f"messages[{place}] has the role 'developer'"
        if more := [name for name, value in message.items() if name not in _ALWAYS and value is not None]:
            yield "keys", f"messages[{place}] has {more[0]!r}"
    if messages and messages[-1]["role"] == "assistant":
        yield "prefill", "messages ends with a message of the assistant, so that a row would have two"
    if len(turns) < len(messages):
        yield "system", "messages[0] is a system message"
    if len(turns) > 1:
        yield "several", "messages holds several turns"
    for place, message in enumerate(turns, len(messages) - len(turns)):
        if message["role"] != ("user", "assistant")[(place - len(messages) + len(turns)) % 2]:
            yield "turns", f"messages[{place}] of the role {message['role']!r} is out of turn"
            break
    if (prompt.metadata.get("sampling") or {}).get("tools"):
        yield "tools", "metadata.sampling has tools"
    if prompt.metadata.get("answer") is None:
        yield "gold", "metadata has no answer"


def message_type(fields: Mapping[str, Kind]) -> pa.DataType:
    """A list of messages with these keys beside role and content."""
    names = sorted(fields, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    columns = [(name, _TYPES[fields[name]]) for name in names]
    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), *columns]))


def as_written(message: Message, fields: Mapping[str, Kind]) -> Message:
    """A message with its content as text, and what has no type of its own as JSON text."""
    content = message.get("content")
    if isinstance(content, list):
        content = text_of(message)
    others = {name: value for name, value in message.items() if name not in _ALWAYS and value is not None}
    return {
        "role": message["role"],
        "content": content,
        **{name: _value(value, fields.get(name, _kind(name, value))) for name, value in others.items()},
    }


def common_calls(calls: list[Any]) -> list[dict[str, Any]]:
    """Tool calls with the keys that all services have."""
    functions = [call["function"] for call in calls]
    return [
        {
            "id": call.get("id"),
            "type": call.get("type"),
            "function": {"name": function.get("name"), "arguments": _as_text(function.get("arguments"))},
        }
        for call, function in zip(calls, functions, strict=True)
    ]


def _value(value: Any, kind: Kind) -> Any:
    if kind == "calls":
        return common_calls(value)
    return json.dumps(value, ensure_ascii=False) if kind == "json" else value


def _as_text(arguments: Any) -> str | None:
    if arguments is None or isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False)


def _kind(name: str, value: Any) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) <= 2**53 else "json"  # beyond that a column with floats in it would round it
    if isinstance(value, str | float):
        return "text" if isinstance(value, str) else "float"
    return "calls" if name == "tool_calls" and all(_is_common(call) for call in value) else "json"


def _is_common(call: Any) -> bool:
    """A call has no more than the keys of a function's call, and they are of their types. (DeepSeek counts its calls
    in `index`, which their order says too.)"""
    if not isinstance(call, dict) or not isinstance(function := call.get("function"), dict):
        return False
    texts = [call.get("id"), call.get("type"), function.get("name")]
    return (
        call.keys() <= {"id", "type", "function", "index"}
        and function.keys() <= {"name", "arguments"}
        and all(text is None or isinstance(text, str) for text in texts)
    )
