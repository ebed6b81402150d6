"""mcq-llm-as-judge: the judge reads letters for what the rules leave open, and never sees the gold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.types import Verdict
from rsr_cli.verifiers.mcq_llm_as_judge import McqLlmAsJudge
from tests.conftest import Rsr
from tests.server import ModelServer, Reply, scripted_faults
from tests.verifiers.judging import KEY, details, prompt, says, verdicts
from tests.work_dirs import rows, write_config, write_rows

OPEN = "Well, of these the one by the Seine it must surely be, I'd wager."
"""A choice that no rule can read."""
CITIES = ["London", "Paris", "Rome"]


async def judged(server: ModelServer, *replies: str, **options: Any) -> list[Verdict]:
    of = prompt("Capital of France?", answer=options.pop("answer", "B"), options=options.pop("options", CITIES))
    return await verdicts(McqLlmAsJudge, server.base_url, replies or (OPEN,), of=of, **options)


@pytest.mark.parametrize(
    ("reply", "score", "status", "extracted"),
    [
        ('{"answer": "B"}', 1.0, "scored", "B"),
        ('{"answer": "b"}', 1.0, "scored", "B"),
        ('{"answer": "(B)"}', 1.0, "scored", "B"),
        ('{"answer": "A"}', 0.0, "scored", "A"),
        ('{"answer": "A, B"}', 0.0, "scored", "A, B"),
        ('{"answer": "Option B"}', 1.0, "scored", "B"),
        ('{"answer": "option b"}', 1.0, "scored", "B"),
        ('{"answer": "B. Paris"}', 1.0, "scored", "B"),
        ('{"answer": "(B) Paris"}', 1.0, "scored", "B"),
        ('{"answer": "Answer: B"}', 1.0, "scored", "B"),
        ('{"answer": "Answer: option (b)"}', 1.0, "scored", "B"),
        ('{"answer": "[A, C]"}', 0.0, "scored", "A, C"),
        ('{"answer": "AC"}', 0.0, "scored", "A, C"),
        ('{"answer": "Option A and option C"}', 0.0, "scored", "A, C"),
        ("Option B", 1.0, "scored", "B"),
        ('{"answer": "NONE"}', 0.0, "no_answer", None),
        ("B", 1.0, "scored", "B"),
        ("**(B)**.", 1.0, "scored", "B"),
        ("NONE", 0.0, "no_answer", None),
        ('<think>{"answer": "A"}</think>The reply says:\n```json\n{"answer": "B"}\n```', 1.0, "scored", "B"),
    ],
)
async def test_the_letters_are_compared_with_the_gold(
    reply: str, score: float, status: str, extracted: str | None, model_server: ModelServer
) -> None:
    model_server.scenario.reply = says(reply)
    (verdict,) = await judged(model_server)
    assert (verdict.score, verdict.status, verdict.extracted_answer) == (score, status, extracted)
    assert details(verdict)["judge"] == "test-model" and OPEN in details(verdict)["prompt"]
    assert len(model_server.log) == 1


@pytest.mark.parametrize(
    "reply",
    [
        "The reply seems to choose Paris.",
        "Paris",
        "",
        '{"answer": "B',
        '{"answer": "D"}',
        '{"answer": "the answer is B"}',
        '{"answer": "Paris"}',
        '{"answer": "B. London"}',
        '{"answer": "A or B"}',
        '{"answer": "Option"}',
        '{"answer": 2}',
        '{"answer": null}',
        '{"answer": ["B"]}',
        '{"answer": "B", "score": 10}',
        "它选择了巴黎",
        '{"answer": "A"} or {"answer": "B',
        "B is what I would say, A is what it says",
    ],
)
async def test_what_is_no_letter_is_asked_again_and_never_a_verdict(reply: str, model_server: ModelServer) -> None:
    model_server.scenario.reply = says(reply)
    (verdict,) = await judged(model_server)
    assert (verdict.score, verdict.status) == (None, "error")
    assert len(model_server.log) == 3


async def test_the_judge_never_sees_the_gold(model_server: ModelServer) -> None:
    model_server.scenario.reply = says('{"answer": "B"}')
    for gold in "BC":
        await judged(model_server, answer=gold)
    sent, other = (entry.prompt for entry in model_server.log)
    assert sent == other, "the same prompt whatever the gold"
    assert "B. Paris" in sent and OPEN in sent and "Capital of France?" in sent
    schema = model_server.log[0].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"answer": {"type": "string"}}


async def test_rules_first(model_server: ModelServer) -> None:
    model_server.scenario.reply = says('{"answer": "A"}')
    found = await judged(model_server, "The answer is (B).", "The answer is (C).", OPEN, "")
    assert [(verdict.score, verdict.status) for verdict in found] == [
        (1.0, "scored"), (0.0, "scored"), (0.0, "scored"), (0.0, "no_answer"),
    ]  # fmt: skip
    assert len(model_server.log) == 1, "the judge is asked for what the rules leave open"


async def test_always_the_judge(model_server: ModelServer) -> None:
    model_server.scenario.reply = says('{"answer": "A"}')
    (verdict,) = await judged(model_server, "The answer is (B).", when="always")
    assert (verdict.score, verdict.extracted_answer) == (0.0, "A")
    assert (details(verdict)["rules"], details(verdict)["answer"]) == ("B", "A")


async def test_several_letters(model_server: ModelServer) -> None:
    model_server.scenario.reply = says('{"answer": "C, A"}', '{"answer": "A and C"}', '{"answer": "A"}')
    for expected in (1.0, 1.0, 0.0):
        assert (await judged(model_server, answer=["A", "C"]))[0].score == expected


async def test_without_a_gold_nothing_is_asked(model_server: ModelServer) -> None:
    (verdict,) = await judged(model_server, answer=None, when="always")
    assert (verdict.score, verdict.status) == (None, "error")
    assert not model_server.log


async def test_options_that_are_not_known(model_server: ModelServer) -> None:
    model_server.scenario.reply = says('{"answer": "B"}')
    (verdict,) = await judged(model_server, options=None)
    assert verdict.score == 1.0
    assert "Its options" not in model_server.log[0].prompt


@pytest.mark.parametrize("text", ["Option B", "option b", "Choice: B", "(B)", "B. Paris", "B) It is Paris."])
async def test_a_word_is_no_row_of_letters_where_the_options_are_not_known(
    text: str, model_server: ModelServer
) -> None:
    model_server.scenario.reply = says(json.dumps({"answer": text}))
    (verdict,) = await judged(model_server, options=None)
    assert (verdict.score, verdict.extracted_answer) == (1.0, "B")
    model_server.scenario.reply = says(json.dumps({"answer": "CAB"}), json.dumps({"answer": "paris"}))
    assert (await judged(model_server, options=None))[0].score is None


async def test_failures_and_the_cache(tmp_path: Path, model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda _: "500"
    (verdict,) = await judged(model_server, cache=tmp_path, max_retries=0)
    assert (verdict.score, verdict.status) == (None, "error")
    model_server.scenario.fault = lambda _: "hang"
    (verdict,) = await judged(model_server, cache=tmp_path, max_retries=0, timeout=0.2)
    assert (verdict.score, verdict.status) == (None, "timeout")
    model_server.scenario.fault = None
    model_server.scenario.reply = lambda _: Reply('{"answer": "B"}')
    first = await judged(model_server, cache=tmp_path)
    asked = len(model_server.log)
    assert await judged(model_server, cache=tmp_path) == first and len(model_server.log) == asked
    assert (await judged(model_server, cache=tmp_path, answer="A"))[0].score == 0.0
    assert len(model_server.log) == asked, "another gold needs no other reading"


async def test_a_server_that_refuses_a_schema_is_asked_without(model_server: ModelServer) -> None:
    model_server.scenario.reply = says("B")
    model_server.scenario.fault = scripted_faults(["400", "400"])
    (verdict,) = await judged(model_server)
    assert verdict.score == 1.0
    assert ["response_format" in entry.body for entry in model_server.log] == [True, True, False]


def test_through_rsr_verify(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    row = {
        "id": "p",
        "messages": [{"role": "user", "content": "Capital of France?"}],
        "metadata": {"answer": "B", "options": CITIES},
    }
    verifier = {
        "type": "mcq-llm-as-judge",
        "model": "judge",
        "base_url": model_server.base_url,
        "api_key": "${JUDGE_KEY:-}",
    }
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", [row]), "http://127.0.0.1:1/v1")
    work_dir = tmp_path / "w"
    assert rsr("prepare", config, "-w", work_dir, f"verifier={json.dumps(verifier)}").exit_code == 0
    made = [{"id": "p", "response": text} for text in ("<think>A</think>It is (B).", "The answer is A.", OPEN)]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", work_dir).exit_code == 0
    model_server.scenario.reply = says('{"answer": "B"}')
    outcome = rsr("verify", "-w", work_dir)
    assert outcome.exit_code == 0, outcome.stderr
    assert [row["score"] for row in rows(work_dir / "score")] == [1.0, 0.0, 1.0]
    assert [row["extracted_answer"] for row in rows(work_dir / "score")] == ["B", "A", "B"]
    assert len(model_server.log) == 1
    assert KEY not in (work_dir / "config.yaml").read_text()
