"""A run that is killed at any moment loses nothing that was recorded, and ends as an unbroken one."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Attempt
from tests.rsr_processes import start_rsr, wait_until_all_have_ended
from tests.server import ModelServer, Scenario, random_faults
from tests.work_dirs import journals, outcome, rows, state, sums, write_config, write_rows

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("RSR_TEST_KILLS", "200"))
VERIFIER = """
import time

class Quick:
    def verify(self, response, metadata):
        return float("{" + metadata["answer"] + "}" in response)

class Slow(Quick):
    def __init__(self, began):
        self.began = began

    def verify(self, response, metadata):
        open(self.began, "w").close()
        time.sleep(600)
"""


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    model_server.scenario.latency = lambda ask: 0.02 + 0.1 * ask.chance("latency")
    return config_for(model_server, tmp_path)


def config_for(server: ModelServer, folder: Path, *, prompts: int = 40, **sections: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "verifier.py").write_text(VERIFIER)
    common: dict[str, Any] = {
        "sampler": {"concurrent_requests": 12, "timeout": 2},
        "verifier": {"type": f"{folder}/verifier.py:Quick"},
    }
    inputs = write_rows(folder / "in.jsonl", sums(prompts))
    return write_config(folder / "config.yaml", inputs, server.base_url, **(common | sections))


def recorded(work_dir: Path) -> dict[tuple[str, int], Attempt]:
    """The attempts that stand in the shards and the journals of a work dir, as a reader finds them."""
    target = WorkDir(LocalStorage(work_dir))
    return {
        (group.prompt.id, attempt.attempt): attempt
        for shard in target.shards()
        for group in read_groups(target, shard)
        for attempt in group.attempts.values()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_killed_runs_end_as_an_unbroken_one(
    tmp_path: Path, model_servers: Callable[[Scenario], ModelServer], capsys: pytest.CaptureFixture[str]
) -> None:
    def kill_and_kill(early_stop: bool) -> Counter[str]:
        server = model_servers(Scenario(latency=lambda ask: 0.02 + 0.06 * ask.chance("latency")))
        return Killing(server, tmp_path / f"early_stop_{early_stop}", early_stop).run(KILLS // 2)

    with ThreadPoolExecutor() as pool:
        counts = sum(pool.map(kill_and_kill, (True, False)), Counter[str]())
    with capsys.disabled():
        print(f"\nkilled at: {dict(counts)}")
    assert counts["sample"] and counts["runs"] > 1


class Killing:
    """Kills runs in one work dir after the other, each until it is done for all that, and looks at what is left."""

    def __init__(self, server: ModelServer, folder: Path, early_stop: bool) -> None:
        self._server = server
        self._folder = folder
        sampling = {"early_stop": early_stop, "max_rollouts": 8, "step_size": 4, "max_steps": 4, "seed": 1}
        self._config = config_for(server, folder, prompts=24, sampling=sampling, shard={"size": 8})
        self._output = folder / "output.txt"
        self._chance = random.Random(early_stop)
        self._counts: Counter[str] = Counter()
        self._kills = 0

    def run(self, kills: int) -> Counter[str]:
        """Kill so many times; how often in which stage, of how many runs and requests."""
        self._is_finished("--version")  # what is loaded for the first start takes no part in the time of a run
        began = time.monotonic()
        self._unbroken = self._folder / "unbroken"
        assert self._is_finished("run", self._config, "-w", self._unbroken)
        self._seconds = time.monotonic() - began
        self._server.scenario.fault = random_faults(0.03)
        runs = 0
        while self._kills < kills:
            self._break_and_mend(self._folder / f"broken_{runs}", kills)
            runs += 1
        wait_until_all_have_ended(self._output)
        return self._counts + Counter(runs=runs, requests=len(self._server.log))

    def _break_and_mend(self, work_dir: Path, kills: int) -> None:
        began = len(self._server.log)
        kept: dict[tuple[str, int], Attempt] = {}
        recorded_at: dict[int | None, int] = {}
        """Of each seed, the requests that the server had seen when its attempt was on the disk."""
        while True:
            can_resume = (work_dir / "config.yaml").exists()  # the state is saved first
            command = ("resume", "-w", work_dir) if can_resume else ("run", self._config, "-w", work_dir)
            # Each resume starts anew: most moments are early ones, the later ones are those that get on with the work.
            seconds = 0.6 * self._seconds * self._chance.random() ** 2 if self._kills < kills else None
            if self._is_finished(*command, seconds=seconds):
                break
            self._kills += 1
            self._counts[stage_at_work(work_dir)] += 1
            now = recorded(work_dir)
            assert kept.items() <= now.items(), "an attempt that was recorded is gone, or another one"
            kept = now
            for attempt in now.values():
                recorded_at.setdefault(attempt.seed, len(self._server.log))
        served = self._server.log[began:]
        again = [entry for entry in served if entry.number >= recorded_at.get(entry.seed, math.inf)]
        assert not again, "what was paid for and recorded is asked again"
        now = recorded(work_dir)
        assert kept.items() <= now.items()
        assert {attempt.seed for attempt in now.values()} <= {entry.seed for entry in served if entry.ks}
        keys = [(row["id"], row["attempt"]) for row in rows(work_dir / "rollout")]
        assert len(keys) == len(set(keys)) == len(now)
        assert outcome(work_dir) == outcome(self._unbroken)
        assert not journals(work_dir)

    def _is_finished(self, *command: object, seconds: float | None = None) -> bool:
        """Run a command; False where it has to be killed after so many seconds."""
        process = start_rsr(*command, output=self._output)
        process.join(seconds)
        if killed := process.exitcode is None:
            process.kill()
            process.join()
        # Of one that was killed the fork server may lose the code.
        assert killed or process.exitcode == 0, self._output.read_text()
        return not killed


def stage_at_work(work_dir: Path) -> str:
    if not (work_dir / "state.json").exists():
        return "before prepare"
    stages = state(work_dir)["stages"]
    return next((name for name, record in stages.items() if record["status"] == "running"), "between stages")


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


@pytest.fixture
def stuck(tmp_path: Path, model_server: ModelServer) -> Iterator[ForkServerProcess]:
    """A run in `w` that has recorded 8 attempts, whose other requests hang, and whose verifier is busy for minutes."""
    model_server.scenario.fault = lambda number: "hang" if number >= 8 else None
    began, output = tmp_path / "verifier began", tmp_path / "output.txt"
    slow = {"type": f"{tmp_path}/verifier.py:Slow", "began": str(began), "time_limit": 600}
    config = config_for(model_server, tmp_path, sampler={"concurrent_requests": 12, "timeout": 600}, verifier=slow)
    process = start_rsr("run", config, "-w", tmp_path / "w", output=output)
    try:
        wait_for(lambda: began.exists() and model_server.open and len(recorded(tmp_path / "w")) == 8)
        yield process
    finally:
        process.kill()
    wait_until_all_have_ended(output)


def test_the_first_signal_waits_for_nothing_that_hangs(stuck: ForkServerProcess, tmp_path: Path) -> None:
    interrupt(stuck)
    stuck.join(20)
    assert stuck.exitcode == 130
    told = (tmp_path / "output.txt").read_text()
    assert "8 attempts that arrived are kept" in told and "Traceback" not in told
    assert state(tmp_path / "w")["stages"]["sample"]["status"] == "stopped"
    assert len(recorded(tmp_path / "w")) == 8


def test_the_second_interrupt_comes_while_the_first_is_heeded(stuck: ForkServerProcess, tmp_path: Path) -> None:
    interrupt(stuck)
    wait_for(lambda: "stopping" in (tmp_path / "output.txt").read_text())
    interrupt(stuck)
    stuck.join(20)
    assert stuck.exitcode == 130
    assert len(recorded(tmp_path / "w")) == 8


def test_the_second_signal_leaves_at_once(stuck: ForkServerProcess, tmp_path: Path) -> None:
    # Stopped until it has both, lest it is done with the first before the second.
    interrupt(stuck, signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT)
    stuck.join(20)
    assert stuck.exitcode in (130, 143)
    assert state(tmp_path / "w")["stages"]["sample"]["status"] == "running", "it had no time to say that it stops"
    assert len(recorded(tmp_path / "w")) == 8


def interrupt(process: ForkServerProcess, *numbers: int) -> None:
    assert process.pid is not None
    for number in numbers or (signal.SIGINT,):
        os.kill(process.pid, number)


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
        assert reader.returncode == 4  # not done yet
        assert "running" in reader.stdout
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
