"""The small exact verifiers: exact, f1, regex and json-schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.plugins import registry
from rsr_cli.types import Prompt, Reply, Verdict
from rsr_cli.verifiers.exact import Exact
from rsr_cli.verifiers.f1 import F1, words
from rsr_cli.verifiers.json_schema import JsonSchema
from rsr_cli.verifiers.regex import Regex
from tests.conftest import Rsr
from tests.work_dirs import rows, sums, write_config, write_rows


def scored(verifier: Any, reply: str, **metadata: Any) -> Verdict:
    verdict = verifier.verify(Reply(reply), Prompt("p", [], metadata))
    assert (verdict.score is None) == (verdict.status in ("error", "timeout"))
    return verdict  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("options", "reply", "gold", "score"),
    [
        ({}, "Paris", "Paris", 1.0),
        ({}, " Paris\n", "Paris", 1.0),
        ({}, "paris", "Paris", 0.0),
        ({}, "Paris.", "Paris", 0.0),
        ({}, "It is Paris", "Paris", 0.0),
        ({"ignore_case": True}, "STRASSE", "straße", 1.0),
        ({"ignore_punctuation": True}, "“Paris”.", "Paris", 1.0),
        ({"ignore_punctuation": True}, "?", "!", 0.0),
        ({"strip": False}, "Paris", "Paris ", 0.0),
        ({}, "cafe\u0301", "caf\u00e9", 1.0),
        ({}, "42", 42, 1.0),
        ({}, "true", True, 1.0),
        ({}, "b", ["a", "b"], 1.0),
        ({}, "c", ["a", "b"], 0.0),
    ],
)
def test_exact(options: dict[str, Any], reply: str, gold: Any, score: float) -> None:
    assert scored(Exact(**options), reply, answer=gold).score == score


@pytest.mark.parametrize(
    ("reply", "gold", "f1", "exact"),
    [
        ("the Eiffel Tower", "Eiffel tower", 1.0, 1.0),
        ("It is the Eiffel Tower.", "Eiffel Tower", 2 / 3, 0.0),
        ("London", "Paris", 0.0, 0.0),
        ("Tower Eiffel", "Eiffel Tower", 1.0, 0.0),
        ("don't", "dont", 1.0, 1.0),
        ("1,000", "1000", 1.0, 1.0),
        ("1.5", "15", 0.0, 0.0),
        ("-5", "5", 0.0, 0.0),
        ("\u22125", "-5", 1.0, 1.0),
        ("the", "an", 0.0, 0.0),
        ("the the the Paris", "Paris", 1.0, 1.0),
        ("no no no", "no", 0.5, 0.0),
        ("北京大学", "北京", 2 / 3, 0.0),
        ("北京。", "北京", 1.0, 1.0),
        ("東京タワー", "東京タワー", 1.0, 1.0),
        ("서울특별시", "서울", 4 / 7, 0.0),
        ("की", "का", 0.0, 0.0),
        ("ＡＢＣ", "abc", 1.0, 1.0),
        ("!", "?", 0.0, 0.0),
        ("x", ["Paris", "x"], 1.0, 1.0),
    ],
)
def test_f1(reply: str, gold: Any, f1: float, exact: float) -> None:
    verdict = scored(F1(), reply, answer=gold)
    assert verdict.score == pytest.approx(f1)
    assert json.loads(verdict.details or "") == {"f1": verdict.score, "exact_match": exact}
    assert scored(F1(score="exact_match"), reply, answer=gold).score == exact


@given(st.text(max_size=40), st.text(max_size=40))
def test_f1_is_symmetric_and_within_its_range(one: str, other: str) -> None:
    if one.strip() and other.strip():
        there, back = scored(F1(), one, answer=other).score, scored(F1(), other, answer=one).score
        assert there == pytest.approx(back) and 0.0 <= (there or 0.0) <= 1.0
        assert scored(F1(score="exact_match"), one, answer=one).score == 1.0
        assert words(one)


@pytest.mark.parametrize("verifier", [Exact(), F1()])
@pytest.mark.parametrize("gold", [None, "", " ", [], [None], {"a": 1}])
def test_without_a_gold_it_is_an_error_with_words(verifier: Any, gold: Any) -> None:
    verdict = scored(verifier, "x", answer=gold)
    assert (verdict.score, verdict.status) == (None, "error") and "no gold" in (verdict.explanation or "")
    assert verifier.cannot_score(Prompt("p", [], {"answer": gold})) == verdict.explanation
    assert scored(verifier, " ", answer="x").status == "no_answer"


@pytest.mark.parametrize(
    ("options", "reply", "pattern", "score", "extracted"),
    [
        ({}, "the code is AB-12.", r"[A-Z]{2}-\d\d", 1.0, "AB-12"),
        ({}, "the code is AB-12.", r"code is (\S+?)\.", 1.0, "AB-12"),
        ({}, "none here", r"\d", 0.0, None),
        ({"match": "full"}, "AB-12.", r"[A-Z]{2}-\d\d", 0.0, None),
        ({"match": "full"}, "one\ntwo", r"(?s)one.*two", 1.0, "one\ntwo"),
        ({"ignore_case": True}, "yes", "YES", 1.0, "yes"),
        ({"pattern": "never"}, "yes", "yes", 1.0, "yes"),
        ({"pattern": "yes"}, "yes", None, 1.0, "yes"),
    ],
)
def test_regex(options: dict[str, Any], reply: str, pattern: Any, score: float, extracted: str | None) -> None:
    verdict = scored(Regex(**options), reply, pattern=pattern)
    assert (verdict.score, verdict.extracted_answer) == (score, extracted)


@pytest.mark.parametrize(
    ("pattern", "saying"), [(None, "no pattern"), ("(", "no regular expression"), (7, "not a text"), (["a"], "a list")]
)
def test_a_pattern_that_is_none_is_an_error(pattern: Any, saying: str) -> None:
    verdict = scored(Regex(), "x", pattern=pattern)
    assert verdict.status == "error" and saying in (verdict.explanation or "")
    assert Regex().cannot_score(Prompt("p", [], {"pattern": pattern})) == verdict.explanation


def test_a_hostile_pattern_harms_that_reply_alone() -> None:
    with ProcessPool(("regex", {}), workers=1, time_limit=0.5, memory_limit_mb=1024) as pool:
        bad = Prompt("p", [], {"pattern": "(a+)+$"})
        hostile = pool.submit(Reply("a" * 60 + "b"), bad)
        good = pool.submit(Reply("aaa"), bad)
        assert hostile.result().status == "timeout" and good.result().score == 1.0


POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("reply", "score", "status"),
    [
        ('{"x": 1}', 1.0, "scored"),
        ('```json\n{"x": 1}\n```', 1.0, "scored"),
        ('Here it is:\n\n```\n{"x": 1}\n```\nAnything else?', 1.0, "scored"),
        ('```json\n{"x": "a"}\n```\nBetter:\n~~~JSON\n{"x": 1}\n~~~', 1.0, "scored"),
        ('```python\nx = 1\n```', 0.0, "no_answer"),
        ('{"x": 1.5}', 0.0, "scored"),
        ('{"x": 1, "y": 2}', 0.0, "scored"),
        ("{}", 0.0, "scored"),
        ("[1]", 0.0, "scored"),
        ('{"x": 1', 0.0, "scored"),
        ('{"x": NaN}', 0.0, "scored"),
        ("[" * 100_000, 0.0, "scored"),
        ('[Note] Here it is:\n```json\n{"x": 1}\n```', 1.0, "scored"),
        ("x is 1", 0.0, "no_answer"),
        ("", 0.0, "no_answer"),
    ],
)  # fmt: skip
def test_json_schema(reply: str, score: float, status: str) -> None:
    for verdict in (
        scored(JsonSchema(), reply, schema=POINT),
        scored(JsonSchema(), reply, schema=json.dumps(POINT)),
        scored(JsonSchema(schema=POINT), reply),
    ):
        assert (verdict.score, verdict.status) == (score, status)
    assert score or status == "no_answer" or verdict.explanation


@pytest.mark.parametrize(
    ("schema", "saying"),
    [
        (None, "no schema"),
        ({"type": "objekt"}, "the schema is none: $.type"),
        ("{", "not JSON"),
        ("[]", "a list, not an object"),
        (7, "a int, not an object"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "refers to what it does not hold"),
        ({"$ref": "#/nowhere"}, "refers to what it does not hold"),
        ({"$ref": "#"}, "refers to itself"),
    ],
)
def test_a_schema_that_can_not_be_used_is_an_error(schema: Any, saying: str) -> None:
    verdict = scored(JsonSchema(), '{"x": 1}', schema=schema)
    assert verdict.status == "error" and saying in (verdict.explanation or "")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Regex, {"pattern": "("}),
        (Regex, {"match": "part"}),
        (JsonSchema, {"schema": {"type": 1}}),
        (F1, {"score": "em"}),
    ],
)
def test_wrong_options_are_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(**options)


@pytest.mark.parametrize(
    ("verifier", "near"),
    [
        ({"type": "exact", "ignorecase": True}, "ignore_case"),
        ({"type": "regex", "patern": "x"}, "pattern"),
        ({"type": "json-schema", "shema": {}}, "schema"),
        ({"type": "f1", "scor": "f1"}, "score"),
        ({"type": "instructions", "modes": "loose"}, "mode"),
        ({"type": "cascade", "members": ["exact", "f1"], "ask_nxt": "fail"}, "ask_next"),
        ({"type": "by_row", "members": ["exact"], "fields": "v"}, "field"),
        ({"type": "by-row", "members": ["exact"]}, "by_row"),
        ({"type": "rubric", "model": "m", "min_knwn": 0.5}, "min_known"),
        ({"type": "math-llm-as-judge", "model": "m", "whn": "always"}, "when"),
    ],
)
def test_an_option_that_there_is_not_names_the_nearest(
    verifier: dict[str, Any], near: str, tmp_path: Path, rsr: Rsr
) -> None:
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(1)), "http://x/v1", verifier=verifier
    )
    outcome = rsr("prepare", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 2 and f"did you mean '{near}'?" in outcome.stderr


def test_all_of_them_are_found() -> None:
    names = {"exact", "f1", "regex", "json-schema", "instructions", "cascade", "by_row", "math-llm-as-judge", "rubric"}
    assert names <= set(registry.names("verifier"))


def test_a_mixture_of_them_through_rsr_and_its_audit(tmp_path: Path, rsr: Rsr) -> None:
    """The audit gives each verifier a gold in the form that it reads."""
    prompts = [
        {"metadata": {"verifier": "exact", "answer": "Paris"}},
        {"metadata": {"verifier": "f1", "answer": "Paris"}},
        {"metadata": {"verifier": "regex", "answer": "not looked at", "pattern": "^P"}},
        {"metadata": {"verifier": "json-schema", "schema": {"type": "string"}}},
        {"metadata": {"verifier": "instructions", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}},
    ]
    for number, row in enumerate(prompts):
        row |= {"id": str(number), "messages": [{"role": "user", "content": "Capital?"}]}
    names = ["exact", "f1", "regex", "json-schema", "instructions"]
    members = [{"type": name, "workers": 1} for name in names]
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), "http://127.0.0.1:1/v1",
        verifier={"type": "by_row", "members": members},
    )  # fmt: skip
    prepared = rsr("prepare", config, "-w", tmp_path / "w")
    assert prepared.exit_code == 0 and "warning" not in prepared.stderr, prepared.stderr
    made = [{"id": row["id"], "response": '"Paris"' if row["id"] == "3" else "Paris"} for row in prompts]
    rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", tmp_path / "w")
    outcome = rsr("verify", "-w", tmp_path / "w", "--audit", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert [row["score"] for row in rows(tmp_path / "w/score")] == [1.0] * 5
    assert json.loads(outcome.stdout)["stages"]["audit"]["bad_golds"] == 0
