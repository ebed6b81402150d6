"""Files that go missing from a work dir: what is lost is named, and not paid for again unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rsr_cli.store.recorder import Recorder
from tests.conftest import Rsr
from tests.server import ModelServer
from tests.work_dirs import outcome, rows, state, sums, write_config, write_rows

PROMPTS = 30


@pytest.fixture
def finished(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> Path:
    """Three shards, all stages done."""
    inputs = write_rows(tmp_path / "in.jsonl", sums(PROMPTS))
    config = write_config(
        tmp_path / "c.yaml", inputs, model_server.base_url, sampler={"price": {"prompt": 100, "completion": 100}}
    )
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    model_server.log.clear()
    return tmp_path / "w"


def remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("lost", ["rollout/shard_0001.parquet", "rollout"])
def test_lost_rollouts_are_not_paid_for_again_unasked(
    lost: str, tmp_path: Path, finished: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    before = len(rows(finished / "rollout"))
    held = before if lost == "rollout" else sum(row["id"][4:].zfill(2)[0] == "1" for row in rows(finished / "rollout"))
    remove(finished / lost)
    for command in ("resume", "run", "sample"):
        told = rsr(command, "-w", finished)
        assert told.exit_code == 2
        assert f"{finished}/rollout/shard_0001.parquet is missing" in told.stderr
        assert f"pay again for {held} attempts" in told.stderr and "about 0." in told.stderr
        assert "rsr check" in told.stderr and "--redraw" in told.stderr
    made = write_rows(tmp_path / "made.jsonl", [{"id": "sum-1", "response": "8"}])
    for stage in (["verify"], ["format"], ["analyze"], ["import", made]):
        told = rsr(*stage, "-w", finished)
        assert told.exit_code == 2 and "is missing" in told.stderr and "up to date" not in told.stdout
    assert not model_server.log
    drawn = rsr("resume", finished, "--redraw")
    assert drawn.exit_code == 0 and "is drawn again" in drawn.stderr
    assert len(rows(finished / "rollout")) >= before - 8 and len(model_server.log) >= held - 8
    assert outcome(finished) == outcome(tmp_path / "copy")
    assert "nothing to do" in rsr("resume", finished).stdout


def test_a_shard_that_was_restored_from_an_old_backup_is_noticed(
    tmp_path: Path, finished: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    path = finished / "rollout/shard_0002.parquet"
    shutil.copy(path, tmp_path / "backup")
    more = ("sampling.max_rollouts=12", "sampling.early_stop=false")
    assert rsr("resume", finished, *more).exit_code == 0
    shutil.copy(tmp_path / "backup", path)
    model_server.log.clear()
    told = rsr("resume", finished)
    assert told.exit_code == 2 and f"{path} holds" in told.stderr and "rows that were recorded" in told.stderr
    assert not model_server.log
    assert rsr("resume", finished, "--redraw").exit_code == 0
    assert len(rows(finished / "rollout")) == 12 * PROMPTS


def test_lost_verdicts_are_named_and_scored_again(finished: Path, rsr: Rsr, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    remove(finished / "score/shard_0000.parquet")
    for stage in ("format", "analyze"):
        told = rsr(stage, "-w", finished)
        assert told.exit_code == 2 and "score/shard_0000.parquet is missing" in told.stderr
        assert "rsr verify" in told.stderr
    verified = rsr("verify", "-w", finished)
    assert verified.exit_code == 0 and "up to date" not in verified.stdout
    assert rsr("resume", finished).exit_code == 0
    assert outcome(finished) == outcome(tmp_path / "copy")


def test_prompts_that_were_exchanged_are_refused(finished: Path, rsr: Rsr, tmp_path: Path) -> None:
    shutil.copy(finished / "data/shard_0000.parquet", tmp_path / "kept")
    shutil.copy(finished / "data/shard_0001.parquet", finished / "data/shard_0000.parquet")
    for stage in ("sample", "verify", "format"):
        told = rsr(stage, "-w", finished)
        assert told.exit_code == 2 and "data/shard_0000.parquet is not the file" in told.stderr
    shutil.copy(tmp_path / "kept", finished / "data/shard_0000.parquet")
    assert rsr("resume", finished).exit_code == 0


def test_a_missing_data_shard_is_named_when_it_is_made_again(finished: Path, rsr: Rsr) -> None:
    remove(finished / "data/shard_0001.parquet")
    assert "data/shard_0001.parquet is missing" in rsr("verify", "-w", finished).stderr
    told = rsr("resume", finished)
    assert told.exit_code == 0 and "data/shard_0001.parquet is missing" in told.stderr


def test_a_journal_that_vanished_between_two_runs_is_noticed(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    inputs = write_rows(tmp_path / "in.jsonl", sums(20))
    config = write_config(tmp_path / "c.yaml", inputs, model_server.base_url, shard={"size": 1000})
    model_server.scenario.fault = lambda number: "401" if number > 30 else None
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 1
    journal = tmp_path / "w/rollout/shard_0000.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert state(tmp_path / "w")["closed"]["rollout/shard_0000.journal"]["rows"] == len(lines) > 20
    model_server.scenario.fault = None
    journal.write_bytes(b"".join(lines[:-5]))
    told = rsr("resume", tmp_path / "w")
    assert told.exit_code == 2 and f"{journal} holds {len(lines) - 5} of the {len(lines)} rows" in told.stderr
    journal.unlink()
    assert f"{journal} is missing" in rsr("resume", tmp_path / "w").stderr
    assert rsr("resume", tmp_path / "w", "--redraw").exit_code == 0


def test_a_folder_that_goes_in_mid_run_is_no_good_end(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_rows(tmp_path / "in.jsonl", sums(PROMPTS))
    config = write_config(
        tmp_path / "c.yaml", inputs, model_server.base_url, shard={"size": 5},
        sampling={"early_stop": False, "max_rollouts": 4},
    )  # fmt: skip
    folder, gone, close = tmp_path / "w/rollout", list[int](), Recorder.close_rollouts

    def harm(recorder: Recorder, shard: int) -> None:
        """The folder goes between the closing of its second shard and the note of what that holds."""
        close(recorder, shard)
        gone.append(shard)
        if len(gone) == 2:
            shutil.rmtree(folder)

    monkeypatch.setattr(Recorder, "close_rollouts", harm)
    told = rsr("run", config, "-w", tmp_path / "w")
    assert len(gone) == 2 and told.exit_code == 1
    assert f"{folder / f'shard_000{gone[1]}.parquet'} holds 0 of 20 attempts" in told.stderr
    assert "another process" in told.stderr
    assert state(tmp_path / "w")["stages"]["sample"]["status"] == "failed"


def test_a_work_dir_of_version_0_1_is_checked_by_its_counts(finished: Path, rsr: Rsr) -> None:
    old = state(finished)
    del old["closed"]
    (finished / "state.json").write_text(json.dumps(old))
    assert "nothing to do" in rsr("resume", finished).stdout
    remove(finished / "rollout/shard_0000.parquet")
    assert rsr("resume", finished).exit_code == 2
