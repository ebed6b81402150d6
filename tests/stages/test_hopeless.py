"""Runs that come to nothing: no request where that is known before, exit code 3 within a hundred completions else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.formatters.choosing import Candidate, widest_pair
from rsr_cli.types import Rollout
from tests.conftest import Rsr
from tests.groups import group
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply, arithmetic_reply
from tests.verifiers.judging import KEY, grade
from tests.work_dirs import rows, sums, write_config, write_rows

PROMPTS = 60
BROKEN = "class Broken:\n    def verify(self, response, metadata):\n        raise KeyError('gold')\n"


def with_metadata(*golds: dict[str, Any]) -> list[dict[str, Any]]:
    return [row | {"metadata": golds[index % len(golds)]} for index, row in enumerate(sums(PROMPTS))]


def judge(server: ModelServer, **options: Any) -> dict[str, Any]:
    return {"type": "llm-judge", "model": "judge", "base_url": server.base_url, "api_key": KEY, **options}


def prose(ask: Ask) -> Reply:
    if ask.body["model"] == "judge":
        return Reply("I like it a lot, well done")
    return arithmetic_reply(ask)


@pytest.mark.parametrize(
    ("metadata", "sections", "told"),
    [
        ([{}], {}, "no gold answer in metadata.answer"),
        ([{"answer": ""}, {"answer": None}, {"answer": []}, {"answer": [" "]}, {"answer": {"a": 1}}], {}, "no gold"),
        ([{"answer": "Paris"}], {"verifier": {"type": "mcq-rlvr"}}, "no metadata.options to find it in"),
        (
            [{"answer": "Rome", "options": ["Paris", "Oslo"]}],
            {"verifier": {"type": "mcq-rlvr"}},
            "none of",
        ),
        ([{}], {"verifier": {"type": "ensemble", "members": [{"type": "math-rlvr"}, {"type": "mcq-rlvr"}]}}, "no gold"),
        ([{}], {"verifier": {"type": "llm-judge", "mode": "pairwise", "model": "judge"}}, "no metadata.reference"),
        ([{}], {"verifier": {"type": "mcq-llm-as-judge", "model": "judge"}}, "no gold letter"),
        ([{"answer": "1"}], {"formatter": [{"type": "sft", "pass_threshold": 8}]}, "pass_threshold 8 is above every"),
        ([{"answer": "1"}], {"formatter": [{"type": "top_k", "pass_threshold": 1.01}]}, "is above every score"),
        ([{"answer": "1"}], {"formatter": [{"type": "dpo", "fail_threshold": -1}]}, "fail_threshold -1 is below every"),
        (
            [{"answer": "1"}],
            {"sampling": {"max_rollouts": 1}},
            "dpo makes pairs",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "probe", "dry-run", "sample"])
def test_what_can_only_come_to_nothing_is_refused_before_the_first_request(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, metadata: list[Any], sections: Any, told: str, command: str
) -> None:
    inputs = write_rows(tmp_path / "in.jsonl", with_metadata(*metadata))
    config = write_config(tmp_path / "c.yaml", inputs, model_server.base_url, **sections)
    if command == "sample":
        assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    outcome = rsr(
        *(("run", config, "--dry-run") if command == "dry-run" else (command, config)),
        *(("-w", tmp_path / "w") if command in ("run", "sample") else ()),
    )
    assert outcome.exit_code == 2 and told in outcome.stderr, outcome.stderr
    assert not model_server.log


@pytest.mark.parametrize(
    ("metadata", "sections"),
    [
        ([{}, {"answer": "1"}], {}),
        ([{"reference": "So it is"}], {"verifier": {"type": "llm-judge", "mode": "pairwise", "model": "judge"}}),
        ([{"answer": "1"}], {"verifier": {"type": "ensemble", "members": [{"type": "math-rlvr"}]}}),
        ([{"answer": "1"}], {"formatter": [{"type": "best_of_n", "pass_threshold": 2}]}),
    ],
)
def test_what_may_come_to_something_is_not_refused(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, metadata: list[Any], sections: Any
) -> None:
    inputs = write_rows(tmp_path / "in.jsonl", with_metadata(*metadata))
    config = write_config(tmp_path / "c.yaml", inputs, model_server.base_url, **sections)
    assert rsr("run", config, "--dry-run").exit_code == 0


def test_sample_alone_draws_without_golds_where_nothing_is_scored(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    inputs = write_rows(tmp_path / "in.jsonl", with_metadata({})[:5])
    config = write_config(
        tmp_path / "c.yaml", inputs, model_server.base_url, sampling={"early_stop": False, "max_rollouts": 2}
    )
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    assert rsr("sample", "-w", tmp_path / "w").exit_code == 0
    for command in ("verify", "resume"):
        outcome = rsr(command, "-w", tmp_path / "w")
        assert outcome.exit_code == 3 and "none of the 10 rollouts could be scored" in outcome.stderr
        assert "asking again changes nothing" in outcome.stderr
    assert {row["status"] for row in rows(tmp_path / "w/score")} == {"error"}


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("kind", ["judge", "own"])
def test_a_verifier_that_scores_nothing_stops_the_run(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, kind: str, early_stop: bool
) -> None:
    model_server.scenario.reply = prose
    (tmp_path / "own.py").write_text(BROKEN)
    verifier = judge(model_server, reasks=0) if kind == "judge" else {"type": f"{tmp_path / 'own.py'}:Broken"}
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(PROMPTS)), model_server.base_url,
        sampling={"early_stop": early_stop, "max_rollouts": 4}, verifier=verifier, formatter=[{"type": "sft"}],
        shard={"size": 1000},
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 3, outcome.stderr
    asked = [served.body["model"] for served in model_server.log]
    if early_stop:
        assert asked.count("test-model") <= 100, "the guard stops it within a hundred completions"
    if kind == "judge":
        assert "the guard on unscored stops the run" in outcome.stderr and asked.count("judge") <= 200
        assert "change its model" in outcome.stderr
    else:
        assert "KeyError" in outcome.stderr and "a change of its file scores all again" in outcome.stderr
    for command in ("verify", "resume"):
        assert rsr(command, "-w", tmp_path / "w").exit_code == 3, "and at each later try"


def test_a_small_input_that_could_not_be_scored_ends_in_exit_code_3_with_its_files(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = prose
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(3)), model_server.base_url,
        verifier=judge(model_server, reasks=0), formatter=[{"type": "rollouts"}],
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w", "--json")
    assert outcome.exit_code == 3 and "rollouts could be scored" in outcome.stderr
    assert json.loads(outcome.stdout)["stages"]["verify"]["scored"] == 0, "the result is told all the same"
    assert rows(tmp_path / "w/train/rollouts") and (tmp_path / "w/summary/report.html").exists()


def test_format_without_a_row_is_exit_code_3_each_time(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply(f"Sample {ask.k} says \\boxed{{-1}}")
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(5)), model_server.base_url,
        sampling={"max_rollouts": 2},
    )  # fmt: skip
    for command in (("run", config), ("format",), ("resume",), ("format",)):
        outcome = rsr(*command, "-w", tmp_path / "w")
        assert outcome.exit_code == 3 and "no training row was written for the 5 prompts" in outcome.stderr
    assert rsr("analyze", "-w", tmp_path / "w").exit_code == 0


def test_a_judge_that_answers_later_is_asked_again_and_the_run_ends_well(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = prose
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(4)), model_server.base_url,
        sampling={"max_rollouts": 2}, verifier=judge(model_server, reasks=0),
        formatter=[{"type": "sft", "pass_threshold": 0.5}],
    )  # fmt: skip
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 3
    model_server.scenario.reply = lambda ask: Reply(grade(9)) if ask.body["model"] == "judge" else arithmetic_reply(ask)
    assert rsr("verify", "-w", tmp_path / "w", "--retry-unknown").exit_code == 0
    assert rsr("resume", "-w", tmp_path / "w").exit_code == 0
    assert len(rows(tmp_path / "w/train/sft")) == 4


def test_retries_are_not_advised_where_every_prompt_has_what_it_needs(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    def reply(ask: Ask) -> Reply:
        return Reply("", "content_filter") if ask.k % 2 else Reply(f"So: \\boxed{{{int(ask.prompt.split()[2]) + 7}}}")

    model_server.scenario.reply = reply
    model_server.scenario.fault = lambda number: "400-filtered" if number == 3 else None
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(8)), model_server.base_url,
        sampling={"seed": None, "step_size": 2, "max_steps": 9}, formatter=[{"type": "sft"}],
        sampler={"concurrent_requests": 1},
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    assert "failed for good" in outcome.stderr and "--retry-errors" not in outcome.stderr
    assert "Every prompt has what it needs without them" in outcome.stderr


SIDE = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("abc")), max_size=5)


@given(SIDE, SIDE)
def test_the_widest_pair_is_that_of_all_pairs(better: list[tuple[float, str]], worse: list[tuple[float, str]]) -> None:
    def candidates(found: list[tuple[float, str]]) -> list[Candidate]:
        made = group(*found)
        return [(rollout, rollout.score or 0.0) for rollout in made.rollouts()]

    def key(pair: tuple[Candidate, Candidate] | None) -> Any:
        return pair and [(rollout.attempt.attempt, score) for rollout, score in pair]

    def text(rollout: Rollout) -> str:
        return rollout.response

    one = sorted(candidates(better), key=lambda item: -item[1])
    other = sorted(candidates(worse), key=lambda item: item[1])
    pairs = [(c, r) for c in one for r in other if c[1] > r[1] and text(c[0]) != text(r[0])]
    texts = {id(item): text(item[0]) for item in (*one, *other)}
    widest = max(pairs, key=lambda pair: pair[0][1] - pair[1][1], default=None)
    assert key(widest_pair(one, other, texts)) == key(widest)
