"""Messages of prompts in training rows: what is sent is written, with one schema over all of a run."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.formatters.messages import Seen, as_written, message_type
from rsr_cli.types import Prompt

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
functions = st.fixed_dictionaries({"name": texts, "arguments": texts | st.dictionaries(texts, st.integers(0, 9))})
calls = st.fixed_dictionaries({"id": texts, "type": st.just("function"), "function": functions})
odd = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = odd | st.lists(odd, max_size=2) | st.dictionaries(texts, odd, max_size=2)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"]), "content": texts | st.none()},
    optional={
        "name": texts, "tool_call_id": texts, "reasoning_content": texts, "weight": st.integers(0, 1) | st.floats(0, 1),
        "prefix": st.booleans(), "tool_calls": st.lists(calls, min_size=1, max_size=2), "audio": values, "x": values,
    },
)  # fmt: skip


def read_back(message: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """A message as a reader takes it: nulls are absent, JSON text is what it says."""
    found = {name: value for name, value in message.items() if value is not None or name == "content"}
    return {name: json.loads(value) if fields.get(name) == "json" else value for name, value in found.items()}


def as_sent(message: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in message.items() if value is not None or name == "content"}
    for call in found.get("tool_calls") or []:
        function = call["function"]
        if not isinstance(function["arguments"], str):
            function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
    return found


@given(st.lists(st.lists(messages, min_size=1, max_size=3), min_size=1, max_size=4))
def test_what_is_sent_is_written(conversations: list[list[dict[str, Any]]]) -> None:
    seen = Seen()
    for conversation in conversations:  # shard by shard, by way of their footers
        seen.merge(Seen.from_json(Seen.of([Prompt("p", conversation, {})]).to_json()))
    kind = message_type(seen.fields)
    for conversation in conversations:
        written = pa.array([[as_written(message, seen.fields) for message in conversation]], kind)
        assert pa.array(written.to_pylist(), kind) == written
        found = [read_back(message, seen.fields) for message in written.to_pylist()[0]]
        if seen.fields.get("tool_calls") != "json":
            assert found == [as_sent(message) for message in conversation]


def test_plain_messages_have_no_columns_more() -> None:
    seen = Seen.of([Prompt("p", [{"role": "user", "content": [{"type": "text", "text": "?"}]}], {"answer": "1"})])
    assert seen == Seen(metadata=["answer"]) and seen.plain
    assert message_type(seen.fields) == pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@pytest.mark.parametrize("call", [
    {"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}},
    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"signature": "s"}},
    {"id": 5, "type": "function", "function": {"name": "f", "arguments": "{}"}},
])  # fmt: skip
def test_calls_with_more_than_the_usual_are_json_text(call: dict[str, Any]) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    seen = Seen.of([Prompt("p", [message], {})])
    assert json.loads(as_written(message, seen.fields)["tool_calls"]) == [call]
