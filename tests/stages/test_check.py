"""rsr check: whatever is deleted, flipped or exchanged is named, and nothing is called damaged that is whole."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from tests.conftest import Rsr
from tests.server import ModelServer
from tests.work_dirs import rows, sums, write_config, write_rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("check")


@pytest.fixture
def finished(made: Path, tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> Path:
    """A copy of a work dir of two shards in which all stages are done."""
    if not (made / "w").exists():
        config = write_config(made / "c.yaml", write_rows(made / "in.jsonl", sums(20)), model_server.base_url)
        assert rsr("run", config, "-w", made / "w").exit_code == 0
    return Path(shutil.copytree(made / "w", tmp_path / "w"))


def problems(work_dir: Path, rsr: Rsr) -> dict[str, str]:
    outcome = rsr("check", work_dir, "--json")
    told = json.loads(outcome.stdout)
    assert outcome.exit_code == (0 if told["whole"] else 1)
    assert all(item["fix"] for item in told["problems"])
    return {item["file"]: item["problem"] for item in told["problems"]}


FILES = [
    "data/shard_0001.parquet", "rollout/shard_0000.parquet", "score/shard_0001.parquet", "train/sft/shard_0000.parquet",
    "train/dpo.jsonl", "summary/stats.json", "summary/prompts.parquet",
]  # fmt: skip


def test_a_whole_work_dir_is_whole_and_is_not_changed(finished: Path, rsr: Rsr) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    outcome = rsr("check", finished)
    assert (outcome.exit_code, outcome.stdout) == (0, "all is whole\n")
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_deleted_is_named(name: str, finished: Path, rsr: Rsr) -> None:
    (finished / name).unlink()
    assert "missing" in problems(finished, rsr)[str(finished / name)]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_named(name: str, finished: Path, rsr: Rsr) -> None:
    chance = random.Random(name)
    path = finished / name
    content = path.read_bytes()
    # The last bytes of Parquet are its footer, where a few bits say nothing that is ever read.
    end = len(content) - (int.from_bytes(content[-8:-4], "little") + 8 if name.endswith("parquet") else 0)
    for _ in range(4):
        place = chance.randrange(4, end)
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :])
        # A page may be preceded by a header, of which not every bit counts: then all that is read is the same.
        assert str(path) in problems(finished, rsr) or (name.endswith("parquet") and _same_rows(path, content))


def _same_rows(path: Path, content: bytes) -> bool:
    import io

    import pyarrow.parquet as pq

    return bool(pq.read_table(path).equals(pq.read_table(io.BytesIO(content))))


def test_shards_that_do_not_belong_together_are_named(finished: Path, rsr: Rsr) -> None:
    shutil.copy(finished / "score/shard_0000.parquet", finished / "score/shard_0001.parquet")
    shutil.copy(finished / "rollout/shard_0000.parquet", finished / "rollout/shard_0002.parquet")
    found = problems(finished, rsr)
    assert set(found) == {str(finished / "score/shard_0001.parquet"), str(finished / "rollout/shard_0002.parquet")}


def test_journals_are_read_line_by_line(finished: Path, rsr: Rsr, tmp_path: Path, model_server: ModelServer) -> None:
    began = len(model_server.log)
    model_server.scenario.fault = lambda number: "401" if number > began + 30 else None
    inputs = write_rows(tmp_path / "in.jsonl", sums(20))
    config = write_config(tmp_path / "c.yaml", inputs, model_server.base_url, shard={"size": 1000})
    work_dir = tmp_path / "open"
    assert rsr("run", config, "-w", work_dir).exit_code == 1
    assert problems(work_dir, rsr) == {}
    journal = work_dir / "rollout/shard_0000.journal"
    content = bytearray(journal.read_bytes())
    journal.write_bytes(content + b"torn")
    assert problems(work_dir, rsr) == {}, "the last line may be torn"
    content[len(content) // 2] ^= 1
    journal.write_bytes(content)
    found = problems(work_dir, rsr)
    assert "1 of its lines are damaged" in found[str(journal)] or "of the" in found[str(journal)]


def test_a_verdict_on_another_text_is_counted(finished: Path, rsr: Rsr, tmp_path: Path) -> None:
    state = json.loads((finished / "state.json").read_text())
    state["closed"], state["stages"]["sample"]["by_shard"] = {}, {}
    (finished / "state.json").write_text(json.dumps(state))
    (finished / "rollout/shard_0001.parquet").unlink()
    made = [{"id": row["id"], "response": "another"} for row in rows(finished / "data")]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", finished).exit_code == 0
    found = problems(finished, rsr)
    assert "not on the texts" in found[str(finished / "score/shard_0001.parquet")]


def test_a_state_that_cannot_be_read_is_a_problem(finished: Path, rsr: Rsr) -> None:
    (finished / "state.json").write_text("{")
    assert list(problems(finished, rsr)) == [str(finished / "state.json")]
    assert rsr("check", finished / "data").exit_code == 2
