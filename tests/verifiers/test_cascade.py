"""Cascades: who is asked next, who decides, what is kept of a flip, and what the audit makes of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rsr_cli.config.settings import VerifierSettings
from rsr_cli.scoring.verifier_tree import resolve_verifier, with_workers
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.cascade import Cascade
from tests.conftest import Rsr
from tests.server import ModelServer, Reply
from tests.verifiers.judging import winner
from tests.work_dirs import rows, sums, write_config, write_rows

PASS, FAIL = Verdict(1.0, "scored", "7"), Verdict(0.0, "scored", "8")
NONE, ERROR, LATE = Verdict.no_answer(), Verdict.unknown("error", "broken"), Verdict.unknown("timeout", "slow")


def decide(*by_member: dict[int, Verdict], **options: Any) -> tuple[dict[int, Verdict], dict[str, list[int]]]:
    """The cascade's verdicts on the attempts of the first member, and which each member was asked about."""
    steps = options.pop("steps", [{}] * len(by_member))
    cascade = Cascade(members=[{"type": f"m{n}", **step} for n, step in enumerate(steps)], **options)
    asked: dict[str, list[int]] = {}

    async def ask(name: str, numbers: Any) -> dict[int, Verdict]:
        asked[name] = list(numbers)
        verdicts = by_member[int(name[1:])]
        return {number: verdicts[number] for number in numbers if number in verdicts}

    found = asyncio.run(cascade.verdicts(Prompt("p", [], {}), list(by_member[0]), ask))
    return found, asked


def test_the_next_is_asked_about_what_the_one_before_leaves_open() -> None:
    first = {0: PASS, 1: FAIL, 2: NONE, 3: ERROR, 4: LATE}
    second = dict.fromkeys(range(5), PASS)
    found, asked = decide(first, second)
    assert asked["m1"] == [2, 3, 4]
    assert [found[n].score for n in range(5)] == [1.0, 0.0, 1.0, 1.0, 1.0]
    assert decide(first, second, ask_next="fail")[1]["m1"] == [1]
    assert decide(first, second, ask_next=["fail", "error"])[1]["m1"] == [1, 3]
    assert decide(first, second, steps=[{"ask_next": ["timeout"]}, {}])[1]["m1"] == [4]
    assert "m1" not in decide({0: PASS}, second)[1]


def test_an_unknown_verdict_is_never_a_pass_or_a_fail() -> None:
    found, _ = decide({0: ERROR, 1: LATE, 2: FAIL}, {0: PASS, 1: PASS, 2: LATE}, ask_next=["fail"])
    assert [(found[n].score, found[n].status) for n in range(3)] == [
        (None, "error"),
        (None, "timeout"),
        (None, "timeout"),
    ]
    missing, _ = decide({0: NONE}, {})
    assert (missing[0].score, missing[0].status) == (None, "error")


def test_a_grade_is_a_fail_by_its_members_threshold() -> None:
    grade = Verdict(0.3)
    assert "m1" not in decide({0: grade}, {0: PASS}, ask_next="fail")[1]
    assert decide({0: grade}, {0: PASS}, ask_next="fail", steps=[{"fail_threshold": 0.4}, {}])[1]["m1"] == [0]


def test_flips_are_kept_with_who_said_what_and_the_cost() -> None:
    bill = json.dumps({"asked": 2, "prompt_tokens": 90, "completion_tokens": 4})
    found, _ = decide(
        {0: FAIL, 1: FAIL, 2: ERROR}, {0: Verdict(1.0, details=bill), 1: FAIL, 2: PASS}, ask_next=["fail", "error"]
    )
    kept = [json.loads(found[n].details or "") for n in range(3)]
    assert kept[0]["flips"] == [
        {"overruled": "m0", "by": "m1", "from": 0.0, "to": 1.0,
         "cost": {"asked": 2, "prompt_tokens": 90, "completion_tokens": 4}}
    ]  # fmt: skip
    assert kept[1]["flips"] == [] == kept[2]["flips"], "who agrees, or had nothing before it, overrules nobody"
    assert kept[0]["decided_by"] == "m1" and kept[0]["members"]["m0"]["score"] == 0.0
    assert found[0].extracted_answer == "8", "that of the member before, where the last one names none"


VERDICTS = st.sampled_from([PASS, FAIL, NONE, ERROR, LATE])
OUTCOMES = st.sampled_from(["no_answer", "error", "timeout", "fail"])


@given(st.lists(st.lists(VERDICTS, min_size=3, max_size=3), min_size=1, max_size=6), st.sets(OUTCOMES, min_size=1))
def test_the_last_that_was_asked_decides_and_nobody_else(said: list[list[Verdict]], ask_next: set[str]) -> None:
    found, asked = decide(*(dict(enumerate(verdicts)) for verdicts in zip(*said, strict=True)), ask_next=list(ask_next))
    for number, verdicts in enumerate(said):
        words = [
            "fail" if verdict is FAIL else verdict.status if verdict is not PASS else "pass" for verdict in verdicts
        ]
        last = next((place for place in range(2) if words[place] not in ask_next), 2)
        assert (found[number].score, found[number].status) == (verdicts[last].score, verdicts[last].status)
        assert [name for name in asked if number in asked[name]] == [f"m{place}" for place in range(last + 1)]
        assert list(json.loads(found[number].details or "")["members"]) == [f"m{place}" for place in range(last + 1)]


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ({"members": [{"type": "a"}]}, "at least 2"),
        ({"members": [{"type": "a"}, {"type": "b", "ask_next": ["fail"]}]}, "no next one"),
        ({"members": [{"type": "a"}, {"type": "b"}], "ask_next": []}, "at least 1"),
        (
            {"members": [{"type": "a"}, {"type": "b"}], "ask_next": ["wrong"]},
            "'no_answer', 'error', 'timeout' or 'fail'",
        ),
    ],
)
def test_what_makes_no_cascade_is_refused(options: dict[str, Any], saying: str) -> None:
    with pytest.raises(ValidationError, match=saying):
        Cascade(**options)


def settings(verifier: dict[str, Any]) -> VerifierSettings:
    return VerifierSettings.model_validate(verifier)


def test_which_prompts_can_be_scored() -> None:
    no_gold, gold = Prompt("p", [], {}), Prompt("p", [], {"answer": "B"})
    judge = {"type": "llm-judge", "model": "m"}
    fallback = {"type": "cascade", "members": [{"type": "math-rlvr"}, judge]}
    first_only = {**fallback, "ask_next": "no_answer"}
    why, why_first = (resolve_verifier(settings(item)).cannot_score for item in (fallback, first_only))
    assert why(no_gold) is None, "the judge is asked where the rules have no gold"
    assert "gold" in (why_first(no_gold) or "") and why_first(gold) is None
    nested = {"type": "ensemble", "members": [{"type": "cascade", "members": [{"type": "math-rlvr"}] * 2}]}
    tree = resolve_verifier(settings(nested))
    assert "gold" in (tree.cannot_score(no_gold) or "") and tree.is_rule
    assert not resolve_verifier(settings({"type": "ensemble", "members": [fallback]})).is_rule
    inner = with_workers(settings(nested)).options["members"][0]["members"]
    assert [member["workers"] for member in inner] == [1, 1]


def test_a_member_that_compares_gets_all_replies(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    """The judge compares the one reply that the rules leave open with all others of its prompt."""
    model_server.scenario.reply = lambda _: Reply(winner("tie"))
    judge = {
        "type": "llm-judge",
        "mode": "pairwise",
        "against": "others",
        "model": "j",
        "base_url": model_server.base_url,
    }
    verifier = {"type": "cascade", "members": [{"type": "math-rlvr", "workers": 1}, judge]}
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(1)), "http://127.0.0.1:1/v1")
    assert rsr("prepare", config, "-w", tmp_path / "w", f"verifier={json.dumps(verifier)}").exit_code == 0
    made = [{"id": "sum-0", "response": text} for text in ("It is \\boxed{7}.", "It is \\boxed{8}.", "I do not know.")]
    rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", tmp_path / "w")
    assert rsr("verify", "-w", tmp_path / "w").exit_code == 0
    assert [row["score"] for row in rows(tmp_path / "w/score")] == [1.0, 0.0, 0.5]


def test_end_to_end_with_the_audit(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    """Rules first; a judge confirms or overrules what they refuse, and the audit lists what it overruled."""
    model_server.scenario.reply = lambda ask: Reply('{"answer": "B"}')
    row = {"messages": [{"role": "user", "content": "Capital of France?"}]}
    options = ["London", "Paris", "Rome"]
    prompts = [{**row, "id": "p", "metadata": {"answer": "B", "options": options}}]
    verifier = {
        "type": "cascade",
        "members": [
            {"type": "mcq-rlvr", "workers": 1},
            {"type": "mcq-llm-as-judge", "model": "judge", "base_url": model_server.base_url, "when": "always"},
        ],
        "ask_next": ["fail", "no_answer"],
    }  # fmt: skip
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), "http://127.0.0.1:1/v1")
    work_dir = tmp_path / "w"
    assert rsr("prepare", config, "-w", work_dir, f"verifier={json.dumps(verifier)}").exit_code == 0
    made = [
        {"id": "p", "response": text} for text in ("It is (B).", "The answer is A.", "The one by the Seine, surely.")
    ]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", work_dir).exit_code == 0
    outcome = rsr("verify", "-w", work_dir, "--audit")
    assert outcome.exit_code == 0, outcome.stderr
    assert [row["score"] for row in rows(work_dir / "score")] == [1.0, 1.0, 1.0]
    assert len(model_server.log) == 2, "the rules decide the first"
    [step] = json.loads((work_dir / "summary/audit.json").read_text())["flips"]
    assert (step["before"], step["after"], step["asked"]) == ("mcq-rlvr", "mcq-llm-as-judge", 2)
    assert step["flips"] == {"fail / pass": 2} and step["cost"]["asked"] == 2 and step["cost"]["prompt_tokens"] > 0
    cases = [json.loads(line) for line in (work_dir / "summary/audit_cases.jsonl").read_text().splitlines()]
    flips = [case for case in cases if case["kind"] == "flip"]
    assert {case["response"] for case in flips} == {made[1]["response"], made[2]["response"]}
    assert "2 to mcq-llm-as-judge (2 x fail / pass" in outcome.stdout + outcome.stderr


def test_members_are_checked_at_any_depth(tmp_path: Path, rsr: Rsr) -> None:
    inner = {"type": "cascade", "members": ["math-rlvr", {"type": "math-rlvr", "toleranse": 0.1}]}
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(2)), "http://x/v1",
        verifier={"type": "ensemble", "members": [inner]},
    )  # fmt: skip
    outcome = rsr("prepare", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 2 and "did you mean 'tolerance'" in outcome.stderr
