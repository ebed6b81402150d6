"""verify: what a verifier does wrong is never the model's failing, and can be asked again."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Rsr
from tests.work_dirs import rows, sums, write_config, write_rows

FAULTY = """
import math, os, sys, time

class Faulty:
    def __init__(self, mended=False):
        self.mended = mended

    def verify(self, response, metadata):
        kind = response.split()[0]
        if self.mended:
            return 1.0
        if kind == "raise": raise RuntimeError("oh no")
        if kind == "hang": time.sleep(60)
        if kind == "die": os._exit(3)
        if kind == "text": return "yes"
        if kind == "none": return None
        if kind == "nan": return math.nan
        if kind == "print": print("printed on stdout"); sys.stdout.flush()
        if kind == "bool": return True
        if kind == "half": return 0.5
        return 0.0
"""
KINDS = ["raise", "hang", "die", "text", "none", "nan", "print", "bool", "half", "wrong"]
EXPECTED = {
    "raise": ("error", None), "hang": ("timeout", None), "die": ("error", None), "text": ("error", None),
    "none": ("error", None), "nan": ("error", None), "print": ("scored", 0.0), "bool": ("scored", 1.0),
    "half": ("scored", 0.5), "wrong": ("scored", 0.0),
}  # fmt: skip


@pytest.fixture
def work_dir(tmp_path: Path, rsr: Rsr) -> Path:
    (tmp_path / "mine.py").write_text(FAULTY)
    verifier = {"type": f"{tmp_path}/mine.py:Faulty", "workers": 2, "time_limit": 1}
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(20)), "http://127.0.0.1:1/v1", verifier=verifier
    )
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    made = [{"id": row["id"], "response": f"{kind} {row['id']}"} for row in sums(20) for kind in KINDS]
    few = [row for row in made if not row["response"].startswith(("hang", "die")) or row["id"] in ("sum-1", "sum-15")]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", few), "-w", tmp_path / "w").exit_code == 0
    return tmp_path / "w"


def kinds(work_dir: Path) -> dict[str, set[tuple[str, float | None]]]:
    responses = {(row["id"], row["attempt"]): row["response"] for row in rows(work_dir / "rollout")}
    found: dict[str, set[tuple[str, float | None]]] = {}
    for row in rows(work_dir / "score"):
        kind = responses[row["id"], row["attempt"]].split()[0]
        found.setdefault(kind, set()).add((row["status"], row["score"]))
    return found


def test_a_faulty_verifier_costs_only_what_it_could_not_score(work_dir: Path, rsr: Rsr) -> None:
    outcome = rsr("verify", "-w", work_dir, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert kinds(work_dir) == {kind: {expected} for kind, expected in EXPECTED.items()}
    counts = json.loads(outcome.stdout)["stages"]["verify"]
    assert (counts["timeout"], counts["error"]) == (2, 82)
    assert "printed on stdout" not in outcome.stdout
    assert rsr("format", "-w", work_dir).exit_code == 0
    assert rsr("analyze", "-w", work_dir).exit_code == 0
    rejected = Counter(row["rejected"][0]["content"].split()[0] for row in rows(work_dir / "train/dpo"))
    assert set(rejected) <= {"print", "wrong"}
    stats = json.loads((work_dir / "summary/stats.json").read_text())
    assert stats["scores"]["scored"] == 80
    assert stats["pass_rate"]["of_rollouts"] == 0.25


def test_unknown_scores_are_asked_again_on_demand_only(work_dir: Path, rsr: Rsr, tmp_path: Path) -> None:
    rsr("verify", "-w", work_dir)
    assert "up to date" in rsr("verify", "-w", work_dir).stdout
    known = {(row["id"], row["attempt"]): row for row in rows(work_dir / "score") if row["score"] is not None}
    again = rsr("verify", "-w", work_dir, "--retry-unknown", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["stages"]["verify"]["timeout"] == 2
    after = {(row["id"], row["attempt"]): row for row in rows(work_dir / "score")}
    assert all(after[key] == row for key, row in known.items())


def test_an_option_is_part_of_the_verifier_and_a_limit_is_not(work_dir: Path, rsr: Rsr) -> None:
    rsr("verify", "-w", work_dir)
    assert "up to date" in rsr("verify", "-w", work_dir, "verifier.time_limit=2").stdout
    mended = rsr("verify", "-w", work_dir, "verifier.mended=true")
    assert "timeout -> 1: 2" in mended.stdout and "error -> 1: 82" in mended.stdout
    assert {row["score"] for row in rows(work_dir / "score")} == {1.0}


def test_a_verifier_that_cannot_be_made_is_said_at_once(work_dir: Path, rsr: Rsr) -> None:
    outcome = rsr("verify", "-w", work_dir, "verifier.nonsense=1")
    assert outcome.exit_code == 2
    assert "nonsense" in outcome.stderr
    assert not (work_dir / "score").exists()


def test_changes_are_counted_whole_after_an_interrupted_scoring(
    tmp_path: Path, rsr: Rsr, rsr_command: list[str]
) -> None:
    verifier = tmp_path / "mine.py"
    text = "import time\nclass Slow:\n    def verify(self, response, metadata):\n        time.sleep({}); return {}\n"
    verifier.write_text(text.format(0, 0.0))
    settings = {"type": f"{verifier}:Slow", "workers": 2}
    inputs = write_rows(tmp_path / "in.jsonl", sums(100))
    config = write_config(tmp_path / "c.yaml", inputs, "http://127.0.0.1:1/v1", verifier=settings, shard={"size": 1000})
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    made = [{"id": row["id"], "response": f"text {number}"} for row in sums(100) for number in range(2)]
    rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", work_dir)
    assert rsr("verify", "-w", work_dir).exit_code == 0
    verifier.write_text(text.format(0.05, 1.0))
    process = subprocess.Popen([*rsr_command, "verify", "-w", work_dir], stderr=subprocess.DEVNULL)
    journal = work_dir / "score/shard_0000.journal"
    end = time.monotonic() + 30
    while not journal.exists() or journal.stat().st_size < 2000:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    outcome = rsr("verify", "-w", work_dir)
    assert "200 verdicts changed" in outcome.stdout and "0 -> 1: 200" in outcome.stdout
