"""What is read back is checked: verdicts against the texts they are on, shards against what they were closed with."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Rsr
from tests.work_dirs import rows, sums, write_config, write_rows

URL = "http://127.0.0.1:1/v1"
PROMPTS = 30


def completions(shift: int) -> list[dict[str, object]]:
    """Four per prompt, of which one is right: another one with each `shift`."""
    return [
        {"id": f"sum-{index}", "response": f"\\boxed{{{index + 7 + (number + shift) % 4}}}"}
        for index in range(PROMPTS)
        for number in range(4)
    ]


@pytest.fixture
def work_dir(tmp_path: Path, rsr: Rsr) -> Path:
    """Three shards, imported, verified and formatted."""
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(PROMPTS)), URL)
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    rsr("import", write_rows(tmp_path / "a.jsonl", completions(0)), "-w", work_dir)
    for stage in ("verify", "format", "analyze"):
        assert rsr(stage, "-w", work_dir).exit_code == 0
    return work_dir


def exchange_texts(tmp_path: Path, work_dir: Path, rsr: Rsr, paths: list[Path]) -> None:
    """Other completions under the numbers of those in these rollout shards."""
    for path in paths:
        path.unlink()
    state = json.loads((work_dir / "state.json").read_text())
    state["closed"] = {}  # as in version 0.1, which did not notice
    (work_dir / "state.json").write_text(json.dumps(state))
    rsr("import", write_rows(tmp_path / "b.jsonl", completions(1)), "-w", work_dir)


def wrong_verdicts(work_dir: Path) -> list[tuple[str, int]]:
    texts = {(row["id"], row["attempt"]): row["response"] for row in rows(work_dir / "rollout")}
    golds = {f"sum-{index}": f"\\boxed{{{index + 7}}}" for index in range(PROMPTS)}
    return [
        (row["id"], row["attempt"])
        for row in rows(work_dir / "score")
        if (row["score"] == 1.0) != (texts[row["id"], row["attempt"]] == golds[row["id"]])
    ]


def make_old(path: Path) -> None:
    """Make a score shard one of version 0.1, which says so in its explanations."""
    footer = pq.read_metadata(path).metadata
    table = pq.read_table(path).drop_columns(["response_digest", "group_digest"])
    table = table.set_column(5, "explanation", [["of version 0.1"] * table.num_rows])
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({key: value for key, value in footer.items() if key.startswith(b"rsr.")})


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("exchanged", ["all", "one"])
def test_verdicts_are_not_joined_to_other_texts(
    exchanged: str, old: bool, tmp_path: Path, work_dir: Path, rsr: Rsr
) -> None:
    assert wrong_verdicts(work_dir) == []
    if old:
        for path in (work_dir / "score").iterdir():
            make_old(path)
    shards = sorted((work_dir / "rollout").iterdir())
    exchange_texts(tmp_path, work_dir, rsr, shards if exchanged == "all" else shards[1:2])
    shown = [json.loads(line) for line in rsr("show", work_dir, "--json", "-n", 99).stdout.splitlines()]
    for prompt in shown:
        for attempt in prompt["attempts"]:
            right = attempt["response"] == f"\\boxed{{{prompt['metadata']['answer']}}}"
            assert attempt["verdict"] is None or (attempt["verdict"]["score"] == 1.0) == right
    before = rsr("verify", "-w", work_dir)
    assert before.exit_code == 0 and "verdicts changed" not in before.stdout, "verdicts on other texts do not change"
    assert wrong_verdicts(work_dir) == []
    assert "up to date" not in rsr("format", "-w", work_dir).stdout
    for row in rows(work_dir / "train/sft"):
        question = row["messages"][0]["content"]
        gold = next(item["metadata"]["answer"] for item in sums(PROMPTS) if item["messages"][0]["content"] == question)
        assert row["messages"][-1]["content"] == f"\\boxed{{{gold}}}"


def test_verdicts_of_version_0_1_on_the_same_rollouts_are_kept(tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    for path in sorted((work_dir / "score").iterdir()):
        make_old(path)
    assert "up to date" in rsr("verify", "-w", work_dir).stdout
    # More rollouts make it another shard: the verdicts on those that stay are kept.
    rsr("import", write_rows(tmp_path / "b.jsonl", completions(1)), "-w", work_dir)
    assert rsr("verify", "-w", work_dir).exit_code == 0
    found = rows(work_dir / "score")
    assert [row["explanation"] == "of version 0.1" for row in found] == [row["attempt"] < 4 for row in found]
    assert None not in {row["response_digest"] for row in found}
    assert wrong_verdicts(work_dir) == []


def test_flipped_bits_are_not_read_as_other_content(tmp_path: Path, work_dir: Path, rsr: Rsr) -> None:
    """In every folder that rsr reads back; a flip that changes nothing that is read (unused bytes) is allowed."""
    chance = random.Random(3)
    whole = {name: rows(work_dir / name) for name in ("data", "rollout", "score")}
    noticed = 0
    for name, expected in whole.items():
        path = work_dir / name / "shard_0001.parquet"
        content = path.read_bytes()
        for _ in range(6):
            place, bit = chance.randrange(4, len(content) - 8), chance.randrange(8)
            path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
            outcome = rsr("show", work_dir, "--json", "-n", 99)
            if outcome.exit_code:
                noticed += 1
                assert str(path) in outcome.stderr and "rsr check" in outcome.stderr
                continue
            texts = [attempt for line in outcome.stdout.splitlines() for attempt in json.loads(line)["attempts"]]
            assert [attempt["response"] for attempt in texts] == [row["response"] for row in whole["rollout"]]
            scores = [attempt["verdict"] and attempt["verdict"]["score"] for attempt in texts]
            assert all(a in (b["score"], None) for a, b in zip(scores, whole["score"], strict=True))
        path.write_bytes(content)
        assert rows(work_dir / name) == expected
    assert noticed > 6


def test_a_shard_that_may_not_be_read_is_not_called_damaged(
    work_dir: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", "w/rollout/shard_0000.parquet")

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    outcome = rsr("show", work_dir)
    assert outcome.exit_code == 1
    assert "Permission denied" in outcome.stderr and "damaged" not in outcome.stderr


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(work_dir: Path, rsr: Rsr) -> None:
    for place in ("rollout/shard_0000.parquet", "rollout/shard_0001.journal", "score/shard_0000.parquet"):
        path = work_dir / place
        if path.exists():
            shutil.move(path, work_dir / "aside")
        os.mkfifo(path)
        outcome = rsr("show", work_dir, "-n", 99)
        assert outcome.exit_code != 0 and str(path) in outcome.stderr
        path.unlink()
        if (work_dir / "aside").exists():
            shutil.move(work_dir / "aside", path)
