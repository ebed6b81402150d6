"""The stages alone and chained, rerun, and topped up, on real HTTP and real Parquet."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import journals, outcome, rows, state, sums, write_config, write_rows

STAGES = ("prepare", "sample", "verify", "format", "analyze")


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    return write_config(tmp_path / "config.yaml", write_rows(tmp_path / "in.jsonl", sums(25)), model_server.base_url)


def test_run_is_the_same_as_its_stages_one_by_one(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    chained, single = tmp_path / "chained", tmp_path / "single"
    assert rsr("run", config, "-w", chained).exit_code == 0
    assert rsr("prepare", config, "-w", single).exit_code == 0
    for stage in STAGES[1:]:
        assert rsr(stage, "-w", single).exit_code == 0
    files = sorted(path.relative_to(chained) for path in chained.rglob("*.parquet"))
    assert files == sorted(path.relative_to(single) for path in single.rglob("*.parquet"))
    assert {path.parts[0] for path in files} == {"data", "rollout", "score", "train", "summary"}
    assert outcome(chained) == outcome(single)
    assert (chained / "train/sft.jsonl").read_bytes() == (single / "train/sft.jsonl").read_bytes()
    one, other = (json.loads((root / "summary/stats.json").read_text()) for root in (chained, single))
    assert one["prompts"] == other["prompts"]
    assert one["pass_rate"]["first_step_mean"] == other["pass_rate"]["first_step_mean"]


def test_shards_hold_the_same_prompts_in_every_folder(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    names = [path.name for path in sorted((work_dir / "data").iterdir())]
    assert names == ["shard_0000.parquet", "shard_0001.parquet", "shard_0002.parquet"]
    assert not journals(work_dir)
    for name in names:
        data, rollout, score = (
            [row["id"] for row in rows_of(work_dir / folder / name)] for folder in ("data", "rollout", "score")
        )
        assert list(dict.fromkeys(rollout)) == data
        assert set(score) <= set(data)


def rows_of(path: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def test_a_second_run_does_nothing_and_says_so(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    before = {path: path.stat().st_mtime_ns for path in work_dir.rglob("*.parquet")}
    served = len(model_server.log)
    for command in (("run", "-w", work_dir), ("run", config, "-w", work_dir), ("resume", work_dir)):
        outcome = rsr(*command)
        assert outcome.exit_code == 0
        assert "nothing to do" in outcome.stdout
    assert len(model_server.log) == served
    assert before == {path: path.stat().st_mtime_ns for path in work_dir.rglob("*.parquet")}


def test_early_stop_ends_a_group_that_has_what_formatters_need(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    scores = {(row["id"], row["attempt"]): row["score"] for row in rows(work_dir / "score")}
    by_prompt: dict[str, list[float]] = {}
    for (prompt, _), score in scores.items():
        by_prompt.setdefault(prompt, []).append(score)
    stats = {row["id"]: row for row in rows_of(work_dir / "summary/prompts.parquet")}
    reasons = Counter(row["end_reason"] for row in stats.values())
    assert reasons["early_stop"] and reasons["max_rollouts"] and len(reasons) == 2
    for prompt, values in by_prompt.items():
        # What was under way when the last that is needed arrived may be there as well, and no more.
        enough = min((n for n in range(1, 9) if {0.0, 1.0} <= set(values[:n])), default=8)
        assert enough <= len(values) <= min(8, enough + 3)
        assert (stats[prompt]["end_reason"] == "early_stop") == ({0.0, 1.0} <= set(values))
        assert stats[prompt]["n_pass"] == sum(values)
        assert stats[prompt]["pass_rate_first_step"] == values[0]


def test_raising_max_rollouts_tops_up_only_unsatisfied_prompts(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    before = {(row["id"], row["attempt"]): row for row in rows(work_dir / "rollout")}
    ended = {row["id"]: row["end_reason"] for row in rows_of(work_dir / "summary/prompts.parquet")}
    assert rsr("resume", "-w", work_dir, "sampling.max_rollouts=12").exit_code == 0
    after = {(row["id"], row["attempt"]): row for row in rows(work_dir / "rollout")}
    assert before.items() <= after.items()
    added = Counter(prompt for prompt, attempt in after.keys() - before.keys())
    assert set(added) == {prompt for prompt, reason in ended.items() if reason == "max_rollouts"}
    assert all(count <= 4 for count in added.values())
    reasons = {row["id"]: row["end_reason"] for row in rows_of(work_dir / "summary/prompts.parquet")}
    assert all(count == 4 for prompt, count in added.items() if reasons[prompt] == "max_rollouts")
    changes = state(work_dir)["changes"]
    assert changes[-1]["changed"] == {"sampling.max_rollouts": [8, 12]}


def test_another_formatter_tops_up(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir, "formatter=[{type: sft}]")
    few = len(rows(work_dir / "rollout"))
    assert rsr("resume", "-w", work_dir, "formatter=[{type: sft}, {type: dpo}, rollouts]").exit_code == 0
    assert len(rows(work_dir / "rollout")) > few
    assert sorted(path.name for path in (work_dir / "train").glob("*.jsonl")) == [
        "dpo.jsonl",
        "rollouts.jsonl",
        "sft.jsonl",
    ]


FIRST = """
class Strict:
    def verify(self, response, metadata):
        return 0.0
"""
MENDED = """
import re

class Strict:
    def verify(self, response, metadata):
        return float(re.findall(r"-?[0-9]+", response)[-1] == metadata["answer"])
"""


def test_a_mended_verifier_rescores_and_then_tops_up(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    verifier = tmp_path / "mine.py"
    verifier.write_text(FIRST)
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir, f"verifier={{type: '{verifier}:Strict', workers: 1}}", "formatter=[{type: sft}]")
    assert {row["score"] for row in rows(work_dir / "score")} == {0.0}
    drawn = rows(work_dir / "rollout")
    served = len(model_server.log)
    verifier.write_text(MENDED)
    outcome = rsr("verify", "-w", work_dir)
    assert outcome.exit_code == 0
    passes = sum(row["score"] == 1.0 for row in rows(work_dir / "score"))
    assert passes > 0
    assert f"{passes} verdicts changed" in outcome.stdout
    assert f"0 -> 1: {passes}" in outcome.stdout
    assert "sum-" in outcome.stdout.split("0 -> 1")[1]
    assert len(model_server.log) == served
    assert rows(work_dir / "rollout") == drawn
    again = rsr("verify", "-w", work_dir)
    assert "up to date" in again.stdout
    # Every prompt had drawn its eight: there is nothing to top up until a pass is lost.
    verifier.write_text(FIRST)
    rsr("sample", "-w", work_dir, "sampling.max_rollouts=12")
    grown = Counter(row["id"] for row in rows(work_dir / "rollout"))
    assert set(grown.values()) == {12}


def test_topping_up_asks_only_for_prompts_that_lost_their_pass(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    verifier = tmp_path / "mine.py"
    verifier.write_text(MENDED)
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir, f"verifier={{type: '{verifier}:Strict', workers: 1}}", "formatter=[{type: sft}]")
    before = Counter(row["id"] for row in rows(work_dir / "rollout"))
    assert before["sum-2"] < 8
    verifier.write_text(MENDED.replace('== metadata["answer"]', '== metadata["answer"] != "9"'))
    assert rsr("verify", "-w", work_dir).exit_code == 0
    assert rsr("sample", "-w", work_dir).exit_code == 0
    after = Counter(row["id"] for row in rows(work_dir / "rollout"))
    assert {prompt for prompt in after if after[prompt] != before[prompt]} == {"sum-2"}


def test_a_changed_temperature_is_refused_and_allow_mixed_lets_it_in(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    rsr("run", config, "-w", work_dir)
    outcome = rsr("sample", "-w", work_dir, "sampler.temperature=1.0", "sampling.max_rollouts=12")
    assert outcome.exit_code == 2
    assert "sampler.temperature: 0.7 -> 1.0" in outcome.stderr
    assert (
        rsr("sample", "-w", work_dir, "sampler.temperature=1.0", "sampling.max_rollouts=12", "--allow-mixed").exit_code
        == 0
    )
    params = {json.loads(row["params"])["temperature"] for row in rows(work_dir / "rollout")}
    assert params == {0.7, 1.0}


def test_dry_run_writes_nothing_and_bounds_what_it_can_spend(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    outcome = rsr("run", config, "-w", work_dir, "--dry-run", "--json")
    assert outcome.exit_code == 0
    plan = json.loads(outcome.stdout)
    assert plan["prompts"] == 25
    assert plan["most_attempts"] == 25 * 4 * 4
    assert plan["most_completion_tokens"] == 25 * 4 * 4 * 2048
    assert not work_dir.exists()
    assert rsr("run", config, "-w", work_dir, "--dry-run").stdout.startswith("data:")


def test_the_api_key_reaches_the_server_and_no_file(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.scenario.api_key = "sk-very-secret"
    literal, by_name = tmp_path / "literal", tmp_path / "by_name"
    header = "sampler.headers={X-Gateway: gate-very-secret}"
    assert rsr("run", config, "-w", literal, "sampler.api_key=sk-very-secret", header).exit_code == 0
    assert model_server.log[0].headers["x-gateway"] == "gate-very-secret"
    changed = "sampler.headers.X-Gateway=other-very-secret"
    assert (
        rsr("run", "-w", literal, changed, "sampler.api_key=sk-very-secret", "sampling.max_rollouts=9").exit_code == 0
    )
    assert model_server.log[-1].headers["x-gateway"] == "other-very-secret"
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    assert rsr("run", config, "-w", by_name, "sampler.api_key=${MY_KEY}").exit_code == 0
    assert "${MY_KEY}" in (by_name / "config.yaml").read_text()
    for root in (literal, by_name):
        assert not [path for path in root.rglob("*") if path.is_file() and b"very-secret" in path.read_bytes()]


def test_without_a_work_dir_its_path_is_the_last_line(
    tmp_path: Path, config: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = rsr("prepare", config)
    made = Path(outcome.stdout.splitlines()[-1].strip())
    assert made.parent == Path("output") and (made / "state.json").exists()
    assert rsr("run", "-w", made, "--json").exit_code == 0


def test_without_formatters_nothing_is_written_and_all_is_drawn(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(5)), model_server.base_url, formatter=[]
    )
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    valid = [row for row in rows(tmp_path / "w/rollout") if row["response"] is not None]
    assert len(valid) == 5 * 8 == len(rows(tmp_path / "w/score"))
    assert not list((tmp_path / "w").glob("train/*"))
    assert "holds no rows" not in outcome.stderr
    assert "up to date" in rsr("format", "-w", tmp_path / "w").stdout
    # Training files later cost nothing more.
    assert rsr("run", "-w", tmp_path / "w", "formatter=[sft]").exit_code == 0
    assert len(rows(tmp_path / "w/rollout")) == len(valid) and rows(tmp_path / "w/train/sft")


def test_a_project_that_was_moved_goes_on(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "old"
    project.mkdir()
    write_rows(project / "in.jsonl", sums(3))
    (project / "t.py").write_text("def f(item): return item\n")
    (project / "v.py").write_text("class V:\n    def verify(self, response, metadata): return 1.0\n")
    config = write_config(
        project / "c.yaml", "in.jsonl", model_server.base_url, verifier={"type": "v.py:V"}, formatter=["sft"]
    )
    monkeypatch.chdir(project)
    assert rsr("run", config, "-w", "w", "data.preprocess.transform=t.py:f").exit_code == 0
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / "new")
    outcome = rsr("resume", "new/w")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.count("up to date") >= 5 and "warning" not in outcome.stderr.lower()
