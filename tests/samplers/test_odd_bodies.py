"""The bytes of answers: what is there is read, what can't be used is asked for a few times only."""

from __future__ import annotations

from typing import Any

import pytest

from rsr_cli.clients import bodies
from rsr_cli.clients.failures import LONGEST_MESSAGE, fit_to_show, read_error
from rsr_cli.clients.finish_reasons import meaning_of, word_of
from tests.samplers.drawing import draw_once
from tests.server import ModelServer, Reply
from tests.server.odd_bodies import UNUSABLE, WHOLE

TEXT = "Café: 答案是\n\\boxed{42}"


@pytest.mark.parametrize("kind", WHOLE)
async def test_a_whole_answer_is_read_whatever_its_bytes(kind: str, model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply(TEXT)
    model_server.scenario.fault = lambda number: kind
    [completion] = await draw_once(model_server.base_url)
    assert completion.error is None
    assert completion.response == (TEXT.replace("\n", "\n\t") if kind == "raw newlines" else TEXT)
    assert (completion.finish_reason, completion.completion_tokens) == ("stop", 3)
    assert len(model_server.log) == 1


async def test_latin_1_is_read_as_it_is_declared(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("Café")
    model_server.scenario.fault = lambda number: "iso-8859-1"
    [completion] = await draw_once(model_server.base_url)
    assert completion.response == "Café"


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_an_answer_that_is_of_no_use_is_not_paid_for_ten_times(
    kind: str, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LARGEST", 1 << 20)
    model_server.scenario.reply = lambda ask: Reply(TEXT)
    model_server.scenario.fault = lambda number: kind
    [completion] = await draw_once(model_server.base_url)
    assert completion.response is None and completion.error is not None
    assert "Traceback" not in completion.error
    assert len(model_server.log) == 3


REASONS: list[Any] = ["eos", "COMPLETE", "Stop_Token", "", None, "brand new", {"type": "stop"}, [], 7]


@pytest.mark.parametrize("reason", REASONS)
async def test_an_answer_is_asked_for_once_whatever_its_end_is_called(
    reason: Any, model_server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    model_server.scenario.reply = lambda ask: Reply("42", reason)
    completions = await draw_once(model_server.base_url, range(4), run_seed=1, max_tokens=10)
    assert [(completion.response, completion.error) for completion in completions] == [("42", None)] * 4
    assert len(model_server.log) == 4
    known = meaning_of(word_of(reason)) is not None
    assert [record.levelname for record in caplog.records] == ([] if known else ["WARNING"])
    assert known or (word_of(reason) or "no finish_reason") in caplog.text


@pytest.mark.parametrize("reason", REASONS[3:6])
async def test_at_an_unknown_end_what_reaches_the_limit_was_cut(reason: Any, model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("one two three", reason)
    [completion] = await draw_once(model_server.base_url, max_tokens=3)
    assert (completion.finish_reason, completion.response, completion.completion_tokens) == ("length", None, 3)


def test_a_long_error_takes_no_time_to_show() -> None:
    body = b'{"error": {"message": "' + b"?" * 500_000 + b'"}}'
    assert len(fit_to_show(read_error(body).message)) <= LONGEST_MESSAGE
    assert len(fit_to_show("=?" * 500_000)) <= LONGEST_MESSAGE


@pytest.mark.parametrize("depth", [300, 900, 1100, 100_000])
@pytest.mark.parametrize("start", [b'{"error": ', b'{"error": {"code": ', b'{"error": {"message": '])
def test_an_error_that_is_nested_too_deeply_is_an_error_all_the_same(start: bytes, depth: int) -> None:
    body = start + b"[" * depth + b"]" * depth + b"}" * start.count(b"{")
    assert isinstance(read_error(body).message, str)
