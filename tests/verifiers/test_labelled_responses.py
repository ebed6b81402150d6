"""Verdicts against labelled responses of many models: aggregate bounds, a little above what is reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.types import Verdict
from rsr_cli.verifiers.math_rlvr import MathRlvr
from rsr_cli.verifiers.mcq_rlvr import McqRlvr
from tests.groups import asked

SHARED = Path(__file__).parents[3] / "shared"
DATA = SHARED / "verifier-data"
GSM8K = SHARED / "gsm8k"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the labelled responses are not here")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _rates(records: list[dict[str, Any]], verifier: MathRlvr | McqRlvr) -> tuple[float, float]:
    """The share of wrong responses accepted and of right ones rejected."""
    accepted = rejected = right = 0
    for record in records:
        verdict = verifier.verify(record["response"], {"answer": record["gold"], "options": record.get("options")})
        right += record["label"]
        accepted += verdict.score == 1.0 and not record["label"]
        rejected += verdict.score != 1.0 and record["label"]
    return accepted / max(1, len(records) - right), rejected / max(1, right)


@needs_data
@pytest.mark.parametrize(("name", "verifier"), [("math", MathRlvr()), ("mcq", McqRlvr())])
def test_the_aim_is_met(name: str, verifier: MathRlvr | McqRlvr) -> None:
    false_accept, false_reject = _rates(list(_records(DATA / f"{name}_dev.jsonl")), verifier)
    assert false_accept <= 0.005
    assert false_reject <= 0.010


@needs_data
@pytest.mark.parametrize(("name", "verifier"), [("math", MathRlvr()), ("mcq", McqRlvr())])
def test_no_source_is_far_off(name: str, verifier: MathRlvr | McqRlvr) -> None:
    by_source: dict[str, list[dict[str, Any]]] = {}
    for record in _records(DATA / f"{name}_dev.jsonl"):
        by_source.setdefault(record["source"], []).append(record)
    for source, records in by_source.items():
        if len(records) >= 100:
            false_accept, false_reject = _rates(records, verifier)
            assert false_accept <= 0.03, source
            assert false_reject <= 0.03, source


@needs_data
def test_hostile_answers_get_a_status_and_the_pool_survives() -> None:
    records = list(_records(DATA / "hostile_dev.jsonl"))
    for record in records:
        for key in ("gold", "response"):
            if f"{key}_build" in record:
                record[key] = "".join(piece * times for piece, times in record[f"{key}_build"])
    with ProcessPool(("math-rlvr", {}), workers=2, time_limit=2.0, memory_limit_mb=1024) as pool:
        verdicts = list(pool.map(asked(record["response"], {"answer": record["gold"]}) for record in records))
        assert pool.submit(*asked("\\boxed{5}", {"answer": "5"})).result() == Verdict(1.0, "scored", "5")
    for record, verdict in zip(records, verdicts, strict=True):
        assert verdict.status in ("scored", "no_answer", "timeout", "error")
        if record["label"] is False:
            assert verdict.score != 1.0, record["name"]
        if record["label"] is True:
            assert verdict.score != 0.0, record["name"]
    assert sum(verdict.status == "timeout" for verdict in verdicts) <= 3


@pytest.mark.skipif(not GSM8K.is_dir(), reason="GSM8K is not here")
def test_recorded_gsm8k_solutions_agree_with_their_own_verdict() -> None:
    golds = {record["question"]: record["answer"] for record in _records(GSM8K / "test.jsonl")}
    differing = total = 0
    for record in _records(GSM8K / "example_model_solutions.jsonl"):
        for solution in record.values():
            if isinstance(solution, dict):
                verdict = MathRlvr().verify(solution["solution"], {"answer": golds[record["question"]]})
                differing += (verdict.score == 1.0) != solution["is_correct"]
                total += 1
    assert total == 5276
    assert differing <= 5
