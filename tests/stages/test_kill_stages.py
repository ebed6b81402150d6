"""verify, format and analyze, killed while they work over what stands: a resume ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.server.running import ModelServer
from tests.work_dirs import sums, without_times, write_config, write_rows

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("RSR_TEST_KILLS", "2"))
RSR = [sys.executable, "-m", "rsr_cli"]
# Work as small as a test's is not handed to other processes otherwise.
RSR_IN_PROCESSES = [
    sys.executable,
    "-c",
    "from rsr_cli.executors import local; local.WORTH_PROCESSES = 0; from rsr_cli.cli.app import main; main()",
]
VERIFIER = """
class Graded:
    def __init__(self, right=1.0):
        self.right = right

    def verify(self, response, metadata):
        return self.right if metadata["answer"] in response else 0.0
"""
CHANGES = {
    "verify": "verifier.right=2.0",
    "format": "formatter=[{type: sft, layout: prompt_completion}, {type: dpo}, {type: rollouts}]",
    "analyze": "sampler.price.completion=2",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work dir of several shards in which every stage is done."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "graded.py").write_text(VERIFIER)
    with ModelServer() as server:
        config = write_config(
            folder / "config.yaml",
            write_rows(folder / "in.jsonl", sums(60)),
            server.base_url,
            sampling={"early_stop": False},
            verifier={"type": f"{folder}/graded.py:Graded", "workers": 1},
        )
        call(RSR, "run", config, "-w", folder / "w")
    return folder / "w"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("stage", CHANGES)
def test_a_killed_stage_ends_as_an_unbroken_one(stage: str, finished: Path, tmp_path: Path) -> None:
    change = CHANGES[stage]
    unbroken = copy_of(finished, tmp_path / "unbroken")
    began = time.monotonic()
    call(RSR_IN_PROCESSES, stage, "-w", unbroken, change)
    seconds = time.monotonic() - began
    call(RSR, "resume", "-w", unbroken, change)
    assert left_by(unbroken) != left_by(finished)
    chance = random.Random(stage)
    for number in range(KILLS):
        broken = copy_of(finished, tmp_path / str(number))
        process = subprocess.Popen([*RSR_IN_PROCESSES, stage, "-w", broken, change], stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, 1.0) * seconds)
        children = descendants(process.pid)
        process.kill()
        process.wait()
        wait_until_gone(children)
        call(RSR, "resume", "-w", broken, change)
        assert left_by(broken) == left_by(unbroken)


def test_a_jsonl_that_a_kill_left_behind_its_shards_is_written_anew(finished: Path, tmp_path: Path) -> None:
    broken = copy_of(finished, tmp_path)
    state = json.loads((broken / "state.json").read_text())
    state["stages"]["format"]["status"] = "running"
    (broken / "state.json").write_text(json.dumps(state))
    (broken / "train/sft.jsonl").write_text("what an earlier format wrote")
    call(RSR, "format", "-w", broken)
    assert (broken / "train/sft.jsonl").read_bytes() == (finished / "train/sft.jsonl").read_bytes()


def call(command: list[str], *arguments: object) -> None:
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def copy_of(work_dir: Path, folder: Path) -> Path:
    """A copy of the same name, which stands in the summary."""
    return Path(shutil.copytree(work_dir, folder / work_dir.name))


def left_by(work_dir: Path) -> dict[str, object]:
    """What every file holds, less the log, the state and what tells of the time: latencies, when stages ran and how
    long. The report shows the figures of stats.json."""
    skipped = {"state.json", ".lock", "rsr.log", "report.html"}
    return {
        str(path.relative_to(work_dir)): held_by(path)
        for path in work_dir.rglob("*")
        if path.is_file() and path.name not in skipped
    }


def held_by(path: Path) -> object:
    if path.suffix == ".parquet":
        return without_times(pq.read_table(path).to_pylist())
    if path.name == "stats.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key != "run"}
    return path.read_bytes()


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [deeper for child in children for deeper in descendants(child)]


def wait_until_gone(pids: list[int], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < end, f"{left} outlive the process that started them"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
