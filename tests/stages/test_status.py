"""rsr status: true of what is done, out of date, under way, killed; it runs no code and waits for nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Rsr
from tests.rsr_processes import start_rsr
from tests.server.running import ModelServer
from tests.work_dirs import state, sums, write_config, write_rows

VERIFIER = "class V:\n    def verify(self, response, metadata):\n        return float(metadata['answer'] in response)\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a run needs, and its finished work dir `w`."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "graded.py").write_text(VERIFIER)
    (folder / "t.py").write_text("def f(row):\n    return row\n")
    with ModelServer() as server:
        config = write_config(
            folder / "config.yaml",
            write_rows(folder / "in.jsonl", sums(12)),
            server.base_url,
            verifier={"type": f"{folder}/graded.py:V", "workers": 1},
            sampler={"api_key": "${A_KEY_THAT_IS_NOT_SET_HERE}"},
            data={"preprocess": {"transform": f"{folder}/t.py:f"}},
        )
        command = [sys.executable, "-m", "rsr_cli", "run", str(config), "-w", str(folder / "w")]
        environment = os.environ | {"A_KEY_THAT_IS_NOT_SET_HERE": "sk-1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def work_dir(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished / "w", tmp_path / "w"))


def status(rsr: Rsr, work_dir: Path) -> tuple[int, dict[str, Any]]:
    outcome = rsr("status", work_dir, "--json")
    return outcome.exit_code, json.loads(outcome.stdout)


def stale(told: dict[str, Any]) -> dict[str, list[str]]:
    return {name: stage["stale"] for name, stage in told["stages"].items() if stage["stale"]}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_all_done(work_dir: Path, rsr: Rsr) -> None:
    code, told = status(rsr, work_dir)
    assert (code, told["status"], told["next"]) == (0, "done", [])
    assert all(stage["up_to_date"] for stage in told["stages"].values())
    assert rsr("status", work_dir).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_rollouts: 8", "max_rollouts: 9", {"sample": "settings of sampling", "analyze": "settings of sampling"}),
        ("temperature: 0.7", "temperature: 0.8", {"sample": "the model or its parameters"}),
        ("completion: 0.0", "completion: 2.0", {"analyze": "the prices"}),
        ("type: sft", "type: top_k", {"format": "formatters", "sample": "formatters", "analyze": "formatters"}),
        ("concurrent_requests: 32", "concurrent_requests: 31", {}),
    ],
)
def test_a_changed_setting(old: str, new: str, expected: dict[str, str], work_dir: Path, rsr: Rsr) -> None:
    edit(work_dir / "config.yaml", old, new)
    code, told = status(rsr, work_dir)
    assert stale(told).keys() == expected.keys()
    assert all(text in stale(told)[stage][0] for stage, text in expected.items())
    assert code == (4 if expected else 0)


def test_changed_files_are_seen_without_running_them(finished: Path, work_dir: Path, rsr: Rsr) -> None:
    before = {name: (finished / name).read_text() for name in ("graded.py", "t.py", "in.jsonl")}
    evil = f"open({str(work_dir / 'ran')!r}, 'w')\n"
    try:
        (finished / "graded.py").write_text(evil + VERIFIER)
        (finished / "t.py").write_text(evil + before["t.py"])
        (finished / "in.jsonl").write_text(before["in.jsonl"] + "\n")
        code, told = status(rsr, work_dir)
    finally:
        for name, text in before.items():
            (finished / name).write_text(text)
    assert code == 4
    assert stale(told) == {
        "prepare": ["the input has changed", "the transform has changed"],
        "sample": ["the verifier has changed"],
        "verify": ["the verifier has changed"],
    }
    assert not (work_dir / "ran").exists()
    assert status(rsr, work_dir)[0] == 0


@pytest.mark.parametrize(
    ("gone", "stage"),
    [
        ("data/shard_0001.parquet", "prepare"),
        ("rollout/shard_0000.parquet", "sample"),
        ("score/shard_0000.parquet", "verify"),
        ("train/dpo.jsonl", "format"),
        ("summary/report.html", "analyze"),
    ],
)
def test_what_is_missing(gone: str, stage: str, work_dir: Path, rsr: Rsr) -> None:
    (work_dir / gone).unlink()
    code, told = status(rsr, work_dir)
    assert code == 4
    assert stage in stale(told)
    shown = rsr("status", work_dir)
    assert shown.exit_code == 4
    assert "rsr resume -w" in shown.stdout


def test_a_resume_leaves_nothing_stale(work_dir: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY_THAT_IS_NOT_SET_HERE", "sk-1")
    for change in ("sampler.price.completion=3", "sampling.include_reference=false", "verifier.time_limit=8"):
        assert rsr("resume", "-w", work_dir, change, "sampler.base_url=http://127.0.0.1:9/v1").exit_code == 0
        assert status(rsr, work_dir)[1]["status"] == "done"


def test_a_config_that_cannot_be_read_is_not_called_done(work_dir: Path, rsr: Rsr) -> None:
    (work_dir / "config.yaml").write_text("sampling: [")
    code, told = status(rsr, work_dir)
    assert (code, told["status"]) == (4, "unknown")
    assert "can't be told" in told["notes"][0]


def killed(work_dir: Path) -> None:
    changed = state(work_dir)
    changed["stages"]["sample"] |= {"status": "running", "finished": None}
    (work_dir / "state.json").write_text(json.dumps(changed))


def test_a_killed_run(work_dir: Path, rsr: Rsr) -> None:
    killed(work_dir)
    live = {"stage": "sample", "done": 7, "total": 12, "pid": 1, "updated": "2026-01-01T00:00:00+00:00"}
    (work_dir / "logs/progress.json").write_text(json.dumps(live))
    code, told = status(rsr, work_dir)
    assert (code, told["status"]) == (4, "unfinished")
    assert told["next"] == ["sample"]
    assert "sample was killed at 7 of 12" in told["notes"][0] and "rsr resume -w" in told["notes"][0]
    assert told["notes"][0] in rsr("status", work_dir).stdout


@pytest.mark.parametrize("content", ["", "[1]", '{"stage": 3, "done": "x"}', '{"stage": "sample"}', "{" * 9000])
def test_a_progress_file_that_rsr_did_not_write(content: str, work_dir: Path, rsr: Rsr) -> None:
    killed(work_dir)
    (work_dir / "logs/progress.json").write_text(content)
    code, told = status(rsr, work_dir)
    assert code == 4 and told["live"] is None
    assert "sample was killed;" in told["notes"][0]


def test_a_pipe_in_place_of_a_file_hangs_nobody(work_dir: Path, rsr: Rsr) -> None:
    os.mkfifo(work_dir / "logs/progress.json")
    outcome = rsr("status", work_dir)
    assert outcome.exit_code == 2 and "logs/progress.json" in outcome.stderr


def test_a_run_under_way(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.latency = lambda ask: 0.15
    config = write_config(
        tmp_path / "c.yaml",
        write_rows(tmp_path / "in.jsonl", sums(30)),
        model_server.base_url,
        sampler={"concurrent_requests": 4, "price": {"prompt": 1.0, "completion": 2.0}},
    )
    work_dir = tmp_path / "w"
    process = start_rsr("run", config, "-w", work_dir, output=tmp_path / "out")
    wait_for(lambda: (work_dir / "logs/progress.json").exists())
    code, told = status(rsr, work_dir)
    assert (code, told["status"], told["next"]) == (4, "running", [])
    live = told["live"]
    assert live["stage"] == "sample" and live["total"] == 30 and live["pid"] == process.pid
    assert live["figures"]["attempts"] > 0 and live["figures"]["cost"] > 0
    shown = rsr("status", work_dir).stdout
    assert "sample   running" in shown and f"the process {process.pid} writes here" in shown
    os.kill(process.pid or 0, signal.SIGTERM)
    watched = rsr("status", work_dir, "--watch", "--every", "0.1")
    process.join(20)
    assert watched.exit_code == 4, "stopped is not done"
    assert "stopped" in watched.stdout and "rsr resume -w" in watched.stdout
    assert not (work_dir / "logs/progress.json").exists()
    model_server.scenario.latency = None
    process = start_rsr("resume", "-w", work_dir, output=tmp_path / "out")
    process.join(30)
    assert rsr("status", work_dir, "--watch").exit_code == 0


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
