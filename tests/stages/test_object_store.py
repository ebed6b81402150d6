"""A work dir in an object store comes out as one on a disk does, and keeps what it has when a run is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rsr_cli.storage.object_storage import ObjectStorage
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from tests.conftest import Rsr
from tests.object_store import *  # noqa: F403
from tests.object_store import SECRET, copied, keys
from tests.server import ModelServer
from tests.stages.test_kill import config_for, wait_for
from tests.work_dirs import journals, outcome, sums, write_config, write_rows


def test_a_run_comes_out_as_on_a_disk(
    tmp_path: Path, bucket: ObjectStorage, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(model_server, tmp_path, shard={"size": 20})
    root = bucket / "runs" / "w"
    assert rsr("run", config, "-w", tmp_path / "local").exit_code == 0
    result = rsr("run", config, "-w", root)
    assert result.exit_code == 0, result.stderr
    assert f"{root}/summary/report.html" in result.stdout
    here = copied(root, tmp_path / "copied")
    assert outcome(here) == outcome(tmp_path / "local")
    assert not journals(here) and "logs/rsr.log" in keys(root)
    log = (here / "logs" / "rsr.log").read_text()
    assert "sample begins" in log and "analyze: done" in log
    assert not any(SECRET.encode() in path.read_bytes() for path in here.rglob("*") if path.is_file())
    again = rsr("resume", root)
    assert "nothing to do" in again.stdout
    assert json.loads(rsr("status", root, "--json").stdout)["stages"]["analyze"]["status"] == "done"
    shown = rsr("show", "--json", "--id", "sum-3", root)
    assert [json.loads(line)["id"] for line in shown.stdout.splitlines()] == ["sum-3"]
    monkeypatch.setattr("rsr_cli.executors.local.WORTH_PROCESSES", 0)
    formatted = rsr("format", "-w", root, "formatter.0.pass_threshold=0.5")  # in processes of their own
    assert formatted.exit_code == 0 and "done" in formatted.stdout
    assert outcome(copied(root, tmp_path / "again")) == outcome(tmp_path / "local")


def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, bucket: ObjectStorage, rsr: Rsr, model_server: ModelServer
) -> None:
    config = config_for(model_server, tmp_path, shard={"size": 20})
    assert rsr("run", config, "-w", tmp_path / "local").exit_code == 0
    model_server.scenario.latency = lambda ask: 0.05 + 0.2 * ask.chance("latency")
    model_server.log.clear()
    process = begun(config, bucket / "w")
    wait_for(lambda: len(attempts(bucket / "w")) > 20)
    assert "running" in rsr("status", bucket / "w").stdout
    second = rsr("sample", "-w", bucket / "w")
    assert second.exit_code == 2
    assert f"is in use by the process with pid {process.pid}" in second.stderr and "lease ends in" in second.stderr
    process.kill()
    process.wait()
    kept, asked = attempts(bucket / "w"), len(model_server.log)
    assert "stopped" in rsr("status", bucket / "w").stdout
    model_server.scenario.latency = lambda ask: 0.0
    assert rsr("resume", bucket / "w").exit_code == 0
    assert kept.items() <= attempts(bucket / "w").items()
    again = {entry.seed for entry in model_server.log[asked:]}
    assert not again & set(kept.values()), "what was paid for and recorded is asked again"
    here = copied(bucket / "w", tmp_path / "copied")
    assert outcome(here) == outcome(tmp_path / "local")
    assert not journals(here)


def test_a_writer_that_lost_its_lease_writes_no_more(
    tmp_path: Path, bucket: ObjectStorage, model_server: ModelServer
) -> None:
    model_server.scenario.latency = lambda ask: 0.3
    process = begun(config_for(model_server, tmp_path), bucket / "w", RSR_LEASE_SECONDS="3")
    wait_for(lambda: attempts(bucket / "w"))
    [mine] = [key for key in keys(bucket / "w" / ".lease") if key.isdigit()]
    other = json.loads((bucket / "w" / ".lease" / mine).read_bytes()) | {"owner": "another"}
    (bucket / "w" / ".lease" / f"{int(mine) + 1:08d}").write_bytes(json.dumps(other).encode())
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"the lease on {bucket}/w is lost" in stderr and "Traceback" not in stderr
    stages = json.loads((bucket / "w" / "state.json").read_text())["stages"]
    assert stages["sample"]["status"] == "running", "the state is the other's to write"


def test_what_came_to_nothing_leaves_nothing(tmp_path: Path, bucket: ObjectStorage, rsr: Rsr) -> None:
    rows = write_rows(tmp_path / "in.jsonl", [{"id": "no messages"}])
    assert (
        rsr("run", write_config(tmp_path / "c.yaml", rows, "http://127.0.0.1:9/v1"), "-w", bucket / "w").exit_code == 2
    )
    assert keys(bucket) == []


def begun(config: Path, root: ObjectStorage, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rsr_cli", "run", str(config), "-w", str(root)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment)


def attempts(root: ObjectStorage) -> dict[tuple[str, int], int | None]:
    """The seed of each attempt that is recorded, as a reader finds it now."""
    work_dir = WorkDir(root)
    return {
        (group.prompt.id, attempt.attempt): attempt.seed
        for shard in work_dir.shards()
        for group in read_groups(work_dir, shard)
        for attempt in group.attempts.values()
    }


def test_what_is_out_of_reach_is_told_in_one_message(tmp_path: Path, object_store: str, rsr: Rsr) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(2)), "http://127.0.0.1:9/v1")
    told = rsr("prepare", config, "-w", "s3://tests-no-such-bucket/w")
    assert told.exit_code == 1 and "there is no such bucket" in told.stderr
    told = rsr("prepare", config, "-w", "s3://somebody:topsecret@bucket/w")
    assert told.exit_code == 2 and "must bear no password" in told.stderr and "topsecret" not in told.stderr
    told = rsr("status", "s3://tests-no-such-bucket/w")
    assert told.exit_code == 2 and "is not a work dir" in told.stderr
    told = rsr("status", "nosuch://bucket/w")
    assert told.exit_code == 2 and "nosuch:// can't be read" in told.stderr
