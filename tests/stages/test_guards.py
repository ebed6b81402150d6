"""Guards: the known ways to waste a run are stopped or told of within a hundred completions; healthy runs go on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rsr_cli.clients.estimates import Usage
from rsr_cli.config.load import load_config
from rsr_cli.errors import GuardStop
from rsr_cli.sampling.guards import Guards, missing_reply
from rsr_cli.types import Attempt, Verdict
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply, arithmetic_reply
from tests.work_dirs import journals, rows, state, sums, write_config, write_rows

HUNDRED = 100
USAGE = Usage(1, 1, estimated=False)
PROMPTS = 150


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    inputs = write_rows(tmp_path / "in.jsonl", sums(PROMPTS))
    return write_config(
        tmp_path / "c.yaml", inputs, model_server.base_url,
        sampling={"max_steps": 2}, formatter=[{"type": "sft"}], shard={"size": 1000},
    )  # fmt: skip


def recorded(work_dir: Path) -> int:
    """The attempts in the journals of a run that was stopped."""
    lines = (path.read_bytes().splitlines() for path in journals(work_dir) if path.parent.name == "rollout")
    return sum(len([line for line in journal if b'"attempt"' in line]) for journal in lines)


def long_thinker(ask: Ask) -> Reply:
    """Thinks for 6000 tokens, then is right."""
    if ask.body["max_tokens"] < 6000:
        return Reply(None, "length", "Let me see. " * 50, ask.body["max_tokens"])
    return Reply(arithmetic_reply(ask).content, "stop", "Let me see. " * 50, 6000)


def test_wasted_run_max_tokens_of_2048_for_a_long_thinker(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = long_thinker
    work_dir = tmp_path / "w"
    stopped = rsr("run", config, "-w", work_dir)
    assert stopped.exit_code == 3, stopped.stderr
    assert "the guard on truncation stops the run: 100% of the completions" in stopped.stderr
    assert "were cut at sampler.max_tokens=2048" in stopped.stderr
    assert f"rsr resume -w {work_dir} sampler.max_tokens=8192" in stopped.stderr
    assert "guards.truncation.stop=null" in stopped.stderr
    before = recorded(work_dir)
    assert 50 <= before <= HUNDRED
    assert state(work_dir)["stages"]["sample"]["status"] == "stopped"

    resumed = rsr("resume", "-w", work_dir, "sampler.max_tokens=8192")
    assert resumed.exit_code == 0, resumed.stderr
    finished = rows(work_dir / "rollout")
    assert sum(row["finish_reason"] == "length" for row in finished) == before, "what was paid for is kept"
    assert rows(work_dir / "train/sft")


def test_wasted_run_pass_rates_are_kept_where_nothing_passes(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = lambda ask: Reply(f"Sample {ask.k} says that the sum is \\boxed{{{-1 - ask.k}}}")
    inputs = write_rows(tmp_path / "in.jsonl", sums(25))
    config = write_config(tmp_path / "c.yaml", inputs, model_server.base_url, sampling={"max_rollouts": 4})
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 3 and "no training row was written for the 25 prompts" in outcome.stderr
    assert outcome.stderr.count("of the scored replies of the last 25 prompts do not pass") == 1
    attempts, verdicts = rows(tmp_path / "w/rollout"), rows(tmp_path / "w/score")
    assert len(attempts) == HUNDRED, "so the warning came within a hundred completions"
    assert [row["score"] for row in verdicts] == [0.0] * HUNDRED
    prompts = pq.read_table(tmp_path / "w/summary/prompts.parquet").to_pylist()
    assert [(row["n_attempts"], row["n_fail"], row["pass_rate"]) for row in prompts] == [(4, 4, 0.0)] * 25
    assert not rows(tmp_path / "w/train/sft")


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("apart", [True, False], ids=["in a field", "in the text"])
def test_wasted_run_an_answer_that_stands_in_the_thinking_only(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer, apart: bool, early_stop: bool
) -> None:
    def reply(ask: Ask) -> Reply:
        thinking = f"I add them up. {arithmetic_reply(ask).content}. Or is it? Once more."
        return Reply(None, "stop", thinking) if apart else Reply(f"<think>\n{thinking * 5}")

    model_server.scenario.reply = reply
    outcome = rsr("run", config, "-w", tmp_path / "w", f"sampling.early_stop={early_stop}")
    assert outcome.exit_code == 3, outcome.stderr
    assert "the guard on empty stops the run" in outcome.stderr and "--reasoning-parser" in outcome.stderr
    assert ("all of it is thinking" if apart else "its thinking never ends") in outcome.stderr
    assert recorded(tmp_path / "w") <= HUNDRED
    assert not (tmp_path / "w/train").exists()


def test_replies_without_an_answer_stop_the_run(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = lambda ask: Reply("I would rather leave that open " + "for now " * (ask.k % 99))
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 3, outcome.stderr
    assert "the guard on no_answer stops the run" in outcome.stderr
    assert state(tmp_path / "w")["stages"]["sample"]["status"] == "stopped"


def test_the_same_response_to_every_prompt_stops_the_run(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = lambda ask: Reply("Hello! How can I help you today? The answer is \\boxed{5}.")
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 3, outcome.stderr
    assert "the guard on identical stops the run: 100% of the last" in outcome.stderr
    assert recorded(tmp_path / "w") <= HUNDRED


def test_a_server_that_ignores_temperature_and_seed_is_told_of_once(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = lambda ask: Reply(f"To {ask.prompt} I always say that it is \\boxed{{{ask.prompt}}}")
    outcome = rsr("run", config, "-w", tmp_path / "w", "sampling.early_stop=false", "sampling.max_rollouts=4")
    assert outcome.exit_code == 3 and "no training row was written" in outcome.stderr
    assert outcome.stderr.count("repeat an earlier one word for word") == 1
    assert "sampler.temperature=0.7 and sampling.seed=1" in outcome.stderr


def test_attempts_that_fail_stop_the_run_and_are_asked_again_once_mended(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    prompts = sums(100)
    for index, prompt in enumerate(prompts):
        prompt["messages"][0]["content"] += " Take your time." * 20 * (index % 4 > 0)
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), model_server.base_url,
        sampling={"max_steps": 1, "max_rollouts": 1}, formatter=[{"type": "sft"}], shard={"size": 1000},
    )  # fmt: skip
    model_server.scenario.context_chars = 200
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 3, outcome.stderr
    assert "the guard on errors stops the run" in outcome.stderr and "maximum context length" in outcome.stderr
    assert f"rsr resume -w {tmp_path / 'w'} --retry-errors" in outcome.stderr
    model_server.scenario.context_chars = None
    assert rsr("resume", "-w", tmp_path / "w", "--retry-errors").exit_code == 0
    assert len({row["id"] for row in rows(tmp_path / "w/rollout") if row["response"]}) == len(prompts)


def test_a_stop_keeps_every_choice_of_the_answer_that_it_came_with(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = long_thinker
    outcome = rsr(
        "run", config, "-w", tmp_path / "w", "sampling.seed=null", "sampling.early_stop=false",
        "guards.truncation.stop=0.6",
    )  # fmt: skip
    assert outcome.exit_code == 3 and "its limit is 60%" in outcome.stderr
    assert rsr("sample", "-w", tmp_path / "w", "guards.truncation.stop=null", "sampling.max_steps=1").exit_code == 0
    per_prompt = Counter(row["id"] for row in rows(tmp_path / "w/rollout"))
    assert set(per_prompt.values()) == {4}
    assert len({served.prompt for served in model_server.log}) == PROMPTS


def test_a_guard_that_is_off_says_nothing(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = long_thinker
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(60)), model_server.base_url,
        sampling={"max_steps": 1}, guards={"truncation": {"warn": None, "stop": None}},
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 3 and "no attempt for the 60 prompts is a rollout" in outcome.stderr
    assert "were cut" not in outcome.stderr


def test_a_healthy_run_whose_tail_is_all_truncated_is_left_alone(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    def reply(ask: Ask) -> Reply:
        hard = int(ask.prompt.split()[2]) % 8 == 0
        if hard:
            return Reply("And so on", "length")
        right = sum(int(word.strip("?")) for word in ask.prompt.split() if word.strip("?").isdigit())
        return Reply(f"Sample {ask.k} says that the sum is \\boxed{{{right}}}")

    model_server.scenario.reply = reply
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(160)), model_server.base_url,
        sampling={"max_steps": 8, "max_rollouts": 16}, formatter=[{"type": "sft"}],
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    cut = [row["finish_reason"] == "length" for row in rows(tmp_path / "w/rollout")]
    assert sum(cut) / len(cut) > 0.6
    assert "were cut" not in outcome.stderr


def guards(tmp_path: Path, warnings: list[str], *overrides: str) -> Guards:
    inputs = write_rows(tmp_path / "in.jsonl", sums(1))
    config = load_config(None, [f"data.input_path={inputs}", *overrides]).config
    return Guards(config, lambda score: score >= 1.0, "w", warnings.append, lambda late: "change the verifier")


def attempt(index: int, finish_reason: str = "stop", **fields: Any) -> Attempt:
    response = None if finish_reason == "length" or fields.get("error") else f"So number {index} is what I think it is."
    given = {"response": response, "attempt": 0, "step": 0, "step_size": 1, "model": "m"} | fields
    return Attempt(id=f"p{index}", finish_reason=finish_reason, **given)


def test_a_server_that_degrades_in_the_midst_of_a_run_is_noticed(tmp_path: Path) -> None:
    warnings: list[str] = []
    watching = guards(tmp_path, warnings)
    for index in range(2000):
        watching.arrived(attempt(index), USAGE)
        watching.judged(attempt(index), Verdict(float(index % 2)))
    watching.raise_if_tripped()
    assert not warnings
    for index in range(2000, 2100):
        watching.arrived(attempt(index, "length"), USAGE)
    with pytest.raises(GuardStop, match="the guard on truncation"):
        watching.raise_if_tripped()
    assert len(warnings) == 1, "it was warned of on the way"


def test_the_quick_failures_of_a_wide_start_are_no_alarm(tmp_path: Path) -> None:
    """500 requests go out, and the 60 that are refused are back before any other."""
    warnings: list[str] = []
    watching = guards(tmp_path, warnings, "sampler.concurrent_requests=500")
    for index in range(60):
        watching.arrived(attempt(index, "error", error="too long"), USAGE)
    for index in range(60, 700):
        watching.arrived(attempt(index), USAGE)
    watching.raise_if_tripped()
    assert not warnings


def test_attempts_of_prompts_that_an_earlier_run_began_are_not_judged(tmp_path: Path) -> None:
    """A resume in the tail meets none but hard prompts."""
    watching = guards(tmp_path, [])
    for index in range(500):
        watching.arrived(attempt(index % 50, "length", step=3, attempt=index), USAGE)
    watching.raise_if_tripped()


def test_bare_answers_may_repeat(tmp_path: Path) -> None:
    warnings: list[str] = []
    watching = guards(tmp_path, warnings)
    for index in range(400):
        watching.arrived(attempt(index // 4, response="The answer is (A)."), USAGE)
    watching.raise_if_tripped()
    assert not warnings


def test_verdicts_that_are_unknown_stop_the_run_with_their_reason(tmp_path: Path) -> None:
    watching = guards(tmp_path, [])
    for index in range(40):
        watching.judged(attempt(index), Verdict.unknown("error", "KeyError: \x1b[31m'gold'"))
    with pytest.raises(GuardStop) as stop:
        watching.raise_if_tripped()
    assert "100% of the replies" in stop.value.message and "\\x1b[31m'gold'" in stop.value.message
    assert stop.value.hint and stop.value.hint.startswith("change the verifier")


def test_a_third_of_unknown_verdicts_is_only_told(tmp_path: Path) -> None:
    warnings: list[str] = []
    watching = guards(tmp_path, warnings)
    for index in range(300):
        watching.judged(attempt(index), Verdict(1.0) if index % 3 else Verdict.unknown("timeout", "too slow"))
    watching.raise_if_tripped()
    assert len(warnings) == 1 and "can't be scored" in warnings[0]


@pytest.mark.parametrize(
    ("response", "reasoning", "why"),
    [
        ("The sum is 4.", None, None),
        ("<think>2 and 2</think>It is 4.", None, None),
        ("2 and 2 </think> It is 4.", None, None),
        ("<think>" + "so " * 5000 + "</think>" + "Thus " * 5000, None, None),
        ("It is 4.", "2 and 2", None),
        ("", None, "it is empty"),
        (" \n", None, "it is empty"),
        (None, "2 and 2 make 4", "all of it is thinking"),
        ("<think>" + "so " * 5000, None, "its thinking never ends"),
        ("<think>" + "so " * 5000 + "</think>\n", None, "nothing follows the thinking"),
    ],
)  # fmt: skip
def test_why_there_is_no_reply(response: str | None, reasoning: str | None, why: str | None) -> None:
    assert missing_reply(attempt(1, response=response, reasoning=reasoning)) == why
