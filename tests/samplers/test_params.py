"""The parameters of a request: the settings, and a prompt's own over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.config.settings import SamplerSettings
from rsr_cli.samplers.params import request_params
from rsr_cli.types import Prompt
from tests.conftest import Rsr
from tests.samplers.drawing import draw, prompt, sampler
from tests.server import ModelServer
from tests.work_dirs import rows, sums, write_config, write_rows


def with_sampling(sampling: Any, id: str = "own") -> Prompt:
    return Prompt(id, prompt().messages, {"sampling": sampling})


async def test_a_prompt_has_its_own_parameters(model_server: ModelServer) -> None:
    own = {"temperature": None, "max_tokens": 9, "top_k": 5, "min_p": None}
    settings = {"max_tokens": 77, "extra_params": {"min_p": 0.1, "top_k": 20, "presence_penalty": 1}}
    async with sampler(model_server.base_url, **settings) as backend:
        [usual] = await draw(backend)
        [special] = await draw(backend, of=with_sampling(own))
    common = {"model": "DeepSeek-R1", "messages": prompt().messages, "top_p": 1.0, "presence_penalty": 1}
    assert [served.body for served in model_server.log] == [
        common | {"temperature": 0.7, "max_tokens": 77, "min_p": 0.1, "top_k": 20},
        common | {"max_tokens": 9, "top_k": 5},
    ]
    assert json.loads(usual.params) == {
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 77,
        "extra_params": {"min_p": 0.1, "top_k": 20, "presence_penalty": 1},
    }
    assert json.loads(special.params) == {
        "temperature": None,
        "top_p": 1.0,
        "max_tokens": 9,
        "extra_params": {"top_k": 5, "presence_penalty": 1},
    }


async def test_a_server_that_wants_another_limit_field_gets_the_prompts_own_limit(model_server: ModelServer) -> None:
    model_server.scenario.limit_field = "max_completion_tokens"
    async with sampler(model_server.base_url) as backend:
        await draw(backend, of=with_sampling({"max_tokens": 9}))
    assert model_server.log[-1].body["max_completion_tokens"] == 9


def test_secrets_stay_out_of_the_row() -> None:
    settings = SamplerSettings(extra_params={"api_key": "sk-settings"})
    params = request_params(settings, with_sampling({"token": "sk-prompt", "max_tokens": 5}))
    assert params.extra == {"api_key": "sk-settings", "token": "sk-prompt"}
    assert "sk-" not in params.text and json.loads(params.text)["max_tokens"] == 5


@pytest.mark.parametrize(
    ("sampling", "why"),
    [
        ([1], "a list, not an object"),
        ({"seed": 3}, r"sampling\.seed can't be set"),
        ({"n": 2}, r"sampling\.n can't be set"),
        ({"max_completion_tokens": 5}, r"sampling\.max_completion_tokens"),
        ({"extra_params": {"top_k": 1}}, "put what it holds"),
        ({"temperature": -0.1}, "temperature is no number of 0 or more: -0.1"),
        ({"temperature": "0.7"}, "temperature is no number"),
        ({"top_p": 0}, "top_p is no number above 0"),
        ({"max_tokens": 0}, "max_tokens is no whole number"),
        ({"max_tokens": None}, "max_tokens is no whole number"),
        ({"max_tokens": True}, "max_tokens is no whole number"),
    ],
)
async def test_a_malformed_one_is_an_error_of_its_prompt(sampling: Any, why: str, model_server: ModelServer) -> None:
    with pytest.raises(ValueError, match=why):
        request_params(SamplerSettings(), with_sampling(sampling))
    async with sampler(model_server.base_url) as backend:
        failed = await draw(backend, [0, 1], with_sampling(sampling))
        [fine] = await draw(backend)
    assert [(c.finish_reason, c.response) for c in failed] == [("error", None)] * 2
    assert all("metadata.sampling" in (c.error or "") for c in failed)
    assert fine.error is None and len(model_server.log) == 1


def test_prepare_names_the_row_and_sample_says_what_was_used(
    rsr: Rsr, model_server: ModelServer, tmp_path: Path
) -> None:
    prompts = sums(2)
    prompts[1]["metadata"]["sampling"] = {"temperature": 2, "seed": 1}
    data = write_rows(tmp_path / "in.jsonl", prompts)
    config = write_config(
        tmp_path / "c.yaml", data, model_server.base_url, sampling={"max_rollouts": 2, "step_size": 2}
    )
    refused = rsr("prepare", config, "-w", tmp_path / "w")
    assert refused.exit_code == 2
    assert "in.jsonl:2: metadata.sampling.seed can't be set for one prompt: use sampling.seed" in refused.stderr
    del prompts[1]["metadata"]["sampling"]["seed"]
    write_rows(data, prompts)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    assert rsr("sample", "-w", tmp_path / "w").exit_code == 0
    used = {(row["id"], json.loads(row["params"])["temperature"]) for row in rows(tmp_path / "w" / "rollout")}
    assert used == {("sum-0", 0.7), ("sum-1", 2)}
