"""import: completions made elsewhere, by id or by messages, once and no more than once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Rsr
from tests.work_dirs import rows, sums, write_config, write_rows

URL = "http://127.0.0.1:1/v1"


@pytest.fixture
def work_dir(tmp_path: Path, rsr: Rsr) -> Path:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(15)), URL)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    return tmp_path / "w"


def completions(count: int = 15) -> list[dict[str, object]]:
    """Two per prompt: the first right, the second wrong; every fifth prompt named by its messages."""
    found: list[dict[str, object]] = []
    for index, row in enumerate(sums(count)):
        name = {"messages": row["messages"]} if index % 5 == 0 else {"id": row["id"]}
        found.append(
            name | {"response": f"It is \\boxed{{{index + 7}}}.", "finish_reason": "stop", "model": "elsewhere"}
        )
        found.append(name | {"response": "It is \\boxed{-1}.", "completion_tokens": 9})
    return found


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_imported_completions_go_through_the_other_stages(kind: str, tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    path = tmp_path / f"made.{kind}"
    if kind == "jsonl":
        write_rows(path, completions())
    else:
        pq.write_table(pa.Table.from_pylist([dict.fromkeys(["id", "messages"]) | row for row in completions()]), path)
    outcome = rsr("import", path, "-w", work_dir, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["stages"]["import"]["imported"] == 30
    for stage in ("verify", "format", "analyze"):
        assert rsr(stage, "-w", work_dir).exit_code == 0
    assert [row["score"] for row in rows(work_dir / "score")] == [1.0, 0.0] * 15
    assert len(rows(work_dir / "train/dpo")) == 15
    stats = json.loads((work_dir / "summary/stats.json").read_text())
    assert stats["pass_rate"]["first_step_mean"] == 0.5
    assert stats["early_stop"]["attempts_saved"] == 0
    again = rsr("import", path, "-w", work_dir, "--json")
    assert json.loads(again.stdout)["stages"]["import"] == {
        "up_to_date": True, "skipped": 0, "rows": 30, "invalid": 0, "imported": 0, "already_here": 30,
    }  # fmt: skip
    assert len(rows(work_dir / "rollout")) == 30


def test_another_file_is_another_step(tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    rsr("import", write_rows(tmp_path / "a.jsonl", completions(3)), "-w", work_dir)
    more = [{"id": "sum-1", "response": "8", "reasoning": "7 + 1", "finish_reason": "length"}]
    assert rsr("import", write_rows(tmp_path / "b.jsonl", more), "-w", work_dir).exit_code == 0
    of_one = [row for row in rows(work_dir / "rollout") if row["id"] == "sum-1"]
    assert [(row["attempt"], row["step"], row["step_size"]) for row in of_one] == [(0, 0, 2), (1, 0, 2), (2, 1, 1)]
    assert of_one[2]["response"] is None and of_one[2]["finish_reason"] == "length", "truncated text is dropped"


def test_bad_rows_are_refused_all_at_once(tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    bad = [
        {"id": "unknown", "response": "x"},
        {"id": "sum-1"},
        {"response": "x"},
        {"id": "sum-1", "response": 5},
        {"id": "sum-1", "response": "x", "completion_tokens": "many"},
    ]
    path = write_rows(tmp_path / "made.jsonl", completions(2) + bad)
    outcome = rsr("import", path, "-w", work_dir)
    assert outcome.exit_code == 2
    assert "5 of 9 rows are invalid" in outcome.stderr
    assert "made.jsonl:5: there is no prompt 'unknown' here" in outcome.stderr
    assert not (work_dir / "rollout").exists()
    assert rsr("import", path, "-w", work_dir, "--skip-invalid").exit_code == 0
    assert len(rows(work_dir / "rollout")) == 4


def test_a_mapping_may_give_several_completions_or_none(tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    (tmp_path / "m.py").write_text(
        "def f(item):\n"
        "    if item['key'] > 2: return None\n"
        "    return [{'id': f\"sum-{item['key']}\", 'response': text} for text in item['texts']]\n"
    )
    path = write_rows(tmp_path / "made.jsonl", [{"key": key, "texts": ["a", "b", "c"]} for key in range(5)])
    outcome = rsr("import", path, "-w", work_dir, "--transform", f"{tmp_path}/m.py:f", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["stages"]["import"]["imported"] == 9


TRUNCATED = [
    "length",
    "max_tokens",
    "MAX_TOKENS",
    "model_length",
    "max_length",
    "Length",
    "truncated",
    {"type": "length"},
]
FAILED = ["error", "abort", "ERROR", "cancelled"]
WHOLE = ["stop", "STOP", "eos", "end_turn", "COMPLETE", {"type": "stop", "matched": 2}]
UNKNOWN = ["brand new", "other", "", None, "null"]


def test_an_imported_end_is_read_like_an_answers(tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    ends = [*TRUNCATED, *FAILED, "content_filter", "SAFETY", *WHOLE, *UNKNOWN]
    made = [{"id": "sum-0", "response": f"{number}", "finish_reason": end} for number, end in enumerate(ends)]
    outcome = rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", work_dir)
    assert outcome.exit_code == 0, outcome.stderr
    kept = [row for row in rows(work_dir / "rollout") if row["response"] is not None and row["error"] is None]
    assert [row["response"] for row in kept] == [str(number) for number in range(14, len(ends))]
    found = [row["finish_reason"] for row in rows(work_dir / "rollout")]
    assert found[:14] == ["length"] * 8 + ["error"] * 4 + ["content_filter"] * 2
    assert found[14:] == ["stop"] * 6 + ["brand new", "other"] + ["unknown"] * 3
    assert outcome.stderr.count("brand new") == 1 and "3 of the rows have no finish_reason" in outcome.stderr


@pytest.mark.parametrize("count", [211.0, "211", "211.0", float("nan"), "", None])
def test_counts_as_pandas_and_csv_write_them(count: object, tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    made = {"id": ["sum-0"], "response": ["x"], "completion_tokens": [count], "prompt_tokens": [7.0], "seed": [3.0]}
    pq.write_table(pa.table(made), tmp_path / "made.parquet")
    outcome = rsr("import", tmp_path / "made.parquet", "-w", work_dir)
    assert outcome.exit_code == 0, outcome.stderr
    [row] = rows(work_dir / "rollout")
    known = count is not None and count != "" and count == count
    assert (row["completion_tokens"], row["prompt_tokens"], row["seed"]) == (211 if known else None, 7, 3)


@pytest.mark.parametrize("wrong", [{"completion_tokens": -1}, {"completion_tokens": [1]}, {"seed": "x"}, {"model": 5}])
def test_a_value_that_can_not_be_is_refused(wrong: dict[str, object], tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    made = write_rows(tmp_path / "made.jsonl", [{"id": "sum-0", "response": "x"} | wrong])
    outcome = rsr("import", made, "-w", work_dir)
    assert outcome.exit_code == 2 and next(iter(wrong)) in outcome.stderr


KILLED_AFTER_TWO = """
import os, signal, sys
from rsr_cli.cli.app import main
from rsr_cli.store import inventory
note, seen = inventory.note_rollouts, []
def noted(*args):
    note(*args)
    seen.append(args)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
inventory.note_rollouts = noted
sys.argv = ["rsr", "import", sys.argv[1], "-w", sys.argv[2]]
main()
"""


def test_an_import_that_was_killed_is_known_and_finished(tmp_path: Path, rsr: Rsr) -> None:
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(40)), "http://127.0.0.1:9/v1", shard={"size": 5}
    )
    w = tmp_path / "w"
    assert rsr("prepare", config, "-w", w).exit_code == 0
    made = write_rows(tmp_path / "made.jsonl", [{"id": f"sum-{n % 40}", "response": f"{n}"} for n in range(80)])
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_TWO, str(made), str(w)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    other = write_rows(tmp_path / "other.jsonl", [{"id": "sum-39", "response": "x"}])
    for command in (["sample"], ["verify"], ["format"], ["analyze"], ["resume"], ["run"], ["import", other]):
        refused = rsr(*command, "-w", w)
        assert refused.exit_code == 2 and f"rsr import {made} -w {w}" in refused.stderr, (command, refused)
    looked = rsr("status", w)
    assert looked.exit_code == 4 and f"rsr import {made}" in looked.stdout
    finished = rsr("import", made, "-w", w, "--json")
    assert finished.exit_code == 0, finished.stderr
    counts = json.loads(finished.stdout)["stages"]["import"]
    assert (counts["imported"], counts["already_here"]) == (60, 20)
    assert sorted(int(row["response"]) for row in rows(w / "rollout")) == list(range(80))
    assert rsr("import", other, "-w", w).exit_code == 0


def test_memory_does_not_grow_with_the_file(tmp_path: Path, rsr: Rsr) -> None:
    """Six times the rows, of 16 KB each; the prompts are as many."""
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(100)), URL, shard={"size": 10})
    row = '{{"id": "sum-{}", "response": "{} {}"}}\n'

    def peak(count: int) -> int:
        work_dir, made = tmp_path / f"w{count}", tmp_path / f"{count}.jsonl"
        assert rsr("prepare", config, "-w", work_dir).exit_code == 0
        with made.open("w") as file:
            file.writelines(row.format(n % 100, n, "x" * 16_000) for n in range(count))
        tracemalloc.start()
        outcome = rsr("import", made, "-w", work_dir)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert outcome.exit_code == 0, outcome.stderr
        return found

    peak(10)  # what is loaded once
    small, large = peak(100), peak(600)
    assert large - small < 3_000_000, (small, large)  # held in memory, the rows more would take 8 MB
