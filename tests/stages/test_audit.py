"""verify --audit: bad golds, disagreements and golds that the rollouts contradict are found and listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Rsr
from tests.work_dirs import rows, sums, write_config, write_rows


@pytest.fixture
def work_dir(tmp_path: Path, rsr: Rsr) -> Path:
    """sum-0 has no usable gold, sum-1 a gold that all rollouts contradict; the others are right and wrong in turn."""
    prompts = sums(6)
    prompts[0]["metadata"]["answer"] = "see the appendix for the full derivation"
    prompts[1]["metadata"]["answer"] = "999"
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), "http://127.0.0.1:1/v1")
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    made = []
    for index, row in enumerate(prompts):
        for number in range(4):
            answer = index + 7 + (number % 2 if index > 1 else 0)
            made.append({"id": row["id"], "response": f"I get \\boxed{{{answer}}}"})
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", tmp_path / "w").exit_code == 0
    return tmp_path / "w"


def cases(work_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (work_dir / "summary/audit_cases.jsonl").read_text().splitlines()]


def test_golds_and_consensus(work_dir: Path, rsr: Rsr) -> None:
    outcome = rsr("verify", "-w", work_dir, "--audit", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)["stages"]["audit"]
    assert found["golds"] == 6
    assert found["consensus_against_gold"] >= 1
    contradicted = [case for case in cases(work_dir) if case["kind"] == "consensus_against_gold"]
    assert "sum-1" in {case["id"] for case in contradicted}
    one = next(case for case in contradicted if case["id"] == "sum-1")
    assert (one["consensus"], one["agreeing"], one["metadata"]["answer"]) == ("8", 4, "999")
    assert one["response"] == "I get \\boxed{8}"


def test_two_verifiers_are_compared(work_dir: Path, rsr: Rsr, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class Odd:\n"
        "    def verify(self, response, metadata):\n"
        "        return float(int(response.split('{')[1].rstrip('}')) % 2)\n"
    )
    before = rows(work_dir / "score") if (work_dir / "score").exists() else []
    assert not before
    outcome = rsr("verify", "-w", work_dir, "--against", f"{tmp_path}/mine.py:Odd", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)["stages"]["audit"]
    assert found["compared_rollouts"] == 24
    scored = {(row["id"], row["attempt"]): row["score"] for row in rows(work_dir / "score")}
    differing = 0
    for row in rows(work_dir / "rollout"):
        odd = float(int(row["response"].split("{")[1].rstrip("}")) % 2)
        differing += odd != scored[row["id"], row["attempt"]]
    assert sum(found["disagreements"].values()) == differing
    assert {case["kind"] for case in cases(work_dir)} >= {"disagreement"}
    assert len(rows(work_dir / "score")) == 24


def test_a_gold_that_refuses_itself_is_listed(work_dir: Path, rsr: Rsr, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class Picky:\n    def verify(self, response, metadata):\n        return float('999' not in response)\n"
    )
    rsr("verify", "-w", work_dir, f"verifier={{type: '{tmp_path}/mine.py:Picky', workers: 1}}", "--audit")
    assert [case["id"] for case in cases(work_dir) if case["kind"] == "bad_gold"] == ["sum-1"]


def test_the_reference_stands_beside_the_rollouts(tmp_path: Path, rsr: Rsr) -> None:
    prompts = sums(4)
    for row in prompts:
        row["metadata"]["reference"] = f"By hand: \\boxed{{{row['metadata']['answer']}}}"
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), "http://127.0.0.1:1/v1")
    made = [{"id": row["id"], "response": "I get \\boxed{-1}"} for row in prompts]
    for name, override in (("on", "shard.size=10"), ("off", "sampling.include_reference=false")):
        work_dir = tmp_path / name
        rsr("prepare", config, "-w", work_dir, override)
        rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", work_dir)
        assert rsr("verify", "-w", work_dir).exit_code == 0
        assert rsr("format", "-w", work_dir).exit_code == (0 if name == "on" else 3)
        assert rsr("analyze", "-w", work_dir).exit_code == 0
    pairs = rows(tmp_path / "on/train/dpo")
    assert [(row["chosen_attempt"], row["rejected_attempt"]) for row in pairs] == [(-1, 0)] * 4
    assert pairs[0]["chosen"][0]["content"] == "By hand: \\boxed{7}"
    assert not rows(tmp_path / "on/train/sft"), "a reference is no rollout"
    assert not rows(tmp_path / "off/train/dpo")
    stats = json.loads((tmp_path / "on/summary/stats.json").read_text())
    assert stats["scores"]["scored"] == 4 and stats["pass_rate"]["of_rollouts"] == 0.0
    switched = rsr("verify", "-w", tmp_path / "off", "sampling.include_reference=true")
    assert "up to date" not in switched.stdout
