"""What the API sampler asks of a server, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from rsr_cli.clients.answers import Choice, share_tokens
from rsr_cli.errors import AuthError, BackendError, ConfigError
from rsr_cli.plugins.registry import find
from rsr_cli.samplers.openai_compatible_api import OpenaiCompatibleApi
from rsr_cli.samplers.seeds import attempt_seed
from rsr_cli.types import Message, Prompt
from tests.samplers.drawing import draw, draw_once, prompt, sampler, until
from tests.server import Ask, ModelServer, Reply


def test_found_by_name() -> None:
    assert find("sampler", "openai-compatible-api") is OpenaiCompatibleApi


async def test_one_request_for_all_attempts(model_server: ModelServer) -> None:
    completions = await draw_once(model_server.base_url, [4, 5, 6], max_tokens=77, extra_params={"top_k": 20})
    assert [completion.attempt for completion in completions] == [4, 5, 6]
    assert len({completion.response for completion in completions}) == 3
    assert all(completion.model == "test-model" and completion.latency_s > 0 for completion in completions)
    [served] = model_server.log
    assert served.body == {
        "model": "DeepSeek-R1",
        "messages": prompt().messages,
        "n": 3,
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 77,
        "top_k": 20,
    }


async def test_no_fields_that_say_nothing(model_server: ModelServer) -> None:
    await draw_once(model_server.base_url, [0])
    assert "n" not in model_server.log[0].body
    assert model_server.log[0].authorization is None


async def test_messages_go_out_exactly_as_they_stand(model_server: ModelServer) -> None:
    messages: list[Message] = [
        {"role": "system", "content": "a\n\u2028é 漢 \x00", "name": "x"},
        {"role": "user", "content": [{"type": "text", "text": "1"}]},
    ]
    async with sampler(model_server.base_url) as backend:
        await draw(backend, of=Prompt("p", messages, {}))
    assert model_server.log[0].body["messages"] == messages


@pytest.mark.parametrize("manner", ["ignore", "refuse"])
async def test_a_server_without_n_is_asked_one_by_one_and_remembered(
    manner: Literal["ignore", "refuse"], model_server: ModelServer
) -> None:
    model_server.scenario.n = manner
    async with sampler(model_server.base_url) as backend:
        first = await draw(backend, [0, 1, 2, 3])
        asked = len(model_server.log)
        second = await draw(backend, [4, 5])
    assert [c.attempt for c in first + second] == [0, 1, 2, 3, 4, 5]
    assert len({c.response for c in first + second}) == 6
    assert asked == (4 if manner == "ignore" else 5)
    assert [served.n for served in model_server.log[asked:]] == [1, 1]


async def test_choices_beyond_those_asked_for_are_ignored(model_server: ModelServer) -> None:
    model_server.scenario.n = "double"
    completions = await draw_once(model_server.base_url, [0, 1, 2])
    assert [c.attempt for c in completions] == [0, 1, 2]


async def test_a_run_seed_gives_each_attempt_its_own_request_and_seed(model_server: ModelServer) -> None:
    first = await draw_once(model_server.base_url, [0, 1, 2, 3], run_seed=11)
    again = await draw_once(model_server.base_url, [3, 2, 1, 0], run_seed=11)
    seeds = [completion.seed for completion in first]
    assert len(set(seeds)) == 4
    assert seeds == [attempt_seed(11, "sum", attempt) for attempt in range(4)]
    assert all(served.n == 1 and served.body["seed"] in seeds for served in model_server.log)
    assert [c.response for c in first] == [c.response for c in again]


def test_seeds_depend_on_all_three_and_fit_31_bits() -> None:
    seeds = {attempt_seed(run, id, attempt) for run in (0, 1) for id in ("a", "a1", "\ud800") for attempt in range(500)}
    assert len(seeds) == 3000
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_a_refused_seed_is_remembered(model_server: ModelServer) -> None:
    model_server.scenario.seed = "refuse"
    async with sampler(model_server.base_url, run_seed=1) as backend:
        first = await draw(backend, [0])
        second = await draw(backend, [1])
    assert [c.seed for c in first + second] == [None, None]
    assert ["seed" in served.body for served in model_server.log] == [True, False, False]


async def test_max_completion_tokens_where_the_server_wants_it(model_server: ModelServer) -> None:
    model_server.scenario.limit_field = "max_completion_tokens"
    async with sampler(model_server.base_url, max_tokens=9) as backend:
        await draw(backend, [0])
        await draw(backend, [1])
    assert [served.body.get("max_tokens") for served in model_server.log] == [9, None, None]
    assert [served.body.get("max_completion_tokens") for served in model_server.log] == [None, 9, 9]


async def test_all_refusals_of_a_dialect_at_once(model_server: ModelServer) -> None:
    model_server.scenario.limit_field = "max_completion_tokens"
    model_server.scenario.n = "refuse"
    completions = await draw_once(model_server.base_url, [0, 1, 2])
    assert all(completion.error is None for completion in completions)
    assert len({completion.response for completion in completions}) == 3


async def test_a_refused_temperature_stops_with_what_to_do(model_server: ModelServer) -> None:
    model_server.scenario.temperature = "refuse"
    with pytest.raises(BackendError, match=r"sampler\.temperature"):
        await draw_once(model_server.base_url, [0, 1])
    assert all("temperature" in served.body for served in model_server.log)


@pytest.mark.parametrize(
    "field",
    ["model", "messages", "n", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stream"],
)
def test_extra_params_may_not_override_our_own(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"sampler\.extra_params\.{field}\b"):
        sampler("http://localhost/v1", extra_params={field: 1})


def test_what_cannot_be_sent_is_refused_before_the_run() -> None:
    with pytest.raises(ConfigError, match="extra_params"):
        sampler("http://localhost/v1", extra_params={"logit_bias": 2**70})
    with pytest.raises(ConfigError, match="api_key") as caught:
        sampler("http://localhost/v1", api_key="kéy-secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="base_url"):
        sampler("localhost:8000/v1")


async def test_reasoning_is_kept_apart(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("7", reasoning="3 and 4")
    for field in ("reasoning", "reasoning_content"):
        model_server.scenario.reasoning_field = field
        [completion] = await draw_once(model_server.base_url)
        assert (completion.response, completion.reasoning) == ("7", "3 and 4")


async def test_reasoning_without_a_reply_is_a_class_of_its_own(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply(None, reasoning="3 and")
    [completion] = await draw_once(model_server.base_url)
    assert (completion.response, completion.reasoning, completion.finish_reason) == (None, "3 and", "stop")
    assert completion.error is None


async def test_an_empty_reply_is_a_reply(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("")
    [completion] = await draw_once(model_server.base_url)
    assert (completion.response, completion.error) == ("", None)
    assert len(model_server.log) == 1


@pytest.mark.parametrize("drop", [True, False])
async def test_truncated_text_is_dropped_and_its_tokens_kept(drop: bool, model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("3 + 4 is", "length", "let me see", completion_tokens=9)
    [completion] = await draw_once(model_server.base_url, drop_truncated=drop)
    assert completion.finish_reason == "length"
    assert completion.completion_tokens == 9
    assert completion.prompt_tokens == 5
    assert (completion.response, completion.reasoning) == ((None, None) if drop else ("3 + 4 is", "let me see"))


async def test_filtered_text_is_dropped(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("bad", "content_filter")
    [completion] = await draw_once(model_server.base_url)
    assert (completion.response, completion.finish_reason, completion.error) == (None, "content_filter", None)


async def test_of_n_choices_only_the_broken_are_asked_again(model_server: ModelServer) -> None:
    broken = {0: "abort", 2: "error", 4: "network_error"}
    model_server.scenario.reply = lambda ask: Reply(f"{ask.k}", broken.get(ask.k, "stop"))
    completions = await draw_once(model_server.base_url, [0, 1, 2, 3])
    assert sorted(str(completion.response) for completion in completions) == ["1", "3", "5", "6"]
    assert [served.n for served in model_server.log] == [4, 1, 1, 1]


async def test_completion_tokens_add_up_over_the_rows(model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("word " * (1 + ask.k), completion_tokens=7 * ask.k + 1)
    completions = await draw_once(model_server.base_url, [0, 1, 2, 3])
    tokens = [completion.completion_tokens or 0 for completion in completions]
    assert sum(tokens) == 1 + 8 + 15 + 22
    assert tokens == sorted(tokens)
    assert [completion.prompt_tokens for completion in completions] == [5, 0, 0, 0]


def test_token_shares() -> None:
    choices = [Choice("aaaa", None, "stop"), Choice(None, "bb", "stop"), Choice("", None, "stop")]
    shares = share_tokens(10, choices)
    assert sum(share or 0 for share in shares) == 10
    assert share_tokens(None, choices) == [None, None, None]
    assert share_tokens(5, choices[:1]) == [5]


async def test_a_server_without_usage_or_a_model_name(model_server: ModelServer) -> None:
    model_server.scenario.usage = False
    model_server.scenario.model = ""
    [completion] = await draw_once(model_server.base_url, model="asked-for")
    assert (completion.prompt_tokens, completion.completion_tokens, completion.model) == (None, None, "asked-for")


async def test_keep_alive_blanks_before_the_answer(model_server: ModelServer) -> None:
    model_server.scenario.keep_alive_blanks = 40
    [completion] = await draw_once(model_server.base_url)
    assert completion.error is None


async def test_the_key_goes_into_the_header_and_nowhere_else(model_server: ModelServer) -> None:
    model_server.scenario.api_key = "sk-right"
    await draw_once(model_server.base_url, api_key="sk-right")
    with pytest.raises(AuthError, match=r"sampler\.api_key") as caught:
        await draw_once(model_server.base_url, api_key="wrong-secret-key")
    assert "wrong-secret-key" not in str(caught.value)


async def test_never_more_requests_at_a_time_than_configured(model_server: ModelServer) -> None:
    model_server.scenario.latency = lambda ask: 0.01
    async with sampler(model_server.base_url, run_seed=1, concurrent_requests=3) as backend:
        await asyncio.gather(*(draw(backend, range(5), prompt(id=str(number))) for number in range(4)))
    assert len(model_server.log) == 20
    assert model_server.peak == 3


async def test_requests_count_against_the_limit_not_choices(model_server: ModelServer) -> None:
    model_server.scenario.latency = lambda ask: 0.03
    async with sampler(model_server.base_url, concurrent_requests=4) as backend:
        await asyncio.gather(*(draw(backend, range(8), prompt(f"{number}")) for number in range(4)))
    assert model_server.peak == 4


async def test_completions_come_as_they_arrive(model_server: ModelServer) -> None:
    slow = attempt_seed(1, "sum", 0)
    model_server.scenario.latency = lambda ask: 0.2 if ask.k == slow else 0.0
    async with sampler(model_server.base_url, run_seed=1) as backend:
        order = [completion.attempt async for completion in backend.sample(prompt(), [0, 1, 2])]
    assert order[-1] == 0


async def test_cancelling_hangs_up_and_frees_the_slot(model_server: ModelServer) -> None:
    model_server.scenario.latency = lambda ask: 30.0 if "slow" in ask.prompt else 0.0
    async with sampler(model_server.base_url, run_seed=1, concurrent_requests=2) as backend:
        task = asyncio.create_task(draw(backend, [0, 1, 2], prompt("slow")))
        await until(lambda: model_server.open == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await draw(backend, [0, 1, 2])) == 3
        await until(lambda: model_server.open == 0)
    assert [served.cancelled for served in model_server.log if "slow" in served.prompt] == [True, True]


async def test_closing_the_generator_early_cancels_the_rest(model_server: ModelServer) -> None:
    fast = attempt_seed(1, "sum", 0)
    model_server.scenario.latency = lambda ask: 0.0 if ask.k == fast else 30.0
    async with sampler(model_server.base_url, run_seed=1) as backend:
        completions = backend.sample(prompt(), [0, 1, 2])
        assert (await anext(completions)).attempt == 0
        await completions.aclose()
        await until(lambda: model_server.open == 0)


async def test_an_ask_knows_its_sample() -> None:
    assert Ask("p", 1, {}).chance() == Ask("p", 1, {}).chance() != Ask("p", 2, {}).chance()
