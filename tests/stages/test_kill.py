"""A run that is killed at any moment loses nothing that was recorded, and ends as an unbroken one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.server.running import ModelServer
from tests.work_dirs import journals, rows, state, sums, without_times, write_config, write_rows

KILLS = int(os.environ.get("RSR_TEST_KILLS", "6"))


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    model_server.scenario.latency = lambda ask: 0.02 + 0.1 * ask.chance("latency")
    inputs = write_rows(tmp_path / "in.jsonl", sums(40))
    return write_config(tmp_path / "config.yaml", inputs, model_server.base_url, sampler={"concurrent_requests": 12})


def outcome(work_dir: Path) -> dict[str, object]:
    """All that a run leaves, less what depends on the clock."""
    folders = ("data", "rollout", "score", "train/sft", "train/dpo")
    return {folder: without_times(rows(work_dir / folder)) for folder in folders}


def recorded(work_dir: Path) -> set[tuple[str, int, str | None]]:
    """The attempts that stand in the shards and the journals of a work dir, by any path a reader has."""
    from rsr_cli.store.groups import read_groups
    from rsr_cli.store.work_dir import WorkDir

    target = WorkDir(work_dir)
    return {
        (group.prompt.id, attempt.attempt, attempt.response)
        for shard in target.shards()
        for group in read_groups(target, shard)
        for attempt in group.attempts.values()
    }


def test_killed_runs_end_as_an_unbroken_one(
    tmp_path: Path, config: Path, rsr_command: list[str], model_server: ModelServer
) -> None:
    unbroken = tmp_path / "unbroken"
    subprocess.run([*rsr_command, "run", config, "-w", unbroken], check=True, capture_output=True)
    chance = random.Random(5)
    broken = tmp_path / "broken"
    subprocess.run([*rsr_command, "prepare", config, "-w", broken], check=True, capture_output=True)
    kept: set[tuple[str, int, str | None]] = set()
    for _ in range(KILLS):
        process = subprocess.Popen(
            [*rsr_command, "resume", "-w", broken], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        time.sleep(chance.uniform(0.3, 2.5))
        process.kill()
        process.communicate()
        now = recorded(broken)
        assert kept <= now, "an attempt that was recorded is gone"
        kept = now
    finished = subprocess.run([*rsr_command, "resume", "-w", broken], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert kept <= recorded(broken)
    assert outcome(broken) == outcome(unbroken)
    assert not journals(broken)
    keys = [(row["id"], row["attempt"]) for row in rows(broken / "rollout")]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_arrived(
    number: int, code: int, tmp_path: Path, config: Path, rsr_command: list[str], model_server: ModelServer
) -> None:
    work_dir = tmp_path / "w"
    process = subprocess.Popen(
        [*rsr_command, "run", config, "-w", work_dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(model_server.log) > 60)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == code, stderr
    assert "stopping" in stderr and "Traceback" not in stderr
    assert state(work_dir)["stages"]["sample"]["status"] == "stopped"
    assert len(recorded(work_dir)) > 20
    subprocess.run([*rsr_command, "resume", "-w", work_dir], check=True, capture_output=True)
    assert state(work_dir)["stages"]["analyze"]["status"] == "done"
    assert not journals(work_dir)


def test_a_work_dir_in_use_is_refused_with_the_pid(
    tmp_path: Path, config: Path, rsr_command: list[str], model_server: ModelServer
) -> None:
    model_server.scenario.latency = lambda ask: 30.0
    work_dir = tmp_path / "w"
    process = subprocess.Popen(
        [*rsr_command, "run", config, "-w", work_dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: (work_dir / "data").exists())
        second = subprocess.run([*rsr_command, "sample", "-w", work_dir], capture_output=True, text=True)
        assert second.returncode == 2
        assert str(process.pid) in second.stderr
        reader = subprocess.run([*rsr_command, "status", work_dir], capture_output=True, text=True)
        assert reader.returncode == 0
        assert "running" in reader.stdout
    finally:
        process.kill()
        process.wait()


def wait_for(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
