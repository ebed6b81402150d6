from __future__ import annotations

import copy
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
    return json.dumps({"model": "m", "choices": list(choices), **fields}).encode()


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
        (choice(None, "function_call"), Choice("", None, "tool_calls")),
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
        choice("hi", "error"),
        choice("hi", "insufficient_system_resource"),
        choice(None, "something new"),
        choice(None, None),
        choice("", None),
        choice(" ", []),
        choice([5]),
        choice(5),
        choice({"a": {}}),
        {"finish_reason": "stop"},
        {"message": None, "finish_reason": "stop"},
        {"message": [], "finish_reason": "stop"},
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
        ({"prompt_tokens": True, "completion_tokens": "4"}, (None, 4)),
        ({"prompt_tokens": 3.0, "completion_tokens": "4.0"}, (3, 4)),
        ({"prompt_tokens": "many", "completion_tokens": float("nan")}, (None, None)),
        ({"prompt_tokens": 10**400, "completion_tokens": []}, (None, None)),
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4)),
        ({"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 4}, (5, 4)),
        ({"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5}, (3, 9)),
        ({"inputTokens": 3, "outputTokens": 4}, (3, 4)),
        ({"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 3, "output_tokens": 4}}, (3, 4)),
        ({"prompt_tokens": 3, "total_tokens": 7}, (3, 4)),
        ([{"prompt_tokens": 3, "completion_tokens": 4}], (3, 4)),
        ("3", (None, None)),
        ([], (None, None)),
        (None, (None, None)),
    ],
)
def test_token_counts(usage: Any, tokens: tuple[int | None, int | None]) -> None:
    answer = read_answer(body(choice("hi"), usage=usage))
    assert (answer.prompt_tokens, answer.completion_tokens) == tokens


@pytest.mark.parametrize(
    ("given_choice", "expected"),
    [
        (choice("hi", "something new"), Choice("hi", None, "something new")),
        (choice("", "something new"), Choice("", None, "something new")),
        (choice(None, "something new", reasoning="r"), Choice(None, "r", "something new")),
        (choice("hi", None), Choice("hi", None, "unknown")),
        (choice("hi", ""), Choice("hi", None, "unknown")),
        (choice("hi", " null "), Choice("hi", None, "unknown")),
        ({"message": {"content": "hi"}}, Choice("hi", None, "unknown")),
        (choice("hi", 3), Choice("hi", None, "3")),
        (choice("hi", 10**400), Choice("hi", None, "unknown")),
        (choice("hi", []), Choice("hi", None, "unknown")),
        (choice("hi", {}), Choice("hi", None, "unknown")),
        (choice("hi", {"a": [{}]}), Choice("hi", None, "unknown")),
        (choice("hi", {"type": "stop", "matched": 2}), Choice("hi", None, "stop")),
        (choice("hi", {"type": "length", "length": 9}), Choice("hi", None, "length")),
        (choice("hi", ["length"]), Choice("hi", None, "length")),
        (choice("hi", "repetition"), Choice("hi", None, "length")),
        (choice("hi", None) | {"native_finish_reason": "MAX_TOKENS"}, Choice("hi", None, "length")),
        (choice("hi", "stop") | {"native_finish_reason": "max_output_tokens"}, Choice("hi", None, "length")),
        (choice("hi", "stop") | {"stop_reason": "length"}, Choice("hi", None, "stop")),
        (choice("hi", None) | {"stop_reason": "end_turn"}, Choice("hi", None, "stop")),
        (choice(["hi", " there"]), Choice("hi there", None, "stop")),
        (choice({"type": "text", "text": "hi"}), Choice("hi", None, "stop")),
        (choice("hi", reasoning=["r"]), Choice("hi", "r", "stop")),
        (choice("hi", reasoning=5), Choice("hi", None, "stop")),
        (choice("hi", reasoning_details=[{"type": "reasoning.text", "text": "r"}]), Choice("hi", "r", "stop")),
        ({"message": [{"content": "hi"}], "finish_reason": "stop"}, Choice("hi", None, "stop")),
        ({"message": "hi", "finish_reason": "stop"}, Choice("hi", None, "stop")),
        ({"text": "hi", "finish_reason": "stop"}, Choice("hi", None, "stop")),
    ],
)
def test_an_odd_choice_with_a_text_is_kept(given_choice: dict[str, Any], expected: Choice) -> None:
    assert read_answer(body(given_choice)).choices == [expected]


@pytest.mark.parametrize("reason", ["something new", None, "", {"a": 1}])
@pytest.mark.parametrize(("tokens", "cut"), [(9, False), (10, True), (11, True), (None, False)])
def test_an_unknown_end_is_a_cut_only_where_the_tokens_reach_the_limit(
    reason: Any, tokens: int | None, cut: bool
) -> None:
    usage = {} if tokens is None else {"prompt_tokens": 1, "completion_tokens": tokens}
    answer = read_answer(body(choice("hi", reason), usage=usage), max_tokens=10)
    assert (answer.choices[0].finish_reason == "length") is cut
    assert len(answer.notices) == 1
    assert not read_answer(body(choice("hi"), usage=usage), max_tokens=10).notices


def test_the_limit_holds_for_each_of_several_choices() -> None:
    usage = {"completion_tokens": 12}
    answer = read_answer(body(choice("a" * 100, None), choice("b" * 10, None), usage=usage), max_tokens=10)
    assert [found.finish_reason for found in answer.choices] == ["length", "unknown"]


def test_an_empty_text_that_took_all_the_tokens_was_cut() -> None:
    answer = read_answer(body(choice("", None), usage={"completion_tokens": 10}), max_tokens=10)
    assert answer.choices[0].finish_reason == "length"


def test_a_character_that_was_lost_is_told() -> None:
    assert "U+FFFD" in read_answer(body(choice("a \ud83d b"))).notices[0]


ODD = ["", "stop", "length", "x", "\ud83d", "null", 5, -1, 10**30, 1e300, float("inf"), float("nan"), True, None]
NAMES = [
    "choices",
    "message",
    "content",
    "finish_reason",
    "error",
    "usage",
    "reasoning",
    "code",
    "type",
    "text",
    "tool_calls",
    "function",
    "arguments",
    "delta",
    "native_finish_reason",
    "index",
    "tokens",
]
values = st.recursive(
    st.sampled_from(ODD),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(values)
def test_any_document_is_an_answer_or_a_failure(document: Any) -> None:
    with suppress(Failure):
        assert isinstance(read_answer(json.dumps(document).encode()), Answer)


@given(values)
def test_any_document_in_a_stream_is_an_answer_or_a_failure(document: Any) -> None:
    with suppress(Failure):
        assert isinstance(read_answer(b"data: " + json.dumps(document).encode() + b"\n\ndata: [DONE]"), Answer)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_a_failure(tail: bytes) -> None:
    for start in (b"", b'{"choices": [{"message": {"content": "', b": ping\n\ndata:", b"\xff\xfe", b"\xef\xbb\xbf{"):
        with suppress(Failure):
            read_answer(start + tail)


REAL = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "system_fingerprint": None,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None, "tool_calls": None, "reasoning": "r"},
            "logprobs": None,
            "finish_reason": "stop",
            "native_finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "details": {"cached_tokens": 0}},
}
BESIDE_THE_TEXT = [
    *(("choices", 0, name) for name in ("index", "logprobs", "native_finish_reason", "more")),
    *(("choices", 0, "message", name) for name in ("role", "refusal", "tool_calls", "reasoning", "function_call")),
    *((name,) for name in ("id", "model", "usage", "system_fingerprint", "error", "more")),
    *(("usage", name) for name in ("prompt_tokens", "completion_tokens", "details")),
    ("choices", 0, "finish_reason"),
]


@given(st.sampled_from(BESIDE_THE_TEXT), values)
def test_a_text_is_kept_whatever_stands_beside_it(path: tuple[str | int, ...], value: Any) -> None:
    document = copy.deepcopy(REAL)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    [found] = read_answer(json.dumps(document).encode()).choices
    assert found.text == "hi"
