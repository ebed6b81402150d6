"""Batch APIs that call themselves OpenAI's, and files of answers with odd lines: nothing is held up or lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.clients.batches.lines import read_response
from rsr_cli.clients.batches.status import read_status
from rsr_cli.clients.failures import Failure
from rsr_cli.errors import BackendError
from tests.samplers.drawing import prompt
from tests.samplers.test_openai_batch import PROMPTS, draw_all, sampler, states
from tests.server import ModelServer

Document = dict[str, Any]


def told(**fields: Any) -> Callable[[Document], Document]:
    """The batch's fields replaced once it has ended."""
    return lambda document: document | fields if document["status"] in ("completed", "failed") else document


DIALECTS: dict[str, Callable[[Document], Any]] = {
    "capitals": lambda document: document | {"status": document["status"].upper()},
    "Mistral": told(status="SUCCESS"),
    "Gemini": lambda document: (
        document | {"status": f"JOB_STATE_{document['status']}".replace("completed", "succeeded")}
    ),
    "Anthropic": lambda document: {"processing_status": "ended", **document, "status": None},
    "an object": lambda document: document | {"status": {"type": document["status"]}},
    "wrapped": lambda document: {"job": document, "warning": ""},
    "counts are a list": told(request_counts=[4, 4]),
    "counts are texts": told(request_counts={"total": "4", "completed": "4", "failed": None}),
    "no counts": lambda document: document | {"request_counts": None},
    "files are a list": lambda document: document | {"output_file_id": [document["output_file_id"]]},
    "errors are a text": told(errors="nothing of note"),
    "errors are a list": told(errors=[{"code": "x", "message": "y"}, "z", 5, None]),
    "errors are deep": told(errors={"data": {"data": [[[[[[]]]]]]}}),
    "an unknown word": lambda document: (
        document
        | {
            "status": "all wrapped up",
            "request_counts": {"total": 4, "completed": 4 if document["output_file_id"] else 1},
        }
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_batch_in_another_dialect_ends(dialect: str, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_document = DIALECTS[dialect]
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert [(found.error, found.finish_reason) for [found] in drawn] == [(None, "stop")] * 4
    assert len(model_server.batches) == 1


@pytest.mark.parametrize(
    "errors", ["boom", ["boom"], [{"message": "boom"}], {"message": "boom"}, {"data": [{"message": "boom"}]}]
)
async def test_why_a_batch_failed_is_told_in_any_form(errors: Any, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_fate = lambda number: "failed"
    model_server.scenario.batch_document = told(errors=errors)
    with pytest.raises(BackendError, match="boom"):
        await draw_all(sampler(model_server, tmp_path), PROMPTS[:1], [0])


async def test_answers_of_a_batch_that_failed_are_taken_up(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_document = told(status="failed")
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert all(found.error is None for [found] in drawn)
    assert [state["status"] for state in states(tmp_path)] == ["completed"]


async def test_a_batch_that_names_no_files_is_not_asked_again_but_told(
    model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.scenario.batch_document = told(output_file_id=None)
    with pytest.raises(BackendError, match="names no file") as caught:
        await draw_all(sampler(model_server, tmp_path, poll_interval=0.01), PROMPTS, [0])
    assert "requests-0001.json" in str(caught.value)
    model_server.scenario.batch_document = lambda document: document
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert all(found.error is None for [found] in drawn)
    assert len(model_server.batches) == 1


async def test_a_file_of_errors_that_is_gone_holds_nothing_up(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_document = told(error_file_id="gone")
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert all(found.error is None for [found] in drawn)


def every_line(change: Callable[[Document], Any]) -> Callable[[bytes], bytes]:
    return lambda content: b"\n".join(orjson.dumps(change(orjson.loads(line))) for line in content.splitlines())


def with_response(**fields: Any) -> Callable[[Document], Document]:
    return lambda line: line | {"response": line["response"] | fields}


LINES: dict[str, Callable[[bytes], bytes]] = {
    "no end of the last line": lambda content: content.rstrip(),
    "blank lines and carriage returns": lambda content: content.replace(b"\n", b"\r\n\r\n"),
    "a byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "the status as a text": every_line(with_response(status_code="200")),
    "201": every_line(with_response(status_code=201)),
    "the body as a text": every_line(lambda line: with_response(body=json.dumps(line["response"]["body"]))(line)),
    "no envelope": every_line(lambda line: line | {"response": line["response"]["body"]}),
    "the body beside it": every_line(lambda line: {"custom_id": line["custom_id"], "body": line["response"]["body"]}),
    "strange lines": lambda content: b'{"what": 1}\n[]\n' + content + b'{"custom_id": "of someone else"}\n5',
}


@pytest.mark.parametrize("kind", LINES)
async def test_lines_of_another_dialect_are_read(
    kind: str, model_server: ModelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model_server.scenario.batch_answers = LINES[kind]
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert [found.error for [found] in drawn] == [None] * 4
    assert len(model_server.batches) == 1
    assert ("lines are no answer" in caplog.text) is (kind == "strange lines")


def first_line(change: Callable[[Document], Any]) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        first, *others = content.splitlines()
        return b"\n".join([orjson.dumps(change(orjson.loads(first))), *others])

    return changed


def refused(status: int, message: str) -> Callable[[Document], Document]:
    return with_response(status_code=status, body={"error": {"message": message}})


def with_choice(**fields: Any) -> Callable[[Document], Document]:
    def changed(line: Document) -> Document:
        body = line["response"]["body"]
        return with_response(body=body | {"choices": [body["choices"][0] | fields]})(line)

    return changed


ODD_LINES: dict[str, Callable[[Document], Any]] = {
    "flagged": refused(403, "Your input was flagged"),
    "no such model": refused(404, "The model `m` does not exist"),
    "a message that is none": with_choice(message=[[]]),
    "a text that is none": with_choice(message={"content": {"a": 5}}),
    "a deep error": with_response(status_code=400, body={"error": {"message": [[[[[[]]]]]], "code": {}}}),
}


@pytest.mark.parametrize("kind", ODD_LINES)
async def test_one_odd_line_holds_up_none_of_the_others(kind: str, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_answers = first_line(ODD_LINES[kind])
    drawn = await draw_all(sampler(model_server, tmp_path, max_retries=0), PROMPTS, [0])
    assert sorted(found.error is None for [found] in drawn) == [False, True, True, True]
    assert len(model_server.batches) == 1


@pytest.mark.parametrize("end", [{"type": "stop"}, ["stop"], "eos", None, 5, "brand new"])
async def test_an_odd_end_in_one_line_loses_nothing(end: Any, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_answers = first_line(with_choice(finish_reason=end))
    drawn = await draw_all(sampler(model_server, tmp_path, max_retries=0), PROMPTS, [0])
    assert [found.error for [found] in drawn] == [None] * 4


async def test_an_answer_is_not_lost_for_an_error_of_the_same_request(
    model_server: ModelServer, tmp_path: Path
) -> None:
    error = first_line(refused(500, "?"))
    model_server.scenario.batch_answers = lambda content: content + error(content).splitlines()[0]
    drawn = await draw_all(sampler(model_server, tmp_path, max_retries=0), [prompt()], [0])
    assert drawn[0][0].error is None


NAMES = ["id", "status", "errors", "data", "request_counts", "total", "completed", "output_file_id"]
NAMES += ["response", "body", "status_code", "error", "choices", "custom_id", "job"]
shapes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=15,
)


@given(shapes)
def test_any_document_is_a_status_or_none(document: Any) -> None:
    try:
        status = read_status(document)
    except ValueError:
        return
    assert isinstance(status.status, str) and status.done >= 0 and all(status.files)


@given(shapes)
def test_any_line_is_an_answer_or_a_failure(document: Any) -> None:
    try:
        read_response(json.dumps(document).encode())
    except Failure:
        return


async def test_a_file_that_is_not_processed_yet_is_waited_for(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_file_pending = 4
    drawn = await draw_all(sampler(model_server, tmp_path, max_retries=0), PROMPTS, [0])
    assert [found.error for [found] in drawn] == [None] * 4
    assert len(model_server.batches) == 1 and model_server.scenario.batch_file_pending == 0


async def test_one_prompt_that_is_refused_in_a_batch_of_its_own_stops_no_run(
    model_server: ModelServer, tmp_path: Path
) -> None:
    """The account was answered in an earlier batch."""
    await draw_all(sampler(model_server, tmp_path), PROMPTS[:2], [0])
    model_server.scenario.fault = lambda number: "403"
    [[refused]] = await draw_all(sampler(model_server, tmp_path, max_retries=0), PROMPTS[2:3], [0])
    assert refused.error is not None and "Not allowed in your country" in refused.error
    with pytest.raises(BackendError, match="Not allowed in your country"):
        await draw_all(sampler(model_server, tmp_path, max_retries=0), [*PROMPTS[2:], prompt("Another?")], [0])
