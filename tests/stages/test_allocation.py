"""Allocations end to end: what each draws, budgets that are kept, and reruns with a larger one."""

from __future__ import annotations

import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import journals, rows, state, sums, write_config, write_rows

COUNT = 30
ONE = 20 + 10
"""Tokens of one attempt at most: what a budget may leave."""


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    return write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(COUNT)), model_server.base_url,
        sampling={"max_rollouts": 16, "step_size": 4, "max_steps": 5},
        sampler={"concurrent_requests": 8, "max_tokens": 20, "price": {"prompt": 1.0, "completion": 10.0}},
        formatter=[{"type": "sft"}],
    )  # fmt: skip


def draw(rsr: Rsr, config: Path, work_dir: Path, *options: str) -> None:
    assert rsr("prepare", config, "-w", work_dir, *options).exit_code == 0
    sampled = rsr("sample", "-w", work_dir)
    assert sampled.exit_code == 0, sampled.stderr


def outcomes(work_dir: Path) -> dict[str, list[float]]:
    """The scores of each prompt in the order of its attempts."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for row in sorted(rows(work_dir / "score"), key=lambda row: row["attempt"]):
        found[row["id"]].append(row["score"])
    return dict(found)


def end_reasons(work_dir: Path) -> Counter[str]:
    return Counter(state(work_dir)["stages"]["sample"]["counts"]["end_reasons"])


def tokens(work_dir: Path) -> int:
    return sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows(work_dir / "rollout"))


def answers(work_dir: Path) -> dict[tuple[str, int], Any]:
    found = rows(work_dir / "rollout")
    result = {(row["id"], row["attempt"]): (row["response"], row["latency_s"]) for row in found}
    assert len(result) == len(found), "an attempt stands twice"
    return result


@pytest.mark.parametrize("allocation", ["uniform", "adaptive"])
def test_every_prompt_gets_its_passes(allocation: str, tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    draw(rsr, config, work_dir, f"sampling.allocation={allocation}", "sampling.target_passes=3")
    for scores in outcomes(work_dir).values():
        assert sum(scores) >= 3 or len(scores) == 16
    assert set(end_reasons(work_dir)) == {"early_stop", "max_rollouts"}


def test_prop2diff_gives_the_hard_ones_more(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    draw(rsr, config, work_dir, "sampling.allocation=prop2diff", "sampling.target_passes=4")
    needed = Counter[int]()
    for scores in outcomes(work_dir).values():
        target = max(1, 4 - int(sum(scores[:4])))
        needed[target] += 1
        assert len(scores) >= 4, "the first step is whole"
        assert sum(scores) >= target or len(scores) == 16
    assert len(needed) > 2


def test_fixed_stops_by_the_formatters(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    draw(rsr, config, work_dir, "sampling.target_passes=3")
    found = outcomes(work_dir).values()
    assert all(sum(scores) >= 1 or len(scores) == 16 for scores in found)
    assert any(sum(scores) == 1 and len(scores) < 16 for scores in found), "one pass is enough for sft"


@pytest.mark.parametrize("allocation", ["fixed", "uniform", "prop2diff", "adaptive"])
def test_a_larger_budget_goes_on_where_the_last_one_ended(
    allocation: str, tmp_path: Path, config: Path, rsr: Rsr
) -> None:
    work_dir = tmp_path / "w"
    options = [f"sampling.allocation={allocation}", "sampling.target_passes=3"]
    assert rsr("prepare", config, "-w", work_dir, *options).exit_code == 0
    first = rsr("sample", "-w", work_dir, "sampling.token_budget=700")
    assert first.exit_code == 0, first.stderr
    assert "the budget is spent" in first.stderr
    assert 700 - ONE < tokens(work_dir) <= 700
    assert end_reasons(work_dir)["budget"] > 0
    before = answers(work_dir)
    more = rsr("sample", "-w", work_dir, "sampling.token_budget=900")
    assert more.exit_code == 0, more.stderr
    after = answers(work_dir)
    assert before.items() < after.items()
    assert 900 - ONE < tokens(work_dir) <= 900


@pytest.mark.parametrize("allocation", ["uniform", "adaptive"])
def test_no_prompt_starves_another(allocation: str, tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    options = [f"sampling.allocation={allocation}", "sampling.target_passes=3", "sampling.token_budget=1300"]
    draw(rsr, config, work_dir, *options)
    found = outcomes(work_dir)
    assert len(found) == COUNT, "every prompt has been tried"
    if allocation == "uniform":
        unsatisfied = [len(scores) for scores in found.values() if sum(scores) < 3]
        assert max(unsatisfied) - min(unsatisfied) <= 4, "none is more than a step ahead"


def test_money_is_a_budget_too(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    options = ["sampling.allocation=adaptive", "sampling.target_passes=3", "sampling.cost_budget=0.005"]
    draw(rsr, config, work_dir, *options)
    cost = sum(row["prompt_tokens"] + 10 * row["completion_tokens"] for row in rows(work_dir / "rollout")) / 1e6
    assert 0.0047 < cost <= 0.005


def test_a_budget_of_less_than_one_attempt_draws_one_and_says_that_it_is_spent(
    tmp_path: Path, config: Path, rsr: Rsr
) -> None:
    run = rsr("run", config, "-w", tmp_path / "w", "sampling.token_budget=10")
    assert run.exit_code == 3 and "no training row was written" in run.stderr
    assert "the budget is spent: 30 prompts may need more" in run.stderr
    assert len(rows(tmp_path / "w/rollout")) == 1


def test_a_killed_run_keeps_its_budget(
    tmp_path: Path, config: Path, rsr_command: list[str], model_server: ModelServer, rsr: Rsr
) -> None:
    model_server.scenario.latency = lambda ask: 0.03
    work_dir = tmp_path / "w"
    options = ["sampling.allocation=adaptive", "sampling.target_passes=3", "sampling.token_budget=1500"]
    assert rsr("prepare", config, "-w", work_dir, *options).exit_code == 0
    process = subprocess.Popen(
        [*rsr_command, "sample", "-w", work_dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 30
    while len(model_server.log) < 70:
        assert time.monotonic() < end and process.poll() is None, "waited in vain"
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert journals(work_dir)
    assert rsr("sample", "-w", work_dir).exit_code == 0
    assert len(answers(work_dir)) > 70
    given_up = state(work_dir)["stages"]["sample"]["counts"].get("cancelled", 0)
    assert 1500 - (1 + given_up) * ONE < tokens(work_dir) <= 1500
    assert not journals(work_dir)
