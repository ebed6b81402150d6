"""The headline of a run: cut answers count as wrong, and all attempts count where no outcome decided how many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply
from tests.work_dirs import rows, sums, write_config, write_rows


def cut_or_right(ask: Ask) -> Reply:
    """A third of the prompts is cut, a third right, a third wrong in three of four."""
    number = int(ask.prompt.split()[2])
    if number % 3 == 0:
        return Reply("And so", "length")
    right = number % 3 == 1 or ask.k % 4 == 0
    return Reply(f"Sample {ask.k} says that the sum is \\boxed{{{number + (7 if right else 8)}}}")


def analyzed(rsr: Rsr, tmp_path: Path, server: ModelServer, **sections: Any) -> tuple[dict[str, Any], str]:
    server.scenario.reply = cut_or_right
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(30)), server.base_url,
        **{"guards": {"truncation": {"stop": None}}, "sampler": {"concurrent_requests": 1}} | sections,
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    return json.loads(outcome.stdout)["stages"]["analyze"], rsr("analyze", "-w", tmp_path / "w").stdout


def test_a_greedy_evaluation_counts_cut_answers_as_wrong(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    stats, told = analyzed(
        rsr, tmp_path, model_server, formatter=[{"type": "rollouts"}],
        sampling={"early_stop": False, "max_rollouts": 1, "step_size": 1, "max_steps": 1, "seed": None},
    )  # fmt: skip
    assert stats["attempts"]["truncated"] == 10
    passed = stats["scores"]["passed"]
    assert stats["pass_rate"]["mean"] == pytest.approx(passed / 30, abs=1e-6)
    assert stats["pass_rate"]["pass_at_k"]["1"] == {"value": stats["pass_rate"]["mean"], "prompts": 30}
    assert f"pass rate {100 * passed / 30:.1f} % ({100 * passed / 20:.1f} % without cut ones)" in told
    prompts = rows_of_prompts(tmp_path / "w")
    assert [(row["pass_rate"], row["pass_rate_valid"]) for row in prompts[::3]] == [(0.0, None)] * 10
    assert list(prompts[0])[:11] == [
        "id", "n_valid", "n_scored", "n_pass", "n_fail", "n_truncated", "n_error", "n_attempts", "pass_rate",
        "pass_rate_first_step", "end_reason",
    ]  # fmt: skip


def test_each_prompt_has_a_rate_that_early_stop_does_not_bias(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    stats, _ = analyzed(rsr, tmp_path, model_server)
    difficulty = stats["difficulty"]
    prompts = rows_of_prompts(tmp_path / "w")
    assert difficulty["unbiased_from"] == {"orders": 30, "first_step": 0} and difficulty["prior"]["fitted"]
    assert sum(difficulty["unbiased_histogram"]) == sum(difficulty["shrunk_histogram"]) == 30
    assert difficulty["unbiased_mean"] == pytest.approx(
        sum(row["pass_rate_unbiased"] for row in prompts) / 30, abs=1e-6
    )
    assert all(row["pass_rate_low"] < row["pass_rate_mean"] < row["pass_rate_high"] for row in prompts)
    cut, right = prompts[0], prompts[1]
    assert (cut["pass_rate_unbiased"], right["pass_rate_unbiased"]) == (0.0, 1.0)
    assert 0 < cut["pass_rate_mean"] < 0.3 and 0.6 < right["pass_rate_mean"] < 1


def test_best_of_n_is_analysed_by_all_that_it_draws(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    stats, told = analyzed(rsr, tmp_path, model_server, formatter=[{"type": "best_of_n"}])
    assert stats["pass_rate"]["mean_from"] == "all attempts" == stats["pass_rate"]["pass_at_k_from"]
    assert stats["pass_rate"]["pass_at_k"]["8"]["prompts"] == 30
    per_prompt = [row["pass_rate"] for row in rows_of_prompts(tmp_path / "w")]
    assert stats["pass_rate"]["mean"] == pytest.approx(sum(per_prompt) / 30, abs=1e-6)
    assert "first-step" not in told


def test_under_early_stop_the_headline_is_the_first_step(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    stats, told = analyzed(rsr, tmp_path, model_server, formatter=[{"type": "sft"}])
    first = [row for row in rows(tmp_path / "w/rollout") if row["step"] == 0]
    assert len(first) == 30
    assert stats["pass_rate"]["mean"] == stats["pass_rate"]["first_step_mean"]
    assert stats["pass_rate"]["mean_from"] == "first step" and "first-step pass rate" in told


def rows_of_prompts(work_dir: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return list(pq.read_table(work_dir / "summary/prompts.parquet").to_pylist())
