"""sample: failures for good, limits, several endpoints, the embedded model, a full disk."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Reply, Scenario
from tests.work_dirs import journals, outcome, rows, state, sums, write_config, write_rows


def write_inputs(tmp_path: Path, count: int = 8) -> Path:
    prompts = sums(count)
    prompts[2]["messages"][0]["content"] += " Take your time." * 20
    return write_rows(tmp_path / "in.jsonl", prompts)


def end_reasons(work_dir: Path) -> dict[str, str]:
    found = pq.read_table(work_dir / "summary/prompts.parquet").to_pylist()
    return {row["id"]: row["end_reason"] for row in found}


def test_a_prompt_that_is_too_long_fails_alone_and_is_asked_again_on_demand(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.context_chars = 200
    config = write_config(tmp_path / "c.yaml", write_inputs(tmp_path), model_server.base_url)
    work_dir = tmp_path / "w"
    outcome = rsr("run", config, "-w", work_dir)
    assert outcome.exit_code == 0, outcome.stderr
    assert "4 of " in outcome.stderr and "failed for good" in outcome.stderr
    assert {prompt for prompt, reason in end_reasons(work_dir).items() if reason == "error"} == {"sum-2"}
    failed = [row for row in rows(work_dir / "rollout") if row["error"]]
    assert [row["id"] for row in failed] == ["sum-2"] * 4
    served = len(model_server.log)
    assert rsr("resume", "-w", work_dir).exit_code == 0
    assert len(model_server.log) == served
    model_server.scenario.context_chars = None
    again = rsr("resume", "-w", work_dir, "--retry-errors")
    assert again.exit_code == 0, again.stderr
    after = rows(work_dir / "rollout")
    assert not [row for row in after if row["error"]]
    assert len({(row["id"], row["attempt"]) for row in after}) == len(after)
    assert end_reasons(work_dir)["sum-2"] in ("early_stop", "max_rollouts")


def test_an_interrupted_retry_of_errors_goes_on_at_resume(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.context_chars = 200
    config = write_config(tmp_path / "c.yaml", write_inputs(tmp_path), model_server.base_url)
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    before = state(work_dir)["stages"]["sample"]["counts"]
    model_server.scenario.context_chars = None
    began = len(model_server.log)
    model_server.scenario.fault = lambda number: "401" if number > began else None
    assert rsr("sample", "-w", work_dir, "--retry-errors").exit_code == 1
    stopped = state(work_dir)["stages"]["sample"]
    assert stopped["status"] == "failed"
    assert stopped["counts"]["attempts"] >= before["attempts"], "the counts are those of the whole work dir"
    model_server.scenario.fault = None
    assert rsr("resume", "-w", work_dir).exit_code == 0
    assert not [row for row in rows(work_dir / "rollout") if row["error"]]
    asked = len(model_server.log)
    again = rsr("sample", "-w", work_dir, "--json")
    assert len(model_server.log) == asked and '"new_attempts": 0' in again.stdout


def test_when_every_attempt_fails_it_is_said(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.context_chars = 3
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(3)), model_server.base_url)
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 1
    assert "every one of 12 attempts failed" in outcome.stderr
    assert len(rows(tmp_path / "w/rollout")) == 12, "what happened is kept"


def test_truncated_attempts_are_made_up_for_within_max_steps(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    right = model_server.scenario.reply
    model_server.scenario.reply = lambda ask: Reply(right(ask).content, "length" if ask.chance("cut") < 0.5 else "stop")
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(20)), model_server.base_url,
        sampling={"early_stop": False, "max_rollouts": 4, "step_size": 2, "max_steps": 3},
    )  # fmt: skip
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    reasons = end_reasons(tmp_path / "w")
    for prompt, attempts in Counter(row["id"] for row in rows(tmp_path / "w/rollout")).items():
        mine = [row for row in rows(tmp_path / "w/rollout") if row["id"] == prompt]
        valid = sum(row["finish_reason"] == "stop" for row in mine)
        assert valid <= 4 and attempts <= 6
        assert reasons[prompt] == ("max_rollouts" if valid == 4 else "max_steps")
    assert set(reasons.values()) == {"max_rollouts", "max_steps"}


def test_n_at_once_without_a_seed_and_one_by_one_with_one(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(3)), model_server.base_url)
    rsr("run", config, "-w", tmp_path / "a")
    assert {served.n for served in model_server.log} == {1}
    assert len({row["seed"] for row in rows(tmp_path / "a/rollout")}) == len(rows(tmp_path / "a/rollout"))
    model_server.log.clear()
    rsr("run", config, "-w", tmp_path / "b", "sampling.seed=null", "sampling.early_stop=false")
    assert {served.n for served in model_server.log} == {4}
    assert {row["seed"] for row in rows(tmp_path / "b/rollout")} == {None}


def test_several_endpoints_share_the_work(
    tmp_path: Path, rsr: Rsr, model_servers: Callable[[Scenario], ModelServer]
) -> None:
    one, other = model_servers(Scenario(latency=lambda ask: 0.02)), model_servers(Scenario(latency=lambda ask: 0.02))
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(20)), one.base_url)
    outcome = rsr("run", config, "-w", tmp_path / "w", f"sampler.base_url=[{one.base_url}, {other.base_url}]")
    assert outcome.exit_code == 0
    assert min(len(one.log), len(other.log)) > 20


def test_the_journal_is_open_before_anything_is_paid_for(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    work_dir = tmp_path / "w"
    seen = []

    def reply(ask: object) -> Reply:
        seen.append(sorted(path.name for path in (work_dir / "rollout").iterdir()))
        return Reply("\\boxed{7}")

    model_server.scenario.reply = reply
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(2)), model_server.base_url)
    assert rsr("run", config, "-w", work_dir).exit_code == 0
    assert seen[0] == ["shard_0000.journal"]
    assert not journals(work_dir)


def test_the_embedded_model_is_served_for_the_run(tmp_path: Path, rsr: Rsr) -> None:
    recipe = Path(__file__).parents[2] / "recipes/quickstart/config.yaml"
    work_dir = tmp_path / "w"
    outcome = rsr(
        "run", recipe, "-w", work_dir, "data.input_path=[{path: problems.jsonl, count: 12}]",
        "sampling.max_rollouts=4", "--json",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    stats = json.loads(outcome.stdout)["stages"]["analyze"]
    assert stats["attempts"]["models"] == {"rsr-tiny": stats["attempts"]["total"]}
    assert stats["scores"]["passed"] > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("a small disk can't be mounted here: that takes root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_costs_nothing_that_was_recorded(
    tmp_path: Path, small_disk: Path, rsr_command: list[str], model_server: ModelServer
) -> None:
    inputs = write_rows(tmp_path / "in.jsonl", sums(300))
    config = write_config(tmp_path / "c.yaml", inputs, model_server.base_url, shard={"size": 1000})
    full = subprocess.run([*rsr_command, "run", config, "-w", small_disk / "w"], capture_output=True, text=True)
    assert full.returncode == 1
    assert "No space left" in full.stderr and "rsr resume" in full.stderr and "Traceback" not in full.stderr
    served = len(model_server.log)
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    assert subprocess.run([*rsr_command, "resume", "-w", small_disk / "w"], capture_output=True).returncode == 0
    assert not journals(small_disk / "w")
    assert state(small_disk / "w")["stages"]["sample"]["status"] == "done"
    unbroken = subprocess.run([*rsr_command, "run", config, "-w", tmp_path / "u"], capture_output=True)
    assert unbroken.returncode == 0
    assert outcome(small_disk / "w") == outcome(tmp_path / "u")
    needed = len(rows(tmp_path / "u/rollout"))
    assert served > 100 and len(model_server.log) - needed - served < needed, "what was recorded was not asked again"
