"""Refusals: of one prompt, of the account, or passing. Neither a status nor words tell; what else is answered does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from rsr_cli.errors import AuthError, BackendError, BackendUnavailable
from tests.samplers.drawing import draw, draw_once, prompt, sampler
from tests.server import ModelServer, Scenario, scripted_faults

REFUSALS = [
    "400 Something about this is wrong",
    "401 token is being checked",
    "402 Payment required",
    "403 Your API key does not have access",
    "404 Not Found",
    "404 The model `m` does not exist",
    "redirect",
    "405 Method Not Allowed",
    "406 Not Acceptable",
    "410 Gone",
    "412 Precondition Failed",
    "418 no",
    "421 Misdirected",
    "422 Unprocessable",
    "451 Unavailable",
]
FLAGGED = [
    "403 Your input was flagged for self-harm",
    "403 Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
    "403 Sorry, you have been blocked",
    "403 The request is prohibited by the content policy",
    "400 The prompt was rejected by moderation",
    "400 Output data may contain inappropriate content",
]


def on(word: str, fault: str, server: ModelServer) -> Callable[[int], str | None]:
    """The fault for every prompt with this word."""
    return lambda number: fault if word in server.log[number].prompt else None


@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_stray_refusal_passes(fault: str, model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: fault if number == 1 else None
    async with sampler(model_server.base_url) as backend:
        await draw(backend)
        [completion] = await draw(backend, [1])
    assert completion.error is None
    assert len(model_server.log) <= 4


@pytest.mark.parametrize("fault", REFUSALS)
async def test_what_is_refused_while_others_are_answered_fails_alone(fault: str, model_server: ModelServer) -> None:
    model_server.scenario.fault = on("odd", fault, model_server)
    async with sampler(model_server.base_url) as backend:
        await draw(backend)
        [failed] = await draw(backend, [0], prompt("odd"))
        [fine] = await draw(backend, [1])
    assert failed.finish_reason == "error" and failed.error
    assert fine.error is None
    assert len(model_server.log) <= 8


@pytest.mark.parametrize("fault", FLAGGED)
@pytest.mark.parametrize("first", [True, False])
async def test_a_flagged_prompt_is_filtered_alone(fault: str, first: bool, model_server: ModelServer) -> None:
    model_server.scenario.fault = on("odd", fault, model_server)
    async with sampler(model_server.base_url) as backend:
        if not first:
            await draw(backend)
        [failed] = await draw(backend, [0], prompt("odd"))
        [fine] = await draw(backend, [1])
    assert failed.finish_reason == "content_filter" and failed.error
    assert fine.error is None
    assert len(model_server.log) <= 4


@pytest.mark.parametrize("fault", FLAGGED)
async def test_words_of_content_for_every_prompt_stop_at_once(fault: str, model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: fault
    with pytest.raises(BackendError, match=r"refuses") as caught:
        await draw_once(model_server.base_url)
    assert isinstance(caught.value, AuthError) is fault.startswith("403")
    assert len(model_server.log) == 2


async def test_a_refusal_among_the_first_waits_for_the_others(model_server: ModelServer) -> None:
    model_server.scenario.latency = lambda ask: 0.1
    model_server.scenario.fault = on("odd", "401 no", model_server)
    async with sampler(model_server.base_url) as backend:
        [failed], [fine] = await asyncio.gather(draw(backend, [0], prompt("odd")), draw(backend, [1]))
    assert "401" in (failed.error or "") and fine.error is None


@pytest.mark.parametrize("fault", ["401 token has expired", "403 Forbidden", "404 Tunnel offline", "redirect"])
async def test_a_refusal_of_everything_that_passes_costs_nothing(fault: str, model_server: ModelServer) -> None:
    async with sampler(model_server.base_url, concurrent_requests=8) as backend:
        await draw(backend)
        until = time.monotonic() + 0.15
        model_server.scenario.fault = lambda number: fault if time.monotonic() < until else None
        drawn = await asyncio.gather(*(draw(backend, [0], prompt(id=str(i))) for i in range(20)))
    assert [completion.error for [completion] in drawn] == [None] * 20


@pytest.mark.parametrize(
    ("fault", "error"), [("401 key revoked", AuthError), ("402 no credit", AuthError), ("403 banned", AuthError)]
)
async def test_a_refusal_of_everything_that_lasts_stops_the_run_and_names_a_prompt(
    fault: str, error: type[BackendError], model_server: ModelServer
) -> None:
    async with sampler(model_server.base_url) as backend:
        await draw(backend)
        model_server.scenario.fault = lambda number: fault
        began = time.monotonic()
        with pytest.raises(error, match=r"(?s)refuses the account.*'q3'.*sampler\.api_key"):
            await draw(backend, [0], prompt(id="q3"))
    assert 0.3 <= time.monotonic() - began < 3


async def test_where_plain_prompts_are_refused_the_answers_to_others_tell(model_server: ModelServer) -> None:
    def fault(number: int) -> str | None:
        text = model_server.log[number].prompt
        return "403 no" if "odd" in text or "hello" in text else None

    model_server.scenario.fault = fault
    async with sampler(model_server.base_url) as backend:
        await draw(backend)

        async def others() -> None:
            for number in range(100):
                await draw(backend, [number], prompt(id="other"))

        going_on = asyncio.create_task(others())
        [failed] = await draw(backend, [0], prompt("odd"))
        await going_on
    assert "403" in (failed.error or "")


THROTTLING = [
    "400 Too many requests, please wait before trying again.",
    "400 Too many tokens, please wait before trying again.",
    "400 Throttling: Requests rate limit exceeded",
    "403 Rate Limit Exceeded",
    "403 Quota exceeded for requests per minute",
    "404 The model is overloaded, try again later",
    "413 Rate limit reached: tokens per minute",
    "498 Flex tier capacity exceeded, try again later",
    "503 Slow down",
    "429 You exceeded your current quota. Please retry in 0.01s.",
    "429 Quota exceeded: insufficient_quota, limit per minute",
]
PASSING = [
    "408 late",
    "409 conflict",
    "423 locked: model is being loaded",
    "424 Failed dependency",
    "425 Too early",
    "498 no",
    "499 The operation was cancelled.",
]


@pytest.mark.parametrize("fault", THROTTLING)
async def test_words_of_throttling_under_any_status_do_not_eat_the_retries(
    fault: str, model_server: ModelServer
) -> None:
    model_server.scenario.fault = scripted_faults([fault] * 3)
    [completion] = await draw_once(model_server.base_url, patience={"max_retries": 0, "quota_patience": 5})
    assert completion.error is None
    assert len(model_server.log) == 4


@pytest.mark.parametrize("fault", PASSING)
async def test_passing_trouble_under_a_4xx_is_asked_again(fault: str, model_server: ModelServer) -> None:
    model_server.scenario.fault = scripted_faults([fault] * 2)
    [completion] = await draw_once(model_server.base_url)
    assert completion.error is None


async def test_words_of_throttling_for_one_prompt_alone_do_not_hold_up_the_run(model_server: ModelServer) -> None:
    model_server.scenario.fault = on("odd", "400 'how does a rate limit work' is not valid", model_server)
    async with sampler(model_server.base_url, patience={"max_retries": 3}) as backend:
        await draw(backend)
        [failed] = await draw(backend, [0], prompt("odd"))
    assert "not valid" in (failed.error or "")


async def test_what_is_too_large_for_the_rate_fails_alone(model_server: ModelServer) -> None:
    words = "Request too large for m on tokens per min (TPM): Limit 6000, Requested 9000. Reduce your message size."
    for status in (413, 429):
        model_server.scenario.fault = on("odd", f"{status} {words}", model_server)
        async with sampler(model_server.base_url) as backend:
            [failed] = await draw(backend, [0], prompt("odd"))
            [fine] = await draw(backend)
        assert "too large" in (failed.error or "") and fine.error is None


async def test_no_quota_is_a_rate_limit_after_answers_and_stops_when_nothing_comes(model_server: ModelServer) -> None:
    quota = "429 You exceeded your current quota, please check your plan and billing details."
    model_server.scenario.fault = lambda number: quota if number in (1, 2, 3) else None
    async with sampler(model_server.base_url, patience={"quota_patience": 0.2}) as backend:
        await draw(backend)
        [completion] = await draw(backend, [1])
        assert completion.error is None
        model_server.scenario.fault = lambda number: quota
        with pytest.raises(BackendUnavailable, match=r"(?s)current quota.*credit"):
            await draw(backend, [2])


async def test_requests_that_are_asked_again_are_counted(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "500"
    async with sampler(model_server.base_url, patience={"first_wait": 5.0, "longest_wait": 5.0}) as backend:
        drawing = [asyncio.create_task(draw(backend, [0], prompt(id=str(i)))) for i in range(5)]
        while backend.asked_again < 5:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.005)
        for task in drawing:
            task.cancel()
        await asyncio.gather(*drawing, return_exceptions=True)
        assert backend.asked_again == 0


@pytest.mark.parametrize("fault", ["500", "hang", "reset-before"])
async def test_what_fails_again_and_again_is_told(
    fault: str, model_server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    model_server.scenario.fault = lambda number: fault
    async with sampler(model_server.base_url, patience={"max_retries": 3}, timeout=0.05) as backend:
        await asyncio.gather(*(draw(backend, [0], prompt(id=str(i))) for i in range(8)))
    [warning] = [record.getMessage() for record in caplog.records if "asked again" in record.getMessage()]
    assert model_server.base_url in warning


async def test_a_single_failure_is_not_told(model_server: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    model_server.scenario.fault = scripted_faults(["500"])
    await draw_once(model_server.base_url)
    assert not caplog.records


async def test_another_endpoint_takes_what_one_refuses(model_servers: Callable[[Scenario], ModelServer]) -> None:
    first, second = model_servers(Scenario()), model_servers(Scenario())
    async with sampler([first.base_url, second.base_url], patience={"refusal_patience": 5}) as backend:
        await asyncio.gather(*(draw(backend, [0], prompt(id=str(i))) for i in range(10)))
        first.scenario.fault = lambda number: "401 key revoked"
        drawn = await asyncio.gather(*(draw(backend, [1], prompt(id=str(i))) for i in range(30)))
    assert [completion.error for [completion] in drawn] == [None] * 30
