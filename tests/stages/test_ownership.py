"""rsr writes only into a folder of its own, and replaces and removes only what it wrote itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rsr_cli.storage.object_storage import ObjectStorage
from tests.conftest import Rsr
from tests.object_store import *  # noqa: F403
from tests.server.running import ModelServer
from tests.work_dirs import state, sums, write_config, write_rows


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    path = write_rows(tmp_path / "in.jsonl", sums(3))
    return write_config(tmp_path / "c.yaml", path, model_server.base_url, sampling={"max_rollouts": 2, "step_size": 2})


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "content", ["train/checkpoints/model.bin", "notes.txt", "data/shard_0000.parquet", ".git/HEAD"]
)
@pytest.mark.parametrize("command", ["run", "prepare", "demo", "--dry-run", "--probe"])
def test_a_folder_with_something_else_in_it_is_no_work_dir(
    command: str, content: str, tmp_path: Path, rsr: Rsr, config: Path, monkeypatch: pytest.MonkeyPatch,
    model_server: ModelServer,
) -> None:  # fmt: skip
    theirs = tmp_path / "theirs"
    (theirs / content).parent.mkdir(parents=True)
    (theirs / content).write_text("mine")
    monkeypatch.chdir(theirs)
    before = everything(theirs)
    options = {"demo": ["demo"], "--dry-run": ["run", config, "--dry-run"], "--probe": ["run", config, "--probe"]}
    for folder in (".", theirs):
        outcome = rsr(*options.get(command, [command, config]), "-w", folder)
        assert outcome.exit_code == 2, outcome.stderr
        assert f"{folder} is not a work dir and is not empty" in outcome.stderr
        assert content.split("/")[0] in outcome.stderr
    assert everything(theirs) == before
    assert not model_server.log


def test_the_config_that_init_wrote_is_not_replaced(tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    rsr("init", ".")
    before = everything(Path())
    outcome = rsr("run", "config.yaml", "-w", ".", "data.input_path=x.jsonl")
    assert outcome.exit_code == 2 and "config.yaml, transform.py" in outcome.stderr
    assert everything(Path()) == before


def test_the_state_of_something_else_makes_no_work_dir(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    """A data set that was saved to a folder has a state.json too."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "state.json").write_text('{"_data_files": [], "_fingerprint": "1"}')
    (theirs / "dataset_info.json").write_text("{}")
    before = everything(theirs)
    for command in ("run", "prepare"):
        outcome = rsr(command, config, "-w", theirs)
        assert outcome.exit_code == 2 and "state.json is not the state of a work dir" in outcome.stderr
    assert everything(theirs) == before


def test_a_prefix_with_something_else_under_it_is_no_work_dir(bucket: ObjectStorage, rsr: Rsr, config: Path) -> None:
    (bucket / "theirs" / "train" / "model.bin").write_bytes(b"mine")
    outcome = rsr("run", config, "-w", bucket / "theirs")
    assert outcome.exit_code == 2 and "is not a work dir and is not empty" in outcome.stderr
    assert (bucket / "theirs" / "train" / "model.bin").read_bytes() == b"mine"
    assert [path.name for path in (bucket / "theirs").iterdir()] == ["train"]


def test_what_people_keep_in_a_work_dir_survives_every_stage(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    assert rsr("run", config, "-w", work_dir, "formatter=[sft, rollouts]").exit_code == 0
    kept = {
        "train/sft_model/model.safetensors": b"weights",
        "train/sft_model/shard_0000.parquet": b"no Parquet",
        "train/README.md": b"read me",
        "train/dataset_info.json": b"{}",
        "train/my.jsonl": b"{}\n",
        "train/rollouts/notes.txt": b"note",
        "data/raw.jsonl": b"{}\n",
        "rollout/old/shard_0000.parquet": b"old",
        "summary/figure.png": b"png",
        "logs/slurm.out": b"out",
        "cache/mine": b"mine",
        "notes": b"notes",
    }
    for name, content in kept.items():
        (work_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (work_dir / name).write_bytes(content)
    (work_dir / "train/mine").mkdir()
    pq.write_table(pa.table({"x": [1]}), work_dir / "train/mine/shard_0000.parquet")
    kept["train/mine/shard_0000.parquet"] = (work_dir / "train/mine/shard_0000.parquet").read_bytes()
    for change in (["formatter=[sft]"], ["formatter=[{type: sft, name: other}]"], ["formatter=[{type: top_k}]"], []):
        for command in ("format", "resume"):
            outcome = rsr(command, "-w", work_dir, *change)
            assert outcome.exit_code == 0, outcome.stderr
    assert {name: (work_dir / name).read_bytes() for name in kept} == kept
    assert not (work_dir / "train/sft").exists() and not (work_dir / "train/other.jsonl").exists()
    assert [path.name for path in (work_dir / "train/rollouts").iterdir()] == ["notes.txt"]
    assert rsr("format", "-w", work_dir, "formatter=[rollouts]").exit_code == 0, "the name is rsr's own"
    assert (work_dir / "train/rollouts/notes.txt").exists()


@pytest.mark.parametrize("there", ["train/mine/model.bin", "train/mine.jsonl", "train/mine/shard_0000.parquet"])
def test_a_formatter_with_the_name_of_something_else_is_refused_before_anything_is_paid(
    there: str, tmp_path: Path, rsr: Rsr, config: Path, model_server: ModelServer
) -> None:
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    (work_dir / there).parent.mkdir(parents=True)
    (work_dir / there).write_bytes(b"mine")
    outcome = rsr("run", "-w", work_dir, "formatter=[{type: sft, name: mine}]")
    assert (
        outcome.exit_code == 2 and "was not written by rsr" in outcome.stderr and "formatter.0.name" in outcome.stderr
    )
    assert not model_server.log
    assert (work_dir / there).read_bytes() == b"mine"
    assert [path.name for path in (work_dir / "train").iterdir()] == [there.split("/")[1]]


def test_a_file_that_was_changed_by_hand_is_set_aside(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    for name in ("train/sft.jsonl", "config.yaml", "summary/report.html", "summary/stats.json"):
        with (work_dir / name).open("a") as file:
            file.write("\n# by hand\n" if name.endswith("yaml") else "\n")
    prompts = work_dir / "summary/prompts.parquet"
    pq.write_table(pq.read_table(prompts).slice(1), prompts)
    edited = everything(work_dir)
    assert rsr("resume", "-w", work_dir).exit_code == 0
    assert {k: v for k, v in everything(work_dir).items() if "logs" not in k and "state" not in k} == {
        k: v for k, v in edited.items() if "logs" not in k and "state" not in k
    }
    outcome = rsr("resume", "-w", work_dir, "formatter=[{type: sft, pass_threshold: 0.5}]", "sampling.max_rollouts=3")
    assert outcome.exit_code == 0, outcome.stderr
    for name in (
        "train/sft.jsonl",
        "config.yaml",
        "summary/report.html",
        "summary/stats.json",
        "summary/prompts.parquet",
    ):
        assert (work_dir / f"{name}.kept").read_bytes() == edited[str(work_dir / name)], name
        assert f"{name} is not as rsr wrote it" in outcome.stderr
        assert (work_dir / name).read_bytes() != edited[str(work_dir / name)]
    assert not list(work_dir.glob("train/*dpo*"))


def test_a_training_shard_that_was_changed_by_hand_is_no_left_over(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    """Whoever filters it with pyarrow writes rsr's footer along."""
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir, "formatter=[rollouts]")
    shard = work_dir / "train/rollouts/shard_0000.parquet"
    pq.write_table(pq.read_table(shard).slice(1), shard)
    edited = shard.read_bytes()
    outcome = rsr("format", "-w", work_dir, "formatter=[{type: rollouts, name: other}, rollouts]")
    assert outcome.exit_code == 0, outcome.stderr
    assert shard.with_name("shard_0000.parquet.kept").read_bytes() == edited
    pq.write_table(pq.read_table(shard).slice(1), shard)
    edited = shard.read_bytes()
    rsr("format", "-w", work_dir, "formatter=[sft]")
    assert shard.read_bytes() == edited


def test_a_work_dir_whose_state_is_lost_is_made_again_from_its_shards(
    tmp_path: Path, rsr: Rsr, config: Path, model_server: ModelServer
) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    asked = len(model_server.log)
    (work_dir / "state.json").unlink()
    assert rsr("prepare", "-w", work_dir).exit_code == 0
    (work_dir / "state.json").write_text('{"version": 1, "stages": 7}')
    outcome = rsr("resume", "-w", work_dir)
    assert outcome.exit_code == 2 and "rsr prepare makes it anew" in outcome.stderr
    assert rsr("prepare", "-w", work_dir).exit_code == 0
    assert (work_dir / "state.json.kept").read_text() == '{"version": 1, "stages": 7}'
    assert rsr("resume", "-w", work_dir).exit_code == 0
    assert len(model_server.log) == asked


def test_what_a_kill_in_the_first_moment_leaves_is_no_foreign_folder(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    (work_dir / ".staging").mkdir(parents=True)
    (work_dir / ".lock").write_text("4711\n")
    (work_dir / ".staging/.shard_0000.parquet.tmp").write_bytes(b"half")
    assert rsr("prepare", config, "-w", work_dir).exit_code == 0
    assert not (work_dir / ".staging").exists()


@pytest.mark.parametrize("name", [".staging/mine.txt", ".lock", "data/shard_0001.parquet"])
def test_a_foreign_file_under_a_name_of_rsr_is_refused_by_name(
    name: str, tmp_path: Path, rsr: Rsr, config: Path
) -> None:
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    (work_dir / name).parent.mkdir(exist_ok=True)
    if name.endswith("parquet"):
        shutil.copy(work_dir / "data/shard_0000.parquet", work_dir / name)
        pq.write_table(pa.table({"id": ["a"]}), work_dir / name)
    else:
        (work_dir / name).write_text("mine")
    before = (work_dir / name).read_bytes()
    write_rows(tmp_path / "in.jsonl", sums(4))
    outcome = rsr("prepare", "-w", work_dir)
    assert outcome.exit_code == 2 and f"{work_dir / name} was not written by rsr" in outcome.stderr
    assert (work_dir / name).read_bytes() == before
    assert state(work_dir)["stages"]["prepare"]["counts"]["prompts"] == 3


@pytest.mark.parametrize("folder", ["rollout", "score"])
def test_a_foreign_shard_is_not_written_over(folder: str, tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    rsr("run" if folder == "score" else "prepare", config, "-w", work_dir)
    path = work_dir / folder / "shard_0000.parquet"
    path.parent.mkdir(exist_ok=True)
    rows = pq.read_table(path).replace_schema_metadata() if path.exists() else pa.table({"id": ["a"], "attempt": [0]})
    pq.write_table(rows, path)
    before = path.read_bytes()
    outcome = rsr("resume", "-w", work_dir)
    assert outcome.exit_code == 2 and f"{path} was not written by rsr" in outcome.stderr
    assert path.read_bytes() == before


def test_init_and_a_link_that_leads_nowhere(tmp_path: Path, rsr: Rsr) -> None:
    (tmp_path / "config.yaml").symlink_to(tmp_path / "nowhere")
    assert rsr("init", tmp_path).exit_code == 2
    assert (tmp_path / "config.yaml").is_symlink() and not (tmp_path / "transform.py").exists()


def test_the_record_of_what_was_written_is_in_the_state(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    rsr("run", config, "-w", tmp_path / "w")
    written = json.loads((tmp_path / "w/state.json").read_text())["written"]
    assert {"config.yaml", "train/sft.jsonl", "summary/stats.json", "summary/report.html"} <= written.keys()
