"""vLLM behind its own server: as an openai-compatible backend, and as a reward model."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rsr_cli.config.settings import SamplerSettings
from rsr_cli.samplers.openai_compatible_api import OpenaiCompatibleApi
from rsr_cli.types import Prompt
from rsr_cli.verifiers.reward_model import RewardModel
from tests.vllm.conftest import TINY, wait_for

pytestmark = pytest.mark.vllm

SUM = Prompt("sum", [{"role": "user", "content": "What is 3 + 4?"}], {})


@contextmanager
def served(model: str, log: Path, *options: str) -> Iterator[str]:
    """The base URL of a vLLM server with the model `served`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--port", str(port)]
    command += ["--host", "127.0.0.1", "--served-model-name", "served", "--dtype", "float32", "--enforce-eager"]
    command += ["--max-model-len", "512", "--max-num-seqs", "64", "--kv-cache-memory-bytes", str(64 << 20), *options]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        wait_for(ready, "the server")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def test_a_served_vllm_is_a_backend(tmp_path: Path) -> None:
    with served(TINY, tmp_path / "log") as url:
        settings = SamplerSettings(base_url=[url], model="served", max_tokens=150, temperature=0.8)
        long = Prompt("long", [{"role": "user", "content": "What is 3 + 4? " * 200}], {})
        async with OpenaiCompatibleApi(settings, run_seed=3) as sampler:
            drawn = [completion async for completion in sampler.sample(SUM, range(8))]
            refused = [completion async for completion in sampler.sample(long, [0])]
    assert {completion.attempt for completion in drawn} == set(range(8))
    assert all(completion.finish_reason == "stop" and completion.error is None for completion in drawn)
    assert all("\\boxed{" in (completion.response or "") for completion in drawn)
    assert refused[0].error and "context length" in refused[0].error


def test_a_reward_model_served_by_vllm_scores_as_transformers_does(tmp_path: Path) -> None:
    import torch
    from transformers import LlamaForSequenceClassification

    torch.manual_seed(0)
    model = LlamaForSequenceClassification.from_pretrained(TINY, num_labels=1)
    model.save_pretrained(tmp_path / "reward")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(Path(TINY, name), tmp_path / "reward")
    replies = {number: "3 + 4 = 7. " * number + f"The answer is {number}." for number in range(8)}

    async def scores(**options: object) -> list[float | None]:
        async with RewardModel(**options) as judge:
            return [verdict.score for verdict in (await judge.judge(SUM, replies)).values()]

    expected = asyncio.run(scores(model_path=str(tmp_path / "reward")))
    options = ("--runner", "pooling", "--convert", "classify")
    with served(str(tmp_path / "reward"), tmp_path / "log", *options) as url:
        got = asyncio.run(scores(base_url=url, model="served"))
    assert len(set(expected)) == 8 and all(isinstance(score, float) and math.isfinite(score) for score in got)
    assert got == pytest.approx(expected, abs=1e-3)
