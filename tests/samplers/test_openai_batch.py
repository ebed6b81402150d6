"""What the batch sampler puts into batches, and what it makes of what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.config.settings import SamplerSettings
from rsr_cli.errors import AuthError, BackendError, ConfigError, WorkDirError
from rsr_cli.plugins.registry import find
from rsr_cli.samplers.openai_batch import OpenaiBatch
from rsr_cli.samplers.seeds import attempt_seed
from rsr_cli.types import Completion, Postponed, Prompt
from tests.samplers.drawing import QUICK, prompt, until
from tests.server import ModelServer
from tests.server.faults import scripted_faults


def sampler(server: ModelServer, folder: Path, run_seed: int | None = None, **settings: Any) -> OpenaiBatch:
    chosen: dict[str, Any] = {
        "type": "openai-batch",
        "base_url": server.base_url,
        "poll_interval": 0.03,
        "timeout": 5.0,
        **settings,
    }
    made = OpenaiBatch(SamplerSettings(**chosen), run_seed, policy=RetryPolicy(**QUICK))
    made.work_in(folder)
    return made


async def draw(backend: OpenaiBatch, attempts: Sequence[int] = (0,), of: Prompt | None = None) -> list[Completion]:
    completions = [completion async for completion in backend.sample(of or prompt(), attempts)]
    return sorted(completions, key=lambda completion: completion.attempt)


async def draw_all(backend: OpenaiBatch, prompts: Sequence[Prompt], attempts: Sequence[int]) -> list[list[Completion]]:
    async with backend:
        return await asyncio.gather(*[draw(backend, attempts, of) for of in prompts])


PROMPTS = [prompt(f"What is {a} + 4?", f"sum {a} é\ud800") for a in range(4)]


def states(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("requests-*.json"))]


def test_found_by_name() -> None:
    assert find("sampler", "openai-batch") is OpenaiBatch


async def test_all_prompts_go_into_one_batch(model_server: ModelServer, tmp_path: Path) -> None:
    drawn = await draw_all(sampler(model_server, tmp_path, max_tokens=9, extra_params={"top_k": 5}), PROMPTS, [4, 5, 6])
    [batch] = model_server.batches
    assert len(batch.requests) == 4
    assert batch.requests[0]["body"] == {
        "model": "DeepSeek-R1",
        "messages": PROMPTS[0].messages,
        "n": 3,
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 9,
        "top_k": 5,
    }
    assert all(len(item["custom_id"]) <= 64 for item in batch.requests)
    for asked, completions in zip(PROMPTS, drawn, strict=True):
        assert [completion.attempt for completion in completions] == [4, 5, 6]
        assert len({completion.response for completion in completions}) == 3
        assert sum(completion.prompt_tokens or 0 for completion in completions) == 5
        assert all(completion.error is None and completion.model == "test-model" for completion in completions)
        served = [entry for entry in model_server.log if entry.body["messages"] == asked.messages]
        assert [entry.ks for entry in served] == [[0, 1, 2]]


async def test_a_run_seed_gives_each_attempt_its_own_request(model_server: ModelServer, tmp_path: Path) -> None:
    [drawn] = await draw_all(sampler(model_server, tmp_path, run_seed=3), [prompt()], [0, 1])
    assert [completion.seed for completion in drawn] == [attempt_seed(3, "sum", 0), attempt_seed(3, "sum", 1)]
    assert [len(batch.requests) for batch in model_server.batches] == [2]


async def test_a_full_file_is_submitted_at_once(model_server: ModelServer, tmp_path: Path) -> None:
    drawn = await draw_all(sampler(model_server, tmp_path, batch_requests=3), PROMPTS, [0])
    assert [len(batch.requests) for batch in model_server.batches] == [3, 1]
    assert all(completions[0].response for completions in drawn)


async def test_a_file_is_kept_below_the_limit_of_bytes(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsr_cli.clients.batches.client._MOST_BYTES", 600)
    await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert [len(batch.requests) for batch in model_server.batches] == [2, 2]


@pytest.mark.parametrize("fate", ["expired", "cancelled"])
async def test_what_a_batch_left_undone_goes_into_the_next(
    fate: str, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.scenario.batch_fate = lambda number: fate if number == 0 else "completed"
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0, 1])
    assert [len(batch.requests) for batch in model_server.batches] == [4, 2]
    assert all(completion.error is None for completions in drawn for completion in completions)
    assert len(model_server.log) == 4, "no request was answered twice"


async def test_a_batch_that_never_gets_done_is_given_up(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_fate = lambda number: "expired"
    [[completion]] = await draw_all(sampler(model_server, tmp_path, max_retries=2), [prompt()], [0])
    assert len(model_server.batches) == 3
    assert "could not be executed" in (completion.error or "")


async def test_a_failed_batch_stops_the_run_and_is_asked_again(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_fate = lambda number: "failed" if number == 0 else "completed"
    with pytest.raises(BackendError, match="token_limit_exceeded: Enqueued token limit"):
        await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert all(completions[0].response for completions in drawn)
    assert [state["status"] for state in states(tmp_path)] == ["failed", "completed"]


async def test_failures_of_single_requests(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.fault = scripted_faults(["400-filtered", "500", "429", None, None, "500"])
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    errors = [completions[0].error for completions in drawn]
    assert errors[0] == "HTTP 400: The prompt was filtered"
    assert errors[1:] == [None, None, None]
    assert [len(batch.requests) for batch in model_server.batches] == [4, 2, 1]


async def test_a_prompt_that_has_no_json_fails_alone(model_server: ModelServer, tmp_path: Path) -> None:
    odd = [Prompt("half", [{"role": "user", "content": "\ud800"}], {}), Prompt("hot", [], {"sampling": {"n": 2}})]
    drawn = await draw_all(sampler(model_server, tmp_path), [*odd, prompt()], [0])
    assert "can't be sent as JSON" in (drawn[0][0].error or "")
    assert "metadata.sampling.n" in (drawn[1][0].error or "")
    assert drawn[2][0].response


async def test_a_refusal_of_every_request_stops_the_run(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.only_model = True
    with pytest.raises(BackendError, match="does not exist"):
        await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    model_server.scenario.only_model = False
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert all(completions[0].response for completions in drawn), "what was refused is asked again"


async def test_what_a_server_does_not_take_is_left_out_of_the_next_batch(
    model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.scenario.limit_field = "max_completion_tokens"
    model_server.scenario.n = "ignore"
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0, 1])
    assert [[completion.attempt for completion in completions] for completions in drawn] == [[0, 1]] * 4
    assert [len(batch.requests) for batch in model_server.batches] == [4, 4, 4]
    async with sampler(model_server, tmp_path) as backend:
        assert not backend.together, "a later run knows"
        await draw(backend, [2])
    assert "max_completion_tokens" in model_server.batches[3].requests[0]["body"]


async def test_a_later_run_goes_on_with_a_batch_that_was_submitted(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_looks = 10**6
    first = asyncio.create_task(draw_all(sampler(model_server, tmp_path), PROMPTS, [0, 1, 2]))
    await until(lambda: bool(model_server.batches) and model_server.batches[0].looks > 0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    model_server.scenario.batch_looks = 0
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0, 1, 2])
    assert len(model_server.batches) == 1
    assert all(len({completion.response for completion in completions}) == 3 for completions in drawn)
    again = await draw_all(sampler(model_server, tmp_path), PROMPTS, [1, 2])
    assert again == [completions[1:] for completions in drawn], "part of a request that was answered"
    assert len(model_server.batches) == 1
    await draw_all(sampler(model_server, tmp_path, temperature=0.1), PROMPTS, [0])
    assert len(model_server.batches) == 2, "answers that were drawn otherwise are not used"


@pytest.mark.parametrize("lost", ["batch_id", "input_file_id"])
async def test_a_crash_while_submitting_is_not_paid_twice(lost: str, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.scenario.batch_looks = 10**6
    first = asyncio.create_task(draw_all(sampler(model_server, tmp_path), PROMPTS, [0]))
    await until(lambda: bool(model_server.batches) and model_server.batches[0].looks > 0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    [state] = states(tmp_path)
    if lost == "input_file_id":
        model_server.batches.clear()  # the upload was made, no batch yet
    state |= {"batch_id": None, "status": "written", lost: None}
    (tmp_path / "requests-0001.json").write_text(json.dumps(state))
    model_server.scenario.batch_looks = 0
    drawn = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert len(model_server.batches) == 1
    assert all(completions[0].response for completions in drawn)


async def test_failures_that_an_earlier_run_has_told_of_are_asked_again(
    model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.scenario.fault = scripted_faults(["400-filtered"])
    first = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    again = await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    assert first[0][0].error and again[0][0].response
    assert first[1:] == again[1:]
    assert [len(batch.requests) for batch in model_server.batches] == [4, 1]


async def test_files_only(model_server: ModelServer, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Postponed):
            await draw_in_turn(sampler(model_server, tmp_path, batch_files=True), PROMPTS, [0, 1])
        assert len(states(tmp_path)) == 1, "it is not asked twice"
    model_server.run_batch(tmp_path / "requests-0001.jsonl")
    drawn = await draw_all(sampler(model_server, tmp_path, batch_files=True), PROMPTS, [0, 1])
    assert [[completion.attempt for completion in completions] for completions in drawn] == [[0, 1]] * 4
    assert not model_server.batches


async def test_part_of_a_file_of_answers(model_server: ModelServer, tmp_path: Path) -> None:
    with pytest.raises(Postponed):
        await draw_in_turn(sampler(model_server, tmp_path, batch_files=True), PROMPTS, [0])
    responses = tmp_path / "responses-0001.jsonl"
    model_server.run_batch(tmp_path / "requests-0001.jsonl", responses)
    responses.write_bytes(responses.read_bytes()[:-50])
    drawn = await draw_in_turn(sampler(model_server, tmp_path, batch_files=True), PROMPTS[:3], [0])
    assert all(completions[0].response for completions in drawn)
    with pytest.raises(Postponed):
        await draw_in_turn(sampler(model_server, tmp_path, batch_files=True), PROMPTS, [0])
    assert len((tmp_path / "requests-0002.jsonl").read_bytes().splitlines()) == 1


async def draw_in_turn(backend: OpenaiBatch, prompts: Sequence[Prompt], attempts: Sequence[int]) -> list[Any]:
    """Every prompt is asked for; then the first error is raised."""
    async with backend:
        found = await asyncio.gather(*[draw(backend, attempts, of) for of in prompts], return_exceptions=True)
    for item in found:
        if isinstance(item, BaseException):
            raise item
    return found


async def test_vllms_own_errors_are_told(model_server: ModelServer, tmp_path: Path) -> None:
    with pytest.raises(Postponed):
        await draw_in_turn(sampler(model_server, tmp_path, batch_files=True), PROMPTS[:2], [0])
    names = [orjson.loads(line)["custom_id"] for line in (tmp_path / "requests-0001.jsonl").read_bytes().splitlines()]
    response = {"status_code": 400, "request_id": "r", "body": None}
    errors = ["The prompt is too long", {"error": {"message": "max_model_len is 8", "code": 400}}]
    lines = [{"custom_id": n, "response": response, "error": e} for n, e in zip(names, errors, strict=True)]
    (tmp_path / "responses-0001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    drawn = await draw_all(sampler(model_server, tmp_path, batch_files=True), PROMPTS[:2], [0])
    assert [item[0].error for item in drawn] == ["HTTP 400: The prompt is too long", "HTTP 400: max_model_len is 8"]


async def test_errors_that_stop_at_once(model_server: ModelServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one URL"):
        sampler(model_server, tmp_path, base_url=[model_server.base_url, "http://other/v1"])
    with pytest.raises(ValueError, match="openai-batch"):
        SamplerSettings(batch_files=True)
    (tmp_path / "requests-0001.json").write_text("{")
    with pytest.raises(WorkDirError, match=r"requests-0001\.json"):
        await draw_all(sampler(model_server, tmp_path), PROMPTS, [0])
    model_server.scenario.api_key = "right"
    model_server.scenario.batch_looks = 0
    with pytest.raises(AuthError, match="refuses the account"):
        await draw_all(sampler(model_server, tmp_path / "other", api_key="wrong"), PROMPTS, [0])
