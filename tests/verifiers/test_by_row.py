"""by_row: each prompt's own verifier, in one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rsr_cli.config.settings import VerifierSettings
from rsr_cli.scoring.verifier_tree import resolve_verifier
from rsr_cli.types import Prompt
from rsr_cli.verifiers.by_row import ByRow
from tests.conftest import Rsr
from tests.server import Ask, ModelServer, Reply
from tests.server.scenario import arithmetic_reply
from tests.verifiers.judging import grade, winner
from tests.work_dirs import rows, sums, write_config, write_rows


def mixture(base_url: str, **judge: Any) -> dict[str, Any]:
    judge = {"type": "llm-judge", "name": "chat", "model": "judge", "base_url": base_url, **judge}
    return {
        "type": "by_row",
        "default": "math",
        "members": [
            {"type": "math-rlvr", "name": "math", "workers": 1},
            {"type": "mcq-rlvr", "name": "mcq", "workers": 1},
            judge,
        ],
    }


def mixed_rows() -> list[dict[str, Any]]:
    def row(name: str, verifier: Any, text: str, **metadata: Any) -> dict[str, Any]:
        return {
            "id": name,
            "messages": [{"role": "user", "content": text}],
            "metadata": {"verifier": verifier, **metadata},
        }

    return [
        *sums(2),
        row("mcq", "mcq", "Capital of France?", answer="B", options=["London", "Paris"]),
        row("chat", "chat", "Why is the sky blue?"),
    ]


def answers(ask: Ask) -> Reply:
    if "JSON object" in ask.prompt:  # the judge's question
        return Reply(grade(10) if "scatters" in ask.prompt else grade(1))
    if "France" in ask.prompt:
        return Reply(f"The answer is ({'AB'[ask.k % 2]}).")
    if "sky" in ask.prompt:
        return Reply("Air scatters blue light.")
    return arithmetic_reply(ask)


def test_a_mixture_is_one_run(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = answers
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", mixed_rows()), model_server.base_url,
        verifier=mixture(model_server.base_url), formatter=["sft"],
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    found = rows(tmp_path / "w/score")
    deciders = {row["id"]: json.loads(row["details"])["decided_by"] for row in found}
    assert deciders == {"sum-0": "math", "sum-1": "math", "mcq": "mcq", "chat": "chat"}
    assert all(row["status"] in ("scored", "no_answer") for row in found)
    assert {row["extracted_answer"] for row in found if row["id"] == "mcq"} <= {"A", "B"}
    prompts = {row["id"]: row for row in rows_of(tmp_path / "w/summary/prompts.parquet")}
    assert prompts["chat"]["end_reason"] == "early_stop" and prompts["chat"]["n_attempts"] < 8
    assert "nothing to do" in rsr("run", "-w", tmp_path / "w").stdout


def rows_of(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def test_a_member_that_compares_gets_all_replies_of_its_prompts(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = lambda _: Reply(winner("A"))
    verifier = mixture(model_server.base_url, mode="pairwise", against="others")
    work_dir = prepared(tmp_path, rsr, mixed_rows(), verifier)
    made = [{"id": "chat", "response": f"Because of reason {n}."} for n in range(3)]
    made += [{"id": "sum-0", "response": "\\boxed{7}"}, {"id": "sum-0", "response": "\\boxed{8}"}]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", work_dir).exit_code == 0
    assert rsr("verify", "-w", work_dir).exit_code == 0
    assert len(model_server.log) == 6, "three pairs in both orders, and no question about the sums"
    assert [row["score"] for row in rows(work_dir / "score") if row["id"] == "sum-0"] == [1.0, 0.0]


def prepared(tmp_path: Path, rsr: Rsr, prompts: list[dict[str, Any]], verifier: dict[str, Any]) -> Path:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), "http://127.0.0.1:1/v1")
    outcome = rsr("prepare", config, "-w", tmp_path / "w", f"verifier={json.dumps(verifier)}")
    assert outcome.exit_code == 0, outcome.stderr
    return tmp_path / "w"


def test_a_name_that_no_member_has_is_an_error_that_names_it(tmp_path: Path, rsr: Rsr) -> None:
    prompts = sums(3)
    prompts[0]["metadata"]["verifier"] = "maths"
    prompts[1]["metadata"]["verifier"] = {"type": "math"}
    work_dir = prepared(tmp_path, rsr, prompts, {**mixture("http://127.0.0.1:1/v1"), "default": None})
    made = [{"id": row["id"], "response": "\\boxed{7}"} for row in prompts]
    rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", work_dir)
    assert rsr("verify", "-w", work_dir).exit_code == 3
    found = rows(work_dir / "score")
    assert {(row["score"], row["status"]) for row in found} == {(None, "error")}
    assert "no member 'maths', did you mean 'math'?" in found[0]["explanation"]
    assert "a dict, not the name" in found[1]["explanation"] and "no metadata.verifier" in found[2]["explanation"]
    drawn = rsr("sample", "-w", work_dir)
    assert drawn.exit_code == 2 and "can score no reply" in drawn.stderr, "refused before the first request"


def test_which_prompts_can_be_scored_and_in_which_range() -> None:
    why = resolve_verifier(VerifierSettings.model_validate(mixture("http://127.0.0.1:1/v1"))).cannot_score
    assert why(Prompt("p", [], {"verifier": "chat"})) is None
    assert "gold letter" in (why(Prompt("p", [], {"verifier": "mcq"})) or "")
    assert why(Prompt("p", [], {"answer": "7"})) is None
    assert "no member" in (why(Prompt("p", [], {"verifier": "code", "answer": "7"})) or "")
    ranges = [{"type": "math-rlvr", "name": "math"}, {"type": "reward-model", "base_url": "http://x", "model": "m"}]
    assert resolve_verifier(VerifierSettings(type="by_row", members=ranges)).score_range is None  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ({"members": [{"type": "math-rlvr"}, {"type": "math-rlvr"}]}, "stands for two"),
        ({"members": [{"type": "math-rlvr", "name": "math"}], "default": "maths"}, "did you mean 'math'"),
        ({"members": []}, "at least 1"),
    ],
)
def test_names_that_are_not_clear_are_refused(options: dict[str, Any], saying: str) -> None:
    with pytest.raises(ValidationError, match=saying):
        ByRow(**options)


def test_prepare_counts_the_prompts_that_name_no_member(tmp_path: Path, rsr: Rsr) -> None:
    prompts = mixed_rows()
    prompts[0]["metadata"]["verifier"] = "maths"
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), "http://x/v1", verifier=mixture("http://x/v1")
    )
    said = rsr("prepare", config, "-w", tmp_path / "w").stderr
    assert "1 of 4 prompts can't be scored by the verifier by_row; the first: 'sum-0': metadata.verifier" in said
    assert "metadata.answer" not in said, "a judge needs none"
