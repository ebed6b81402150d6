"""What `rsr init` writes is right, and the first steps of the README come to something."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from rsr_cli.cli.init import Task
from tests.conftest import Rsr
from tests.work_dirs import rows, write_rows

ROOT = Path(__file__).parents[2]
CHAT = [{"prompt": "Write a limerick about tea.", "reference": "There was …"}, {"messages": [
    {"role": "user", "content": "Hello"}]}]  # fmt: skip
EMBEDDED = ["sampler.base_url=embedded", "sampler.model=rsr-tiny", "sampler.max_tokens=200", "sampling.seed=1"]


def questions() -> list[dict[str, Any]]:
    """Problems of multiple choice as people have them."""
    lines = (ROOT / "recipes/quickstart/problems_mcq.jsonl").read_text(encoding="utf-8").splitlines()[:6]
    return [
        {
            "question": row["messages"][0]["content"].partition("\nA)")[0],
            "options": list(row["metadata"]["options"].values()),
            "answer": row["metadata"]["answer"],
        }
        for row in map(json.loads, lines)
    ]


def readme_row() -> dict[str, Any]:
    [line] = re.findall(r'^\{"question".*\}$', (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    row: dict[str, Any] = json.loads(line)
    return row


@pytest.mark.parametrize("task", get_args(Task))
def test_every_task_has_a_config_and_a_transform_that_are_right(
    task: str, tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert rsr("init", ".", "--task", task).exit_code == 0
    raw = {"math": [readme_row()], "mcq": questions(), "chat": CHAT}[task]
    write_rows(tmp_path / "data.jsonl", raw)
    outcome = rsr("run", "config.yaml", "--dry-run", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    plan = json.loads(outcome.stdout)
    assert (plan["prompts"], plan["skipped"]) == (len(raw), 0)
    config = plan["config"]
    assert config["verifier"]["type"] == {"math": "math-rlvr", "mcq": "mcq-rlvr", "chat": "llm-judge"}[task]
    assert (config["data"]["preprocess"]["instruction"] is None) == (task == "chat")
    assert config["formatter"][0]["pass_threshold"] == (0.75 if task == "chat" else 1.0)


@pytest.mark.parametrize("task", ["math", "mcq"])
def test_the_first_run_on_the_embedded_model_writes_rows(
    task: str, tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert rsr("init", "mine", "--task", task).exit_code == 0
    monkeypatch.chdir(tmp_path / "mine")
    write_rows(tmp_path / "mine/data.jsonl", [readme_row()] if task == "math" else questions())
    outcome = rsr("run", "config.yaml", "-w", "w", *EMBEDDED)
    assert outcome.exit_code == 0, outcome.stderr
    assert rows(tmp_path / "mine/w/train/sft")
