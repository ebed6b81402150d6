"""Whole runs by batches: at a server, killed and stopped in between, and by files that somebody else has answered."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import journals, outcome, rows, state, sums, write_config, write_rows


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    inputs = write_rows(tmp_path / "in.jsonl", sums(12))
    sampler: dict[str, Any] = {"type": "openai-batch", "poll_interval": 0.2}
    return write_config(tmp_path / "c.yaml", inputs, model_server.base_url, sampler=sampler, formatter=["sft"])


def sampled(work_dir: Path) -> dict[str, Any]:
    return state(work_dir)["stages"]["sample"]


def test_a_run_by_batches_ends_as_one_by_single_requests(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    result = rsr("run", config, "-w", tmp_path / "w")
    assert result.exit_code == 0, result.stderr
    assert "requests-0001.jsonl: submitted as the batch batch_0" in result.stderr
    assert len(model_server.batches[0].requests) == 12 * 4, "the first step of all prompts"
    assert rsr("run", config, "-w", tmp_path / "single", "sampler.type=openai-compatible-api").exit_code == 0
    assert outcome(tmp_path / "w")["train/sft"] == outcome(tmp_path / "single")["train/sft"]
    counts = Counter(row["id"] for row in rows(tmp_path / "w/rollout"))
    assert set(counts.values()) == {4, 8}, "steps are drawn whole"


def test_n_and_a_mixture(tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer) -> None:
    plain = ["sampling.seed=null", "sampling.early_stop=false", "sampling.max_rollouts=4"]
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    result = rsr("sample", "-w", work_dir, *plain)
    assert result.exit_code == 0, result.stderr
    assert [[item["body"]["n"] for item in batch.requests] for batch in model_server.batches] == [[4] * 12]
    members = "sampler.members=[{type: openai-batch, model: a}, {type: openai-batch, model: b}]"
    two = tmp_path / "two"
    rsr("prepare", config, "-w", two, *plain)
    result = rsr("sample", "-w", two, "sampler.type=mixture", members)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (two / "batches").iterdir()) == ["0", "1"]
    assert len(rows(two / "rollout")) == 12 * 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_ends_while_it_waits_goes_on_with_its_batch(
    number: int, tmp_path: Path, config: Path, rsr: Rsr, rsr_command: list[str], model_server: ModelServer
) -> None:
    model_server.scenario.batch_looks = 10**6
    work_dir = tmp_path / "w"
    process = subprocess.Popen([*rsr_command, "run", config, "-w", work_dir], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: bool(model_server.batches) and model_server.batches[0].looks > 0)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    if number == signal.SIGINT:
        assert process.returncode == 130, stderr
        assert "1 batch goes on at the server; rsr resume takes up what comes of it" in stderr
        assert sampled(work_dir)["status"] == "stopped"
    model_server.scenario.batch_looks = 0
    result = rsr("resume", "-w", work_dir, "sampling.max_rollouts=4")
    assert result.exit_code == 0, result.stderr
    assert "goes on with the batch batch_0" in result.stderr
    assert len(model_server.batches) == 1
    assert len(rows(work_dir / "rollout")) == 12 * 4
    assert not journals(work_dir)


def test_files_back_and_forth(tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer) -> None:
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    first = rsr("sample", "-w", work_dir, "--batch-files")
    assert first.exit_code == 0, first.stderr
    requests, responses = work_dir / "batches/requests-0001.jsonl", work_dir / "batches/responses-0001.jsonl"
    assert f"vllm run-batch -i {requests} -o {responses} --model test-model" in first.stdout
    assert "12 waiting prompts" in first.stdout and "waits" in first.stdout
    assert sampled(work_dir)["status"] == "stopped"
    assert len(requests.read_text().splitlines()) == 12 * 4
    written = requests.read_bytes()
    again = rsr("resume", "-w", work_dir)
    assert again.exit_code == 0, again.stderr
    assert str(responses) in again.stdout
    assert requests.read_bytes() == written
    assert not list((work_dir / "batches").glob("requests-0002*"))
    model_server.run_batch(requests)
    second = rsr("sample", "-w", work_dir, "--batch-files")
    assert second.exit_code == 0, second.stderr
    assert "requests-0002.jsonl" in second.stdout and "requests-0001.jsonl" not in second.stdout
    left = len((work_dir / "batches/requests-0002.jsonl").read_text().splitlines())
    assert 0 < left < 12 * 4 and left % 4 == 0, "only prompts without a pass go on"
    model_server.run_batch(work_dir / "batches/requests-0002.jsonl")
    last = rsr("resume", "-w", work_dir, "--json")
    assert last.exit_code == 0, last.stderr
    assert json.loads(last.stdout)["stages"]["analyze"]["prompts"]["total"] == 12
    assert sampled(work_dir)["status"] == "done" and sampled(work_dir)["counts"]["errors"] == 0
    assert not journals(work_dir)
    assert not model_server.batches


def test_no_more_is_asked_for_by_files_than_a_budget_allows(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    rsr("prepare", config, "-w", tmp_path / "w", "sampler.max_tokens=100", "sampling.token_budget=2000")
    result = rsr("sample", "-w", tmp_path / "w", "--batch-files")
    assert result.exit_code == 0, result.stderr
    requests = (tmp_path / "w/batches/requests-0001.jsonl").read_text().splitlines()
    assert 10 <= len(requests) <= 20, "an attempt is reckoned at max_tokens"
    assert "budget is spent" not in result.stderr


def test_files_are_for_the_batch_sampler_alone(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    rsr("prepare", config, "-w", tmp_path / "w")
    result = rsr("sample", "-w", tmp_path / "w", "--batch-files", "sampler.type=openai-compatible-api")
    assert result.exit_code == 2
    assert "`batch_files` is for `type: openai-batch`" in result.stderr


def test_a_probe_asks_singly(tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer) -> None:
    rsr("probe", config, "sampling.max_rollouts=2")
    assert model_server.log and not model_server.batches
    refused = rsr("probe", config, "sampler.batch_files=true", "sampler.base_url=null")
    assert refused.exit_code == 2
    assert "a probe needs a server to ask" in refused.stderr


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
