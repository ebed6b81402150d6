"""What a run costs: nothing that is not known is taken for nothing, and the judge is on the bill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.config.settings import VerifierSettings
from rsr_cli.scoring.judge_costs import judge_cost
from rsr_cli.scoring.verifier_tree import resolve_verifier
from rsr_cli.verifiers.judging.ledger import read_ledger
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply, arithmetic_reply
from tests.verifiers.judging import KEY, grade
from tests.work_dirs import rows, state, sums, write_config, write_rows


def long_words(ask: Ask) -> Reply:
    """Wrong each time, about 20 tokens of four characters."""
    return Reply(f"Sample {ask.k:04d} says that the sum of {ask.prompt} may be \\boxed{{-1}}".ljust(80))


def config(tmp_path: Path, server: ModelServer, count: int = 40, **sections: Any) -> Path:
    inputs = write_rows(tmp_path / "in.jsonl", sums(count))
    given = {"formatter": [{"type": "sft"}], "sampler": {"concurrent_requests": 4}} | sections
    return write_config(tmp_path / "c.yaml", inputs, server.base_url, **given)


@pytest.mark.parametrize("seed", [1, None])
def test_a_budget_holds_where_the_server_counts_no_tokens(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, seed: int | None
) -> None:
    model_server.scenario.reply = long_words
    model_server.scenario.usage = False
    made = config(
        tmp_path, model_server, sampling={"token_budget": 500, "seed": seed, "step_size": 2}, sampler={"max_tokens": 30}
    )
    for budget in (500, 1000):
        before = len(rows(tmp_path / "w/rollout"))
        outcome = rsr("run", made, "-w", tmp_path / "w", f"sampling.token_budget={budget}")
        assert "the budget is spent" in outcome.stderr
        assert outcome.stderr.count("their tokens are estimated") == 1
        drawn = rows(tmp_path / "w/rollout")
        estimate = sum(-(-len(row["response"]) // 4) + 4 for row in drawn)
        assert budget - 60 <= estimate <= budget + 30, "what came before counts in the same way at a resume"
        assert len(drawn) > before
    tokens = json.loads((tmp_path / "w/summary/stats.json").read_text())["tokens"]
    assert (
        tokens["estimated"]["attempts"]
        == len(drawn)
        == state(tmp_path / "w")["stages"]["sample"]["counts"]["without_usage"]
    )
    assert 900 < tokens["prompt"] + tokens["completion"] < 1100


def test_draws_that_were_given_up_count_in_a_budget(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    """Idle slots draw ahead of the second attempt, which passes: what is cancelled then was asked for all the same."""
    model_server.scenario.reply = lambda ask: Reply(
        f"Sample {ask.k} says \\boxed{{{int(ask.prompt.split()[2]) + 7 - (ask.k == 0)}}}"
    )
    model_server.scenario.latency = lambda ask: 0.1 if ask.k < 2 else 0.5
    made = config(
        tmp_path, model_server, 2, sampling={"token_budget": 10_000, "seed": None}, sampler={"concurrent_requests": 8}
    )
    assert rsr("run", made, "-w", tmp_path / "w").exit_code == 0
    counts = state(tmp_path / "w")["stages"]["sample"]["counts"]
    assert counts["cancelled"] == len(model_server.log) - counts["attempts"] > 0


JUDGE_PRICE = {"prompt": 1.0, "completion": 100.0}


def judged(ask: Ask) -> Reply:
    if ask.body["model"] == "judge":
        return Reply(grade(9 if ask.chance() < 0.5 else 2), completion_tokens=50)
    return arithmetic_reply(ask)


def judge(server: ModelServer, **options: Any) -> dict[str, Any]:
    given = {"type": "llm-judge", "model": "judge", "base_url": server.base_url, "api_key": KEY, "price": JUDGE_PRICE}
    return given | options


def paid(server: ModelServer) -> int:
    """The answers of the judge that the server has counted."""
    return sum(served.body["model"] == "judge" for served in server.log)


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("ensemble", [True, False])
def test_the_judge_is_on_every_bill(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, early_stop: bool, ensemble: bool
) -> None:
    model_server.scenario.reply = judged
    verifier = judge(model_server)
    if ensemble:
        verifier = {"type": "ensemble", "members": [{"type": "math-rlvr", "weight": 0}, verifier]}
    made = config(
        tmp_path, model_server, 10, verifier=verifier, formatter=[{"type": "sft", "pass_threshold": 0.8}],
        sampling={"max_rollouts": 3, "early_stop": early_stop},
    )  # fmt: skip
    outcome = rsr("run", made, "-w", tmp_path / "w", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    stages = json.loads(outcome.stdout)["stages"]
    asked = paid(model_server)
    found = stages["analyze"]["judge"]
    assert found["requests"] == asked > 0 and found["completion_tokens"] == 50 * asked and not found["estimated"]
    assert found["cost"] == pytest.approx((found["prompt_tokens"] + 100 * 50 * asked) / 1e6)
    assert stages["analyze"]["cost"]["judge"] == found["cost"] == stages["analyze"]["cost"]["total"]
    assert stages["verify"]["judge_completion_tokens"] == 50 * asked
    assert "tokens in" in (tmp_path / "w/summary/report.html").read_text()

    again = rsr("verify", "-w", tmp_path / "w", "sampling.include_reference=false", "--json")
    assert again.exit_code == 0 and paid(model_server) == asked, "answers that are kept cost nothing again"
    other = "verifier.price.completion=200" if not ensemble else f"sampler.price.completion={1.0}"
    cost = json.loads(rsr("analyze", "-w", tmp_path / "w", other, "--json").stdout)["stages"]["analyze"]["cost"]
    assert cost["total"] > found["cost"], "a price may be given later"


def test_what_could_not_be_read_and_what_was_not_counted_is_on_the_bill(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.usage = False
    model_server.scenario.reply = lambda ask: Reply("p" * 40) if ask.body["model"] == "judge" else arithmetic_reply(ask)
    made = config(tmp_path, model_server, 2, verifier=judge(model_server, reasks=1), sampling={"max_rollouts": 1})
    assert rsr("run", made, "-w", tmp_path / "w").exit_code == 3
    [spent] = read_ledger(tmp_path / "w/cache").values()
    assert spent.requests == spent.estimated == paid(model_server) == 4
    assert spent.completion_tokens == 40 and spent.prompt_tokens > 400


@pytest.mark.parametrize("early_stop", [True, False])
def test_the_judge_counts_in_the_cost_budget(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, early_stop: bool
) -> None:
    model_server.scenario.reply = judged
    made = config(
        tmp_path, model_server, verifier=judge(model_server), formatter=[{"type": "sft", "pass_threshold": 0.8}],
        sampling={"cost_budget": 0.1, "early_stop": early_stop, "max_rollouts": 4 if not early_stop else 16},
    )  # fmt: skip
    for budget in (0.1, 0.2) if early_stop else (0.3, 0.6):
        outcome = rsr("run", made, "-w", tmp_path / "w", f"sampling.cost_budget={budget}")
        assert f"cost_budget={budget:g} is spent" in outcome.stderr or "the budget is spent" in outcome.stderr
        verifier = VerifierSettings.model_validate(judge(model_server))
        cost = judge_cost(resolve_verifier(verifier), tmp_path / "w/cache")
        assert 0.8 * budget < cost < budget + 8 * 4 * 0.0055, "no more than what was under way"


def test_the_bill_of_a_cache_from_before_there_was_one_is_that_of_its_answers(tmp_path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(tmp_path / "judge_calls.sqlite3")
    connection.execute("CREATE TABLE calls (key TEXT PRIMARY KEY, prompt TEXT NOT NULL, answer TEXT NOT NULL)")
    answer = {"text": "{}", "model": "m", "asked": 2, "prompt_tokens": 7, "completion_tokens": 5}
    connection.execute("INSERT INTO calls VALUES (?, ?, ?)", ("k", "p", json.dumps(answer)))
    connection.commit()
    connection.close()
    [(model, spent)] = read_ledger(tmp_path).items()
    assert (model, spent.requests, spent.prompt_tokens, spent.completion_tokens) == ("m", 2, 7, 5)
    assert read_ledger(tmp_path / "nothing") == {}


@pytest.mark.parametrize("seed", [1, None])
@pytest.mark.parametrize("early_stop", [True, False])
def test_what_the_probe_foretells_is_what_the_run_takes(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, seed: int | None, early_stop: bool
) -> None:
    """Prompts are longer than replies, so how often they are read decides the cost."""

    def reply(ask: Ask) -> Reply:
        answer = judged(ask)
        return Reply(answer.content, completion_tokens=5) if ask.body["model"] != "judge" else answer

    model_server.scenario.reply = reply
    prompts = sums(40)
    for row in prompts:
        row["messages"].insert(0, {"role": "system", "content": "Think hard. " * 20})
    made = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), model_server.base_url,
        sampling={"seed": seed, "early_stop": early_stop, "max_rollouts": 8, "max_steps": 4},
        sampler={"concurrent_requests": 2, "price": {"prompt": 10.0, "completion": 10.0}},
        verifier=judge(model_server), formatter=[{"type": "sft", "pass_threshold": 0.8}],
    )  # fmt: skip
    foretold = json.loads(rsr("probe", made, "--prompts", 20, "--json").stdout)["probe"]["forecast"]
    outcome = rsr("run", made, "-w", tmp_path / "w", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    stats = json.loads(outcome.stdout)["stages"]["analyze"]
    for told, taken in (
        (foretold["attempts"], stats["attempts"]["total"]),
        (foretold["prompt_tokens"], stats["tokens"]["prompt"]),
        (foretold["completion_tokens"], stats["tokens"]["completion"]),
        (foretold["cost"], stats["cost"]["total"]),
    ):
        assert 1 / 1.6 < told / taken < 1.6
