"""What can go wrong around the stages: plugins that misbehave, files that vanish, settings that are refused late."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import rows, state, sums, write_config, write_rows


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    return write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(25)), model_server.base_url)


def test_attempts_asked_again_keep_their_step_and_nothing_is_overwritten(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, config: Path
) -> None:
    """The second step of every prompt fails for good; asked again later, it stands between the others."""
    work_dir = tmp_path / "w"
    limits = ["formatter=[rollouts]", "sampling.max_rollouts=8", "sampling.step_size=2", "sampling.seed=null"]
    rsr("run", config, "-w", work_dir, *limits, "sampling.max_steps=1")
    model_server.scenario.context_chars = 1
    rsr("resume", "-w", work_dir, "sampling.max_steps=2")
    model_server.scenario.context_chars = None
    rsr("resume", "-w", work_dir, "sampling.max_steps=3")
    before = rows(work_dir / "rollout")
    assert Counter(row["step"] for row in before if row["error"]) == {1: 50}
    assert rsr("sample", "-w", work_dir, "--retry-errors").exit_code == 0
    retried = {(row["id"], row["attempt"]): row for row in rows(work_dir / "rollout")}
    assert {(row["step"], row["attempt"]) for row in retried.values()} == {
        (step, number) for step in range(3) for number in (2 * step, 2 * step + 1)
    }
    assert rsr("sample", "-w", work_dir, "sampling.max_steps=5").exit_code == 0
    after = {(row["id"], row["attempt"]): row for row in rows(work_dir / "rollout")}
    assert all(after[key] == row for key, row in retried.items())
    assert len(after) == len(retried) + 25 * 2


def test_metadata_of_any_size_and_depth_reaches_the_training_files(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    items = sums(2)
    items[0]["metadata"]["big"] = 10**40
    nested: object = 1
    for _ in range(400):
        nested = [nested]
    items[1]["metadata"]["deep"] = nested
    write_rows(tmp_path / "in.jsonl", items)
    outcome = rsr("run", config, "-w", tmp_path / "w", "formatter=rollouts")
    assert outcome.exit_code == 0, outcome.stderr
    written = [json.loads(line) for line in (tmp_path / "w/train/rollouts.jsonl").read_text().splitlines()]
    assert written[0]["metadata"]["big"] == 10**40


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_data_shard_that_vanished_is_said_and_made_again(shard: int, tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    before = rows(work_dir / "data")
    trained = (work_dir / "train/sft.jsonl").read_bytes()
    (work_dir / f"data/shard_{shard:04d}.parquet").unlink()
    for command in ("sample", "verify", "format", "analyze"):
        outcome = rsr(command, "-w", work_dir)
        assert outcome.exit_code == 2 and f"shard_{shard:04d}.parquet is missing" in outcome.stderr
    assert rsr("resume", "-w", work_dir).exit_code == 0
    assert rows(work_dir / "data") == before
    assert (work_dir / "train/sft.jsonl").read_bytes() == trained


PLUGINS = """
import sys

class Base:
    def is_satisfied(self, group): return False
    def format(self, group): return [{"x": 1}]

class Raises(Base):
    def is_satisfied(self, group): raise RuntimeError("oh no")

class Leaves(Base):
    def format(self, group): sys.exit(0)

class Big(Base):
    def format(self, group): return [{"x": 10 ** 30}]

class Mixed(Base):
    def format(self, group): return [{"x": 1}, {"x": "text"}]

class Prints(Base):
    def format(self, group):
        print("noise")
        return [{"x": 1}]

class Nothing:
    pass

def leave(item): sys.exit(0)

def noisy(item):
    print("noise")
    return item
"""


@pytest.mark.parametrize(
    ("override", "saying"),
    [
        ("formatter=m.py:Raises", ["the formatter Raises raised RuntimeError on the prompt 'sum-", "oh no"]),
        ("formatter=m.py:Leaves", ["the formatter Leaves raised SystemExit"]),
        ("formatter=m.py:Big", ["the formatter Big made rows that Parquet can't hold"]),
        ("formatter=m.py:Mixed", ["the formatter Mixed made rows that Parquet can't hold"]),
        ("formatter=m.py:Nothing", ["no formatter: it has no method format"]),
        ("verifier=m.py:Nothing", ["no verifier: it has no method verify or judge"]),
        ("data.preprocess.transform=m.py:leave", ["in.jsonl:1", "SystemExit"]),
    ],
)
def test_a_plugin_that_misbehaves_is_named(
    override: str, saying: list[str], tmp_path: Path, rsr: Rsr, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.py").write_text(PLUGINS)
    outcome = rsr("run", config, "-w", tmp_path / "w", override)
    assert outcome.exit_code == 2, outcome.stderr
    for text in saying:
        assert text in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_what_plugins_print_is_not_the_result(
    tmp_path: Path, rsr: Rsr, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.py").write_text(PLUGINS)
    outcome = rsr(
        "run", config, "-w", tmp_path / "w", "formatter=[sft, 'm.py:Prints']",
        "data.preprocess.transform=m.py:noisy", "--json",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    assert "noise" in outcome.stderr
    assert json.loads(outcome.stdout)["stages"]["format"]["rows"]["Prints"] == 25


@pytest.mark.parametrize("override", ["sampler.extra_params.seed=3", "sampler.base_url=not-a-url"])
def test_sampler_settings_are_refused_before_anything_is_written(
    override: str, tmp_path: Path, rsr: Rsr, config: Path
) -> None:
    outcome = rsr("run", config, "-w", tmp_path / "w", override)
    assert outcome.exit_code == 2
    assert not (tmp_path / "w").exists()


def test_a_secret_in_extra_params_is_written_nowhere(
    tmp_path: Path, rsr: Rsr, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSR_TEST_TOKEN", "very-secret")
    outcome = rsr("run", config, "-w", tmp_path / "w", "sampler.extra_params={user_token: '${RSR_TEST_TOKEN}'}")
    assert outcome.exit_code == 0, outcome.stderr
    written = [path for path in (tmp_path / "w").rglob("*") if path.is_file()]
    assert not [path for path in written if b"very-secret" in path.read_bytes()]
    assert {json.loads(row["params"])["extra_params"]["user_token"] for row in rows(tmp_path / "w/rollout")} == {"***"}


def test_a_misspelt_input_is_refused_in_a_prepared_dir_too(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    before = (work_dir / "config.yaml").read_text()
    outcome = rsr("prepare", "-w", work_dir, "data.input_path=typo.jsonl")
    assert outcome.exit_code == 2 and "typo.jsonl does not exist" in outcome.stderr
    assert (work_dir / "config.yaml").read_text() == before
    assert state(work_dir)["stages"]["prepare"]["status"] == "done"
