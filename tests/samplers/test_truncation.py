"""The truncation ladder over the API sampler: what is asked for, what is kept, what stands in the row."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from rsr_cli.config.settings import SamplerSettings, Sampling
from rsr_cli.errors import ConfigError
from rsr_cli.samplers.build import build
from rsr_cli.samplers.continuing import continued, prefix
from rsr_cli.tiny.server import embedded
from rsr_cli.types import Completion, Prompt
from tests.samplers.drawing import draw, prompt
from tests.server import Ask, ModelServer, Reply, written_out

TEN = "one two three four five six seven eight nine ten"
THINKING = "let me count: one two three four"
PROBLEM = "Ben has 12 pens. Ben loses 5 pens. Then the number of pens doubles. How many pens does Ben have now?"
BORDER = 8
"""The tokens of the thinking with its opening tag."""
ANSWER = "the answer is \\boxed{4} , and that is it"


async def drawn(
    server: ModelServer | str, on_truncation: str, *, attempts: Any = (0,), limit: int | None = None, **settings: Any
) -> list[Completion]:
    url = server if isinstance(server, str) else server.base_url
    sampling = Sampling(on_truncation=on_truncation, truncation_limit=limit, seed=settings.pop("seed", None))
    of = settings.pop("of", prompt())
    chosen: dict[str, Any] = {"base_url": [url], "timeout": 5.0, "max_tokens": 3, **settings}
    async with build(SamplerSettings(**chosen), sampling) as backend:
        return await draw(backend, attempts, of)


def story(completion: Completion) -> Any:
    params = json.loads(completion.params)
    return params["max_tokens"], params.get("on_truncation")


async def test_a_raised_limit_draws_the_attempt_again_with_its_seed(model_server: ModelServer) -> None:
    model_server.scenario.reply = written_out(TEN)
    [completion] = await drawn(model_server, "raise_limit", seed=1)
    assert (completion.response, completion.finish_reason) == (TEN, "stop")
    assert story(completion) == (12, {"how": "raise_limit", "cuts": [3, 6]})
    assert (completion.completion_tokens, completion.prompt_tokens) == (3 + 6 + 10, 3 * 5)
    assert [served.body["max_tokens"] for served in model_server.log] == [3, 6, 12]
    assert {served.seed for served in model_server.log} == {completion.seed}
    assert all(served.body["messages"] == prompt().messages for served in model_server.log)


async def test_an_attempt_goes_on_from_its_prefix(model_server: ModelServer) -> None:
    model_server.scenario.reply = written_out(TEN)
    [completion] = await drawn(model_server, "continue")
    assert (completion.response, completion.finish_reason) == (TEN, "stop")
    assert story(completion) == (12, {"how": "continue", "cuts": [3]})
    assert (completion.completion_tokens, completion.latency_s > 0) == (10, True)
    first, second = (served.body for served in model_server.log)
    assert "continue_final_message" not in first
    assert second["messages"] == [*prompt().messages, {"role": "assistant", "content": "one two three"}]
    assert (second["continue_final_message"], second["add_generation_prompt"], second["max_tokens"]) == (True, False, 9)
    assert second["temperature"] == 0.7


@pytest.mark.parametrize("parser", [True, False])
async def test_thinking_and_reply_are_told_apart_wherever_the_cut_is(parser: bool, model_server: ModelServer) -> None:
    model_server.scenario.reply = written_out(ANSWER, THINKING, parser=parser)
    [whole] = await drawn(model_server, "drop", max_tokens=100)
    assert whole.reasoning == (THINKING if parser else None)
    for max_tokens in [*range(2, BORDER), *range(BORDER + 2, 19)]:
        [completion] = await drawn(model_server, "continue", max_tokens=max_tokens, limit=100)
        assert (completion.response, completion.reasoning) == (whole.response, whole.reasoning)
        assert completion.completion_tokens == whole.completion_tokens


@pytest.mark.parametrize("max_tokens", [BORDER, BORDER + 1])
async def test_a_cut_on_the_border_never_makes_thinking_a_reply(max_tokens: int, model_server: ModelServer) -> None:
    model_server.scenario.reply = written_out(ANSWER, THINKING)
    [completion] = await drawn(model_server, "continue", max_tokens=max_tokens, limit=100)
    assert (completion.response, completion.finish_reason) == (None, "stop")
    assert (completion.reasoning or "").startswith(THINKING)


def test_a_parser_that_wants_both_tags_leaves_the_thinking_in_the_text() -> None:
    cut = Completion(attempt=0, response=None, reasoning="I add", finish_reason="length", model="m")
    rest = Completion(attempt=0, response=" them up\n</think>\n\nIt is 7", finish_reason="stop", model="m")
    joined = continued(cut, rest)
    assert (joined.reasoning, joined.response) == ("I add them up", "It is 7")


def test_thinking_that_never_ends_is_no_reply() -> None:
    cut = Completion(attempt=0, response=None, reasoning="I add", finish_reason="length", model="m")
    rest = Completion(attempt=0, response=" them up to 7", finish_reason="stop", model="m")
    joined = continued(cut, rest)
    assert (joined.reasoning, joined.response) == ("I add them up to 7", None)
    assert prefix(joined) == "<think>\nI add them up to 7"


@pytest.mark.parametrize("how", ["raise_limit", "continue"])
async def test_what_is_cut_at_the_last_limit_stays_truncated(how: str, model_server: ModelServer) -> None:
    model_server.scenario.reply = written_out(TEN)
    [completion] = await drawn(model_server, how, limit=5)
    assert (completion.response, completion.finish_reason) == (None, "length")
    assert completion.completion_tokens == (3 + 5 if how == "raise_limit" else 5)
    assert story(completion) == (5, {"how": how, "cuts": [3]})
    [kept] = await drawn(model_server, how, limit=5, drop_truncated=False)
    assert kept.response == "one two three four five"


async def test_each_attempt_of_a_request_climbs_by_itself(model_server: ModelServer) -> None:
    long = written_out(TEN)
    model_server.scenario.reply = lambda ask: (
        long(ask) if ask.k % 2 or len(ask.body["messages"]) > 1 else Reply("short")
    )
    completions = await drawn(model_server, "continue", attempts=range(4))
    assert [completion.response for completion in completions] == ["short", TEN, "short", TEN]
    assert [served.n for served in model_server.log] == [4, 1, 1]
    assert sum(completion.completion_tokens or 0 for completion in completions) == 2 * 1 + 2 * 10


async def test_a_prompts_own_limit_is_what_it_climbs_from(model_server: ModelServer) -> None:
    model_server.scenario.reply = written_out(TEN)
    own = Prompt("own", prompt().messages, {"sampling": {"max_tokens": 2, "top_k": 3}})
    [completion] = await drawn(model_server, "continue", of=own)
    assert story(completion) == (8, {"how": "continue", "cuts": [2]})
    assert [(served.body["max_tokens"], served.body["top_k"]) for served in model_server.log] == [(2, 3), (6, 3)]


async def test_a_refusal_to_go_on_leaves_it_truncated_and_is_told_once(
    model_server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    model_server.scenario.reply = written_out(TEN)
    model_server.scenario.continuing = "refuse"
    with caplog.at_level(logging.WARNING, "rsr_cli"):
        completions = await drawn(model_server, "continue", attempts=range(3), seed=1, drop_truncated=False)
    for completion in completions:
        assert (completion.response, completion.finish_reason) == ("one two three", "length")
        assert (completion.completion_tokens, completion.error) == (3, None)
        limit, told = story(completion)
        assert (limit, told["cuts"]) == (3, []) and "continue_final_message" in told["error"]
    assert len([record for record in caplog.records if "stays truncated" in record.message]) == 1


async def test_with_no_text_there_is_nothing_to_go_on_from(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply(None, "length", completion_tokens=3)
    [completion] = await drawn(model_server, "continue")
    assert (completion.finish_reason, completion.error, completion.completion_tokens) == ("length", None, 3)
    assert "no text" in story(completion)[1]["error"]
    assert len(model_server.log) == 1


async def test_a_whole_attempt_is_left_alone(model_server: ModelServer) -> None:
    def reply(ask: Ask) -> Reply:
        return Reply("done")

    model_server.scenario.reply = reply
    [completion] = await drawn(model_server, "raise_limit")
    assert story(completion) == (3, None)
    assert len(model_server.log) == 1


async def test_the_embedded_model_goes_on_where_it_was_cut() -> None:
    greedy: dict[str, Any] = {"model": "rsr-tiny", "temperature": 0, "of": prompt(PROBLEM)}
    with embedded() as url:
        [whole] = await drawn(url, "drop", max_tokens=300, **greedy)
        [completion] = await drawn(url, "continue", max_tokens=2, limit=300, **greedy)
    assert whole.finish_reason == completion.finish_reason == "stop"
    assert completion.response == whole.response
    assert story(completion)[1] == {"how": "continue", "cuts": [2]}


def test_a_sampler_that_cannot_go_on_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n    async def complete(self, prompt, attempt): ...\n")
    with pytest.raises(ConfigError, match=r"sampling\.on_truncation: continue can't be done with the sampler .*mine"):
        build(SamplerSettings(type=f"{path}:Mine"), Sampling(on_truncation="continue"))


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sampling\.truncation_limit: 100 is no more than sampler\.max_tokens, 2048"):
        build(SamplerSettings(), Sampling(on_truncation="raise_limit", truncation_limit=100))
