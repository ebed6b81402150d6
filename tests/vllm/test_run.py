"""Whole runs on vllm-offline: early stop, resume, and processes killed in mid-run."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.tiny.problems import generate
from tests.vllm.conftest import OFFLINE, alive, descendants, wait_for
from tests.work_dirs import rows, write_config, write_rows

pytestmark = pytest.mark.vllm

PROMPTS = 120


@pytest.fixture
def config(tmp_path: Path) -> Path:
    problems = [
        {
            "id": f"p{number}",
            "messages": [{"role": "user", "content": problem.question}],
            "metadata": {"answer": problem.answer},
        }
        for number, problem in enumerate(generate(5, PROMPTS))
    ]
    path = tmp_path / "config.yaml"
    sampling = {"max_rollouts": 8, "step_size": 4, "max_steps": 4, "seed": None}
    return write_config(
        path,
        write_rows(tmp_path / "in.jsonl", problems),
        "unused",
        sampler=OFFLINE | {"base_url": None},
        sampling=sampling,
    )


def recorded(work_dir: Path) -> set[tuple[str, int, str | None]]:
    target = WorkDir(LocalStorage(work_dir))
    return {
        (group.prompt.id, attempt.attempt, attempt.response)
        for shard in target.shards()
        for group in read_groups(target, shard)
        for attempt in group.attempts.values()
    }


def start(rsr_command: list[str], *arguments: object, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen([*rsr_command, *map(str, arguments)], stdout=file, stderr=file)


def wait_for_attempts(work_dir: Path, count: int, process: subprocess.Popen[bytes], log: Path) -> None:
    def enough() -> bool:
        assert process.poll() is None, log.read_text()
        return (work_dir / "data").is_dir() and len(recorded(work_dir)) >= count

    wait_for(enough, f"{count} attempts")


def check_finished(work_dir: Path, kept: set[tuple[str, int, str | None]]) -> None:
    """Nothing that was recorded is lost or doubled, and prompts stopped as soon as they had what they needed."""
    attempts = rows(work_dir / "rollout")
    keys = [(row["id"], row["attempt"]) for row in attempts]
    assert len(keys) == len(set(keys))
    assert kept <= recorded(work_dir)
    assert not [row["error"] for row in attempts if row["error"]]
    assert {row["id"] for row in attempts} == {f"p{number}" for number in range(PROMPTS)}
    import pyarrow.parquet as pq

    prompts: list[dict[str, Any]] = pq.read_table(work_dir / "summary/prompts.parquet").to_pylist()
    stopped = [row for row in prompts if row["end_reason"] == "early_stop"]
    assert stopped and any(row["n_attempts"] < 8 for row in stopped)
    assert list((work_dir / "train/sft").glob("*.parquet"))


def test_a_killed_run_leaves_no_process_and_is_resumed(tmp_path: Path, config: Path, rsr_command: list[str]) -> None:
    work_dir, log = tmp_path / "w", tmp_path / "log"
    process = start(rsr_command, "run", config, "-w", work_dir, log=log)
    wait_for_attempts(work_dir, 40, process, log)
    engines = descendants(process.pid)
    assert len(engines) >= 2
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, engines)), "the end of the engine", 30)
    kept = recorded(work_dir)
    resumed = subprocess.run([*rsr_command, "resume", "-w", work_dir], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    check_finished(work_dir, kept)


def test_ray_actors_are_replaced_and_end_with_the_driver(tmp_path: Path, config: Path, rsr_command: list[str]) -> None:
    work_dir, log = tmp_path / "w", tmp_path / "log"
    process = start(rsr_command, "run", config, "-w", work_dir, "sampler.num_gpus=2", log=log)
    wait_for_attempts(work_dir, 40, process, log)
    first = engine_actors(process.pid)
    assert len(first) == 2
    lost = first.pop()
    cores = descendants(lost)
    os.kill(lost, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, cores)), "the end of the killed actor's engine", 30)
    wait_for(lambda: len(engine_actors(process.pid)) == 2 or process.poll() is not None, "a new actor")
    engines = {pid for actor in engine_actors(process.pid) for pid in {actor} | descendants(actor)}
    everything = descendants(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, engines)), "the end of the actors", 60)
    assert b"it is started again" in log.read_bytes()
    kept = recorded(work_dir)
    one = "sampler.num_gpus=1"  # how many engines there are may change at any time
    resumed = subprocess.run([*rsr_command, "resume", "-w", work_dir, one], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    check_finished(work_dir, kept)
    wait_for(lambda: not any(map(alive, everything)), "the end of Ray", 120)


def engine_actors(driver: int) -> set[int]:
    return {pid for pid in descendants(driver) if "EngineActor" in Path(f"/proc/{pid}/cmdline").read_text()}
