"""A pilot that grows, and prompts that are taken out of the input: what was paid for keeps its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rsr_cli
from tests.conftest import Rsr
from tests.server import ModelServer
from tests.work_dirs import rows, sums, write_config, write_rows


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    inputs = write_rows(tmp_path / "in.jsonl", sums(30))
    return write_config(tmp_path / "c.yaml", inputs, model_server.base_url, sampling={"early_stop": False})


def by_key(work_dir: Path) -> dict[tuple[str, int], dict[str, object]]:
    found = rows(work_dir / "rollout")
    assert len({(row["id"], row["attempt"]) for row in found}) == len(found)
    return {(row["id"], row["attempt"]): row for row in found}


def ids(work_dir: Path) -> list[str]:
    return [row["id"] for row in rows(work_dir / "data")]


def test_a_limit_grows_and_everything_paid_is_kept(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    work_dir = tmp_path / "w"
    assert rsr("run", config, "-w", work_dir, "--limit", 4).exit_code == 0
    pilot = by_key(work_dir)
    assert ids(work_dir) == [f"sum-{index}" for index in range(4)] and len(pilot) == 4 * 8
    assert "nothing to do" in rsr("resume", work_dir).stdout, "the limit is kept"
    began = len(model_server.log)
    model_server.scenario.fault = lambda number: "401" if number > began + 60 else None
    assert rsr("run", "-w", work_dir, "--limit", 15).exit_code == 1
    model_server.scenario.fault = None
    assert len(rows(work_dir / "rollout")) >= len(pilot)
    began = len(model_server.log)
    assert rsr("sample", "-w", work_dir, "--limit", 25).exit_code == 0
    assert len(model_server.log) - began <= 8 * 21
    grown = by_key(work_dir)
    assert {key: grown[key] for key in pilot} == pilot and len(grown) == 25 * 8
    assert rsr("resume", work_dir, "data.limit=null").exit_code == 0
    assert len(by_key(work_dir)) == 30 * 8
    assert {row["id"] for row in rows(work_dir / "score")} == set(ids(work_dir))
    less = rsr("run", "-w", work_dir, "--limit", 5)
    assert less.exit_code == 2 and "a limit can only grow" in less.stderr


def test_a_pilot_of_any_rows_grows_into_the_whole(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    few = f"data.input_path=[{{path: {tmp_path}/in.jsonl, count: 13}}]"
    assert rsr("run", config, "-w", work_dir, few).exit_code == 0
    pilot, order = by_key(work_dir), ids(work_dir)
    assert order != [f"sum-{index}" for index in range(13)]
    outcome = rsr("run", "-w", work_dir, f"data.input_path={tmp_path}/in.jsonl")
    assert outcome.exit_code == 0, outcome.stderr
    assert ids(work_dir)[:13] == order and set(ids(work_dir)) == {f"sum-{index}" for index in range(30)}
    grown = by_key(work_dir)
    assert {key: grown[key] for key in pilot} == pilot and len(grown) == 30 * 8
    assert rsr("check", work_dir).exit_code == 0


def test_a_prompt_that_is_taken_out_is_left_out_and_may_come_back(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    work_dir = tmp_path / "w"
    assert rsr("run", config, "-w", work_dir).exit_code == 0
    before, trained = by_key(work_dir), len(rows(work_dir / "train/sft"))
    asked = len(model_server.log)
    write_rows(tmp_path / "in.jsonl", [row for row in sums(30) if row["id"] not in ("sum-3", "sum-17")])
    outcome = rsr("resume", work_dir)
    assert outcome.exit_code == 0, outcome.stderr
    assert "2 prompts that have rollouts here are not in the input" in outcome.stderr
    assert by_key(work_dir) == before and len(model_server.log) == asked
    questions = {row["messages"][0]["content"] for row in rows(work_dir / "train/sft")}
    left_out = {row["messages"][0]["content"] for row in sums(30) if row["id"] in ("sum-3", "sum-17")}
    assert not questions & left_out
    stats = json.loads((work_dir / "summary/stats.json").read_text())
    assert stats["prompts"]["total"] == 28
    assert rsr("check", work_dir).exit_code == 0
    reader = rsr_cli.open(work_dir)
    for table in (reader.prompts(), reader.rollouts(), reader.scores()):
        assert len(ids := set(table["id"].to_pylist())) == 28 and not ids & {"sum-3", "sum-17"}
    write_rows(tmp_path / "in.jsonl", sums(30))
    assert rsr("resume", work_dir).exit_code == 0
    assert by_key(work_dir) == before and len(model_server.log) == asked
    assert len(rows(work_dir / "train/sft")) == trained


def test_another_data_set_is_refused(tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer) -> None:
    work_dir = tmp_path / "w"
    assert rsr("run", config, "-w", work_dir).exit_code == 0
    asked = len(model_server.log)
    write_rows(tmp_path / "in.jsonl", [row | {"id": f"new-{row['id']}"} for row in sums(30)])
    outcome = rsr("resume", work_dir)
    assert outcome.exit_code == 2 and "30 of the 30 prompts that have rollouts here" in outcome.stderr
    assert len(model_server.log) == asked
