"""A work dir in a notebook: what `rsr_cli.open` gives is what the files hold, journals of a run under way included."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rsr_cli
from rsr_cli.errors import WorkDirError
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import rows, sums, write_config, write_rows


def test_tables_and_groups(tmp_path: Path, model_server: ModelServer, rsr: Rsr) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(15)), model_server.base_url)
    for command in ("prepare", "sample", "verify"):
        arguments = [config, "-w", tmp_path / "w"] if command == "prepare" else ["-w", tmp_path / "w"]
        assert rsr(command, *arguments).exit_code == 0
    w = rsr_cli.open(tmp_path / "w")
    assert w.prompts().column_names == ["id", "messages", "metadata"]
    rsr("analyze", "-w", tmp_path / "w")
    prompts, rollouts, scores = w.prompts(), w.rollouts(), w.scores()
    assert all(isinstance(table, pa.Table) for table in (prompts, rollouts, scores))
    assert prompts["id"].to_pylist() == [item["id"] for item in sums(15)]
    assert {"messages", "n_pass", "pass_rate"} <= set(prompts.column_names)
    assert rollouts.to_pylist() == rows(tmp_path / "w/rollout")
    given = [(row["id"], row["attempt"], row["score"]) for row in rows(tmp_path / "w/score")]
    assert list(zip(*(scores[name].to_pylist() for name in ("id", "attempt", "score")), strict=True)) == given
    groups = list(w.groups())
    assert [group.prompt.id for group in groups] == prompts["id"].to_pylist()
    assert sum(len(group.attempts) for group in groups) == rollouts.num_rows


def test_a_verdict_on_another_text_is_none(tmp_path: Path, model_server: ModelServer, rsr: Rsr) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(4)), model_server.base_url)
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    shard = tmp_path / "w/rollout/shard_0000.parquet"
    found = pq.read_table(shard)
    place = found.column_names.index("response")
    texts = [f"{text} or not" if n == 2 else text for n, text in enumerate(found["response"].to_pylist())]
    changed = found.set_column(place, found.field(place), pa.array(texts, found.field(place).type))
    scores = rsr_cli.open(tmp_path / "w").scores().num_rows
    pq.write_table(changed, shard)
    assert rsr_cli.open(tmp_path / "w").scores().num_rows == scores - 1


def test_a_folder_that_is_no_work_dir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkDirError, match="is not a work dir"):
        rsr_cli.open(tmp_path)
