"""The vllm-offline sampler with one engine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rsr_cli.config.settings import SamplerSettings
from rsr_cli.errors import BackendError
from rsr_cli.samplers.vllm_offline import VllmOffline
from rsr_cli.types import Completion, Prompt
from tests.vllm.conftest import OFFLINE, TINY, descendants

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="module")]

SUM = Prompt("sum", [{"role": "user", "content": "What is 3 + 4?"}], {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sampler() -> AsyncIterator[VllmOffline]:
    async with VllmOffline(SamplerSettings(**OFFLINE, drop_truncated=False), run_seed=7) as sampler:
        yield sampler


async def sample(sampler: VllmOffline, prompt: Prompt, attempts: Sequence[int]) -> dict[int, Completion]:
    return {completion.attempt: completion async for completion in sampler.sample(prompt, attempts)}


def with_sampling(**sampling: Any) -> Prompt:
    return Prompt("own", SUM.messages, {"sampling": sampling})


async def test_each_attempt_is_a_completion(sampler: VllmOffline) -> None:
    completions = await sample(sampler, SUM, range(16))
    assert completions.keys() == set(range(16))
    assert sampler.capacity == 97
    for completion in completions.values():
        assert completion.finish_reason == "stop" and completion.error is None
        assert completion.response and "\\boxed{" in completion.response and "<|end|>" not in completion.response
        assert completion.model == "model" and completion.prompt_tokens == 15 and completion.completion_tokens
        assert json.loads(completion.params)["temperature"] == 0.8


async def test_a_seed_repeats_an_attempt_in_any_company(sampler: VllmOffline) -> None:
    many = await sample(sampler, SUM, range(24))
    alone = await sample(sampler, SUM, [5])
    assert alone[5].response == many[5].response and alone[5].seed == many[5].seed
    assert len({completion.response for completion in many.values()}) > 3


async def test_a_prompt_that_is_too_long_fails_alone(sampler: VllmOffline) -> None:
    long = Prompt("long", [{"role": "user", "content": "What is 3 + 4? " * 200}], {})
    refused, sound = await asyncio.gather(sample(sampler, long, [0]), sample(sampler, SUM, [0]))
    assert refused[0].finish_reason == "error" and "the prompt is too long: 2603 tokens" in (refused[0].error or "")
    assert sound[0].error is None


@pytest.mark.parametrize(
    ("messages", "sampling", "words"),
    [
        (SUM.messages, {"top_q": 1}, "top_q"),
        (SUM.messages, {"top_k": -5}, "top_k"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], {}, "text alone"),
    ],
)
async def test_a_prompt_that_no_engine_takes_fails_alone(
    messages: list[dict[str, Any]], sampling: dict[str, Any], words: str, sampler: VllmOffline
) -> None:
    completions = await sample(sampler, Prompt("bad", messages, {"sampling": sampling}), [0])
    assert words in (completions[0].error or "")


async def test_a_cut_attempt_goes_on_from_its_text(sampler: VllmOffline) -> None:
    prompt = with_sampling(max_tokens=2, temperature=0)
    cut = (await sample(sampler, prompt, [0]))[0]
    assert cut.finish_reason == "length" and cut.completion_tokens == 2 and cut.response
    whole = (await sample(sampler, with_sampling(temperature=0), [0]))[0]
    on = await sampler.extend(prompt, cut, max_tokens=100, from_prefix=True)
    again = await sampler.extend(prompt, cut, max_tokens=100, from_prefix=False)
    assert on.finish_reason == again.finish_reason == "stop"
    assert on.response == again.response == whole.response
    assert again.completion_tokens == 2 + (whole.completion_tokens or 0)


async def test_what_is_cancelled_leaves_the_engine(sampler: VllmOffline) -> None:
    endless = with_sampling(ignore_eos=True, max_tokens=490)
    completions = sampler.sample(endless, range(40))
    first = asyncio.ensure_future(anext(completions))
    await asyncio.sleep(0.2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await completions.aclose()
    assert (await sample(sampler, SUM, [0]))[0].error is None
    pool = sampler._pool
    assert pool is not None
    steps = await pool._seats[0].engine.steps()
    await asyncio.sleep(0.5)
    assert await pool._seats[0].engine.steps() - steps <= 1, "the engine still works on what was cancelled"


async def test_a_hung_engine_is_replaced_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    others = descendants(os.getpid())
    async with VllmOffline(SamplerSettings(**OFFLINE, timeout=5)) as sampler:
        for pid in descendants(os.getpid()) - others:
            os.kill(pid, signal.SIGSTOP)
        completions = await sample(sampler, SUM, range(4))
    assert all(completion.error is None for completion in completions.values())
    assert "it made no step for 5 s" in caplog.text


def broken_weights(folder: Path) -> dict[str, Any]:
    shutil.copytree(TINY, folder / "broken")
    weights = folder / "broken/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    return {"model_path": str(folder / "broken")}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"engine_params": {"enforce_eagre": True}}, "did you mean 'enforce_eager'"),
        ({"extra_params": {"top_q": 1}}, "a sampling field is refused"),
        ({"reasoning_parser": "deepseek_r9"}, "sampler.reasoning_parser"),
        (broken_weights, "SafetensorError"),
    ],
)
async def test_an_engine_that_cannot_start_says_why(fields: Any, words: str, tmp_path: Path) -> None:
    fields = fields(tmp_path) if callable(fields) else fields
    with pytest.raises(BackendError) as caught:
        async with VllmOffline(SamplerSettings(**(OFFLINE | fields))):
            pass
    assert words in caught.value.message
