from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.clients.answers import Answer, Choice, read_answer
from rsr_cli.clients.failures import Failure, Fault
from rsr_cli.clients.tool_calls import read_tool_calls

CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CALLS = json.dumps([CALL])


def body(*choices: Any, **fields: Any) -> bytes:
    return orjson.dumps({"model": "m", "choices": list(choices), **fields})


def choice(content: Any, finish_reason: Any = "stop", **message: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish_reason}


@pytest.mark.parametrize(
    ("given_choice", "expected"),
    [
        (choice("hi"), Choice("hi", None, "stop")),
        (choice(""), Choice("", None, "stop")),
        (choice("\n"), Choice("\n", None, "stop")),
        (choice(None, refusal="I can't help with that."), Choice("I can't help with that.", None, "stop")),
        (choice("hi", reasoning="r"), Choice("hi", "r", "stop")),
        (choice("hi", reasoning_content="r", reasoning=""), Choice("hi", "r", "stop")),
        (choice("hi", reasoning_content=None), Choice("hi", None, "stop")),
        (choice(None, reasoning="r"), Choice(None, "r", "stop")),
        (choice("", reasoning="r"), Choice(None, "r", "stop")),
        (choice("\n\n", reasoning="r"), Choice(None, "r", "stop")),
        (choice("cut", "length"), Choice("cut", None, "length")),
        (choice(None, "length"), Choice(None, None, "length")),
        (choice("cut", "max_tokens"), Choice("cut", None, "length")),
        (choice("hi", "eos_token"), Choice("hi", None, "stop")),
        (choice("bad", "content_filter", reasoning="r"), Choice(None, None, "content_filter")),
        (choice("hi", "tool_calls"), Choice("hi", None, "tool_calls")),
        (choice(None, "tool_calls"), Choice("", None, "tool_calls")),
        (choice(None, "function_call"), Choice("", None, "function_call")),
        (choice(None, "tool_calls", tool_calls=[CALL]), Choice("", None, "tool_calls", CALLS)),
        (choice("hi", "stop", tool_calls=[CALL]), Choice("hi", None, "stop", CALLS)),
        (choice("", "tool_calls", reasoning="r", tool_calls=[CALL]), Choice("", "r", "tool_calls", CALLS)),
        (choice(None, "tool_calls", tool_calls=CALL), Choice("", None, "tool_calls", CALLS)),
        (choice("hi", tool_calls=[]), Choice("hi", None, "stop")),
        (choice("hi", tool_calls=["?"]), Choice("hi", None, "stop")),
        (choice([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), Choice("ab", None, "stop")),
        (
            choice([{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}, {"type": "text", "text": "a"}]),
            Choice("a", "r", "stop"),
        ),
    ],
)
def test_a_sound_choice(given_choice: dict[str, Any], expected: Choice) -> None:
    assert read_answer(body(given_choice)).choices == [expected]


@pytest.mark.parametrize(
    "message",
    [
        {"function_call": {"name": "add", "arguments": '{"a": 1}'}},
        {"tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]},
        {"content": [{"type": "tool_use", "name": "add", "input": {"a": 1}}]},
        {"tool_calls": [{"name": "add", "arguments": {"a": 1}}]},
    ],
)
def test_tool_calls_of_other_services_in_one_form(message: dict[str, Any]) -> None:
    calls = read_tool_calls({"content": None, **message})
    assert calls is not None
    assert orjson.loads(calls) == [{"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]


@pytest.mark.parametrize(
    "broken",
    [
        choice(None),
        choice("hi", "abort"),
        choice("hi", "repetition"),
        choice("hi", "error"),
        choice("hi", "insufficient_system_resource"),
        choice("hi", "something new"),
        choice("hi", None),
        choice("hi", 3),
        choice(["hi"]),
        choice(5),
        choice("hi", reasoning=["r"]),
        {"finish_reason": "stop"},
        {"message": None, "finish_reason": "stop"},
        {"message": {"content": "hi"}},
        None,
        "hi",
    ],
)
def test_a_broken_choice_is_the_servers_failure(broken: Any) -> None:
    with pytest.raises(Failure) as caught:
        read_answer(body(broken))
    assert caught.value.fault is Fault.SERVER
    answer = read_answer(body(broken, choice("fine")))
    assert (len(answer.choices), answer.returned) == (1, 2)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", Fault.SERVER),
        (b"null", Fault.SERVER),
        (b"[]", Fault.SERVER),
        (b"{}", Fault.SERVER),
        (b'{"choices": []}', Fault.SERVER),
        (b'{"choices": null}', Fault.SERVER),
        (b'{"choices": {}}', Fault.SERVER),
        (b'{"choices": [{"mess', Fault.SERVER),
        (b"<html>It works!</html>", Fault.SERVER),
        (b"[" * 100_000, Fault.SERVER),
        (b'{"error": {"message": "Provider returned error", "code": 502}}', Fault.SERVER),
        (b'{"error": {"message": "?"}, "choices": null}', Fault.SERVER),
        (b'{"error": {"message": "Slow down", "code": 429}}', Fault.RATE_LIMIT),
        (b'{"error": {"message": "No credit", "code": 402}}', Fault.ACCOUNT),
        (b'{"error": {"message": "too long", "code": "context_length_exceeded"}}', Fault.PROMPT),
    ],
)
def test_a_200_that_is_no_answer(text: bytes, fault: Fault) -> None:
    with pytest.raises(Failure) as caught:
        read_answer(text)
    assert caught.value.fault is fault


def test_blank_lines_before_the_answer() -> None:
    assert read_answer(b"\n\n\r\n \n" + body(choice("hi"))).choices[0].text == "hi"


def test_what_orjson_refuses_is_still_read() -> None:
    text = b'{"choices": [{"logprobs": NaN, "finish_reason": "stop", "message": {"content": "a \\ud83d b"}}]}'
    assert read_answer(text).choices[0].text == "a \ufffd b"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4)),
        ({"prompt_tokens": None}, (None, None)),
        ({"prompt_tokens": -1, "completion_tokens": 2**40}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": "4"}, (None, None)),
        ([], (None, None)),
        (None, (None, None)),
    ],
)
def test_token_counts(usage: Any, tokens: tuple[int | None, int | None]) -> None:
    answer = read_answer(body(choice("hi"), usage=usage))
    assert (answer.prompt_tokens, answer.completion_tokens) == tokens


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "stop", "length", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "finish_reason", "error", "usage", "reasoning", "code"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(values)
def test_any_document_is_an_answer_or_a_failure(document: Any) -> None:
    with suppress(Failure):
        assert isinstance(read_answer(orjson.dumps(document)), Answer)
