"""A pass that is filtered is no pass: in the loop and in the training files alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsr_cli.filters.length import Length
from tests.conftest import Rsr
from tests.groups import group
from tests.server.running import ModelServer
from tests.work_dirs import rows, sums, write_config, write_rows

ODD = """
from rsr_cli import Filter

class Odd(Filter):
    def keep(self, rollout, group):
        return True if rollout.attempt.attempt % 2 else "of an even number"
"""


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    (tmp_path / "odd.py").write_text(ODD)
    return write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(12)), model_server.base_url)


def written(work_dir: Path, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (work_dir / f"train/{name}.jsonl").read_text().splitlines()]


def test_sampling_goes_on_until_a_pass_is_kept(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    override = f"filters=[{{type: '{tmp_path}/odd.py:Odd'}}]"
    assert rsr("run", config, "-w", work_dir, "formatter=sft", override).exit_code == 0
    assert written(work_dir, "sft") and all(int(str(row["attempt"])) % 2 for row in written(work_dir, "sft"))
    ended = {row["id"]: row["end_reason"] for row in rows_of_prompts(work_dir)}
    kept = {row["id"] for row in rows(work_dir / "score") if row["score"] == 1.0 and row["attempt"] % 2}
    assert kept and {name for name, reason in ended.items() if reason == "early_stop"} == kept


def test_a_new_filter_tops_up_and_writes_anew(tmp_path: Path, rsr: Rsr, config: Path) -> None:
    work_dir = tmp_path / "w"
    assert rsr("run", config, "-w", work_dir, "formatter=sft").exit_code == 0
    before = {(row["id"], row["attempt"]): row for row in rows(work_dir / "rollout")}
    assert any(row["attempt"] == 0 for row in written(work_dir, "sft"))
    assert rsr("resume", "-w", work_dir, f"filters={tmp_path}/odd.py:Odd").exit_code == 0
    after = {(row["id"], row["attempt"]): row for row in rows(work_dir / "rollout")}
    assert len(after) > len(before) and all(after[key] == row for key, row in before.items())
    assert all(int(str(row["attempt"])) % 2 for row in written(work_dir, "sft"))


@pytest.mark.parametrize(
    ("body", "saying"),
    [
        ("raise ValueError('no good')", "the filter Mine raised ValueError on the prompt 'sum-"),
        ("import sys; sys.exit()", "the filter Mine raised SystemExit on the prompt 'sum-"),
        ("return False", "the filter Mine returned False on the prompt 'sum-"),
    ],
)
def test_a_filter_that_misbehaves_is_named(body: str, saying: str, tmp_path: Path, rsr: Rsr, config: Path) -> None:
    (tmp_path / "mine.py").write_text(f"class Mine:\n    def keep(self, rollout, group):\n        {body}\n")
    outcome = rsr("run", config, "-w", tmp_path / "w", f"filters={tmp_path}/mine.py:Mine")
    assert outcome.exit_code == 2 and saying in outcome.stderr


def test_length() -> None:
    [short, long] = group((1.0, "<think>very long thinking</think>ab"), (1.0, "a" * 10)).rollouts()
    whole = group(1.0)
    assert Length(max_chars=5).keep(short, whole) is True
    assert Length(max_chars=5).keep(long, whole) == "10 characters, more than 5"
    assert Length(min_chars=5).keep(short, whole) == "2 characters, fewer than 5"
    assert Length(max_tokens=5).keep(short, whole) == "10 tokens, more than 5"
    assert Length(min_tokens=11).keep(short, whole) == "10 tokens, fewer than 11"
    with pytest.raises(ValueError, match="at least one"):
        Length()


def rows_of_prompts(work_dir: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    found: list[dict[str, object]] = pq.read_table(work_dir / "summary/prompts.parquet").to_pylist()
    return found
