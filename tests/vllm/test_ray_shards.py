"""Shards on a Ray cluster: the same files as on the cores of one machine, whatever dies on the way."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rsr_cli.errors import BackendError, PluginError
from rsr_cli.executors.ray_shards import over_shards
from rsr_cli.storage.object_storage import ObjectStorage
from tests.conftest import Rsr
from tests.object_store import *  # noqa: F403
from tests.object_store import copied
from tests.vllm.conftest import alive, descendants, wait_for
from tests.work_dirs import journals, rows, state, sums, write_config, write_rows

pytestmark = pytest.mark.vllm

VERIFIER = '''
import os, signal, time
from pathlib import Path

from rsr_cli.types import Verdict


class Equal:
    """Knows the sum. What `on` says happens at the first reply of a shard of ten prompts."""

    def __init__(self, folder, on="nothing"):
        self.folder, self.on = Path(folder), on

    def verify(self, response, metadata):
        shard = (int(metadata["answer"]) - 7) // 10
        mark = self.folder / f"{shard}"
        if self.on == "kill" and shard == 1 and response.startswith("last") and not mark.exists():
            mark.touch()
            os.kill(os.getppid(), signal.SIGKILL)  # the worker that has the shard
        if self.on == "meet" and shard < 2:
            worker = os.getppid()
            node = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1]
            mark.write_text(f"{worker} {node}")
            while not (self.folder / f"{1 - shard}").exists():
                time.sleep(0.01)
        if self.on == "hang":
            mark.touch()
            time.sleep(300)
        return response.endswith(metadata["answer"])


class Asks:
    """A judge."""

    compares = False

    def __init__(self, folder, workers=None):
        self.folder = Path(folder)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def judge(self, prompt, replies):
        (self.folder / str(os.getpid())).touch()
        return {number: Verdict(1.0) for number in replies}
'''
ROLLOUTS = 4


@pytest.fixture(scope="module", autouse=True)
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its address. Two cores, whatever the machine has; the commands of these tests share it."""
    import ray

    if importlib.util.find_spec("moto"):
        request.getfixturevalue("object_store")  # the nodes inherit its address and the credentials
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def work_dir(tmp_path: Path, rsr: Rsr) -> Path:
    """Three shards of ten prompts with four imported rollouts each, half of them right."""
    (tmp_path / "equal.py").write_text(VERIFIER)
    (tmp_path / "marks").mkdir()
    verifier = {"type": f"{tmp_path}/equal.py:Equal", "folder": f"{tmp_path}/marks", "workers": 1, "time_limit": 60}
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(25)), "http://127.0.0.1:1/v1", verifier=verifier
    )
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    made = [
        {"id": row["id"], "response": f"{word} {int(row['metadata']['answer']) + number % 2}"}
        for row in sums(25)
        for number, word in enumerate(["first", "then", "then", "last"])
    ]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", tmp_path / "w").exit_code == 0
    return tmp_path / "w"


def made(work_dir: Path) -> dict[str, Any]:
    """All that verify, format and analyze write, column by column."""
    tables = [path for folder in ("score", "train/*", "summary") for path in work_dir.glob(f"{folder}/*.parquet")]
    found: dict[str, Any] = {str(path.relative_to(work_dir)): pq.read_table(path) for path in sorted(tables)}
    return found | {path.name: path.read_bytes() for path in work_dir.glob("train/*.jsonl")}


def without_moments(text: str) -> str:
    return re.sub(r'"seconds": [\d.]+', '"seconds": 0', re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+", "then", text))


def test_ray_writes_what_one_machine_writes(work_dir: Path, tmp_path: Path, rsr: Rsr) -> None:
    over_ray = shutil.copytree(work_dir, tmp_path / "r" / "w")
    for stage in ("verify", "format", "analyze"):
        here, there = rsr(stage, "-w", work_dir, "--json"), rsr(stage, "-w", over_ray, "--executor", "ray", "--json")
        assert (here.exit_code, there.exit_code) == (0, 0), there.stderr
        assert without_moments(there.stdout.replace(str(over_ray), str(work_dir))) == without_moments(here.stdout)
    expected = made(work_dir)
    assert len(expected) == 3 + 2 * 3 + 1 + 2
    assert made(over_ray) == expected
    assert state(over_ray)["stages"]["verify"]["shards_done"] == [0, 1, 2]
    assert rsr("verify", "-w", over_ray, "--executor", "ray", "--json").stdout.count('"up_to_date": true') == 1


def test_a_change_of_the_verifier_is_told_alike(work_dir: Path, tmp_path: Path, rsr: Rsr) -> None:
    assert rsr("verify", "-w", work_dir).exit_code == 0
    mine = Path(f"{tmp_path}/equal.py")
    mine.write_text(VERIFIER.replace("return response", "return not response"))
    over_ray = shutil.copytree(work_dir, tmp_path / "r" / "w")
    here, there = rsr("verify", "-w", work_dir), rsr("verify", "-w", over_ray, "--executor", "ray")
    assert "100 verdicts changed" in here.stdout
    assert "100 verdicts changed" in there.stdout
    assert made(over_ray) == made(work_dir)


def test_an_ensemble_is_scored_on_the_nodes(work_dir: Path, tmp_path: Path, rsr: Rsr) -> None:
    member = {"type": f"{tmp_path}/equal.py:Equal", "folder": f"{tmp_path}/marks"}
    given = f"verifier={{type: ensemble, members: [{{type: math-rlvr}}, {member}]}}"
    over_ray = shutil.copytree(work_dir, tmp_path / "r" / "w")
    assert rsr("verify", "-w", work_dir, given).exit_code == 0
    there = rsr("verify", "-w", over_ray, given, "--executor", "ray")
    assert there.exit_code == 0, there.stderr
    assert "works from here" not in there.stderr
    assert made(over_ray) == made(work_dir)


def test_a_judge_works_from_the_command_itself(work_dir: Path, tmp_path: Path, rsr: Rsr) -> None:
    outcome = rsr("verify", "-w", work_dir, f"verifier.type={tmp_path}/equal.py:Asks", "--executor", "ray")
    assert outcome.exit_code == 0, outcome.stderr
    assert "Asks works from here, and not on the nodes" in outcome.stderr
    assert [path.name for path in (tmp_path / "marks").iterdir()] == [str(os.getpid())]


def test_two_shards_are_scored_at_once_on_the_cluster_that_is_named(
    work_dir: Path, tmp_path: Path, rsr_command: list[str], cluster: str
) -> None:
    command = [*rsr_command, "verify", "-w", "w", "verifier.on=meet", "--executor", "ray"]
    environment = os.environ | {"RAY_ADDRESS": cluster, "PYTHONPATH": str(Path.cwd())}
    outcome = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert {row["status"] for row in rows(work_dir / "score")} == {"scored"}
    (worker, node), (other, same) = ((tmp_path / "marks" / name).read_text().split() for name in ("0", "1"))
    assert worker != other
    assert node == same
    assert int(node) in descendants(os.getpid())


def test_a_work_dir_in_an_object_store(work_dir: Path, bucket: ObjectStorage, tmp_path: Path, rsr: Rsr) -> None:
    bucket.store.fs.put(f"{work_dir}/", f"{bucket.key}/w/", recursive=True)
    for stage in ("verify", "format", "analyze"):
        outcome = rsr(stage, "-w", bucket / "w", "--executor", "ray")
        assert outcome.exit_code == 0, outcome.stderr
        assert rsr(stage, "-w", work_dir).stdout.splitlines()[:2] == outcome.stdout.splitlines()[:2]
    assert made(copied(bucket / "w", tmp_path / "copied")) == made(work_dir)


def test_a_shard_is_done_again_where_its_worker_dies(work_dir: Path, tmp_path: Path, rsr: Rsr) -> None:
    outcome = rsr("verify", "-w", work_dir, "verifier.on=kill", "--executor", "ray")
    assert outcome.exit_code == 0, outcome.stderr
    assert (tmp_path / "marks/1").exists()
    found = rows(work_dir / "score")
    assert len(found) == 25 * ROLLOUTS
    assert {row["status"] for row in found} == {"scored"}
    assert not journals(work_dir)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_on_the_nodes(
    work_dir: Path, tmp_path: Path, rsr: Rsr, rsr_command: list[str], number: signal.Signals
) -> None:
    command = [*rsr_command, "verify", "-w", str(work_dir), "verifier.on=hang", "--executor", "ray"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: any((tmp_path / "marks").iterdir()) or process.poll() is not None, "a shard in work")
    everything = descendants(process.pid)
    process.send_signal(number)
    stdout, stderr = process.communicate()
    assert process.returncode == 128 + number, stderr
    assert stdout == ""
    assert "stopped; what arrived is kept" in stderr
    assert state(work_dir)["stages"]["verify"]["status"] == "stopped"
    wait_for(lambda: not any(map(alive, everything)), "the end of Ray", 60)


def fails_at_one(shard: int) -> int:
    if shard == 1:
        raise PluginError("the formatter f raised on the prompt 'p'", "mend it")
    return shard


def dies(shard: int) -> int:
    os._exit(1)


def test_an_error_is_raised_as_it_was() -> None:
    results = over_shards(fails_at_one, range(4))
    assert next(results) == 0
    with pytest.raises(PluginError, match="on the prompt 'p'\n  mend it"):
        next(results)


def test_a_shard_that_takes_every_worker_with_it_is_said() -> None:
    with pytest.raises(Exception, match="lost with its worker 4 times"):
        list(over_shards(dies, [0]))


def test_more_cores_than_any_node_has_are_refused() -> None:
    with pytest.raises(BackendError, match="no node of the cluster has 3 cores, the largest has 2"):
        list(over_shards(fails_at_one, [0], cpus=3))
