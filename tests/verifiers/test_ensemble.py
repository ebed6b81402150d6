"""Ensembles: how scores combine, who abstains, and what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.types import Verdict
from rsr_cli.verifiers.ensemble import Ensemble


def combine(how: Any, *members: dict[int, float | None], **options: Any) -> dict[int, float | None]:
    ensemble = Ensemble(combine=how, members=[{"type": f"m{index}", **options} for index in range(len(members))])
    by_member = {
        f"m{index}": {n: Verdict(score, "scored" if score is not None else "error") for n, score in scores.items()}
        for index, scores in enumerate(members)
    }
    return {number: verdict.score for number, verdict in ensemble.combined("p", by_member).items()}


def test_majority_vote_takes_the_best_and_the_worst_that_most_agree_on() -> None:
    first, second, third = {0: 9.0, 1: 5.0, 2: 1.0}, {0: 0.8, 1: 0.2, 2: 0.4}, {0: 0.1, 1: 0.9, 2: 0.0}
    assert combine("majority_vote", first, second, third) == {0: 1.0, 1: 0.5, 2: 0.0}


def test_a_tie_goes_to_the_first_listed_and_full_disagreement_to_the_seed() -> None:
    up, down = {0: 1.0, 1: 0.0, 2: 0.5}, {0: 0.0, 1: 1.0, 2: 0.5}
    assert combine("majority_vote", up, up, down, down) == {0: 1.0, 1: 0.0, 2: 0.5}
    one, two, three = {0: 1.0, 1: 0.0, 2: 0.0}, {0: 0.0, 1: 1.0, 2: 0.0}, {0: 0.0, 1: 0.0, 2: 1.0}
    members = [{"type": name} for name in "abc"]
    chosen = set()
    for seed in range(30):
        ensemble = Ensemble(combine="majority_vote", members=members, seed=seed)
        by_member = {
            name: {n: Verdict(s) for n, s in scores.items()}
            for name, scores in zip("abc", (one, two, three), strict=True)
        }
        again = [ensemble.combined("p", by_member) for _ in range(2)]
        assert again[0] == again[1]
        chosen |= {number for number, verdict in again[0].items() if verdict.score == 1.0}
    assert chosen == {0, 1, 2}


def test_who_has_no_score_or_no_preference_abstains() -> None:
    assert combine("majority_vote", {0: 1.0, 1: 0.0}, {0: None, 1: None}, {0: 0.5, 1: 0.5}) == {0: 1.0, 1: 0.0}
    assert combine("weighted", {0: 1.0, 1: None}, {0: 0.0, 1: 0.25}) == {0: 0.5, 1: 0.25}
    assert combine("min", {0: None}, {0: None}) == {0: None}


def test_the_plain_combinations() -> None:
    assert combine("min", {0: 0.2, 1: 1.0}, {0: 0.9, 1: 0.7}) == {0: 0.2, 1: 0.7}
    assert combine("all_pass", {0: 1.0, 1: 1.0}, {0: 0.9, 1: 1.0}) == {0: 0.0, 1: 1.0}
    assert combine("all_pass", {0: 0.6}, {0: 0.9}, pass_threshold=0.5) == {0: 1.0}
    assert combine("mean", {0: -3.0, 1: 7.0, 2: 2.0}, {0: 0.0, 1: 1.0, 2: 1.0}) == {0: 0.0, 1: 1.0, 2: 0.75}
    weighted = Ensemble(members=[{"type": "a", "weight": 3}, {"type": "b", "weight": 1}])
    assert weighted.combined("p", {"a": {0: Verdict(1.0)}, "b": {0: Verdict(0.0)}})[0].score == 0.75


def test_each_members_verdict_is_kept() -> None:
    ensemble = Ensemble(members=[{"type": "a"}, {"type": "b"}])
    parts = {"a": {0: Verdict(None, "timeout", None, "too slow")}, "b": {0: Verdict(1.0, "scored", "B")}}
    verdict = ensemble.combined("p", parts)[0]
    assert verdict.extracted_answer == "B"
    kept = json.loads(verdict.details or "")
    assert kept["a"]["status"] == "timeout" and kept["a"]["score"] is None and kept["b"]["score"] == 1.0


@given(st.sampled_from(["weighted", "mean", "min", "all_pass", "majority_vote"]), st.data())
def test_a_combined_score_stays_within_its_parts(how: str, data: st.DataObject) -> None:
    scores = st.dictionaries(st.integers(0, 4), st.none() | st.floats(0, 1), max_size=5)
    members = data.draw(st.lists(scores, min_size=1, max_size=4))
    for number, score in combine(how, *members).items():
        parts = [scores[number] for scores in members if scores.get(number) is not None]
        assert (score is None) == (not parts)
        assert score is None or -1e-9 <= score <= 1 + 1e-9


def test_two_rules_as_an_ensemble_end_to_end(tmp_path: Any, rsr: Any, model_server: Any) -> None:
    from tests.work_dirs import rows, sums, write_config, write_rows

    (tmp_path / "mine.py").write_text(
        "class Short:\n    def verify(self, response, metadata):\n        return 1.0 if len(response) < 40 else 0.5\n"
    )
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(6)), model_server.base_url,
        verifier=[{"type": "math-rlvr", "weight": 3, "workers": 1}, {"type": f"{tmp_path}/mine.py:Short"}],
        formatter=[{"type": "best_of_n"}, {"type": "best_of_n", "name": "pairs", "output": "pairs", "min_margin": 0.5}],
    )  # fmt: skip
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    found = rows(tmp_path / "w/score")
    assert {row["score"] for row in found} <= {0.125, 0.25, 0.875, 1.0}
    assert len(rows(tmp_path / "w/train/best_of_n")) == 6
    pairs = rows(tmp_path / "w/train/pairs")
    assert pairs and all(row["chosen_score"] - row["rejected_score"] >= 0.5 for row in pairs)
    assert "nothing to do" in rsr("run", "-w", tmp_path / "w").stdout
    assert rsr("run", config, "-w", tmp_path / "v", "verifier.members.0.nonsense=1").exit_code == 2


@pytest.mark.parametrize("members", [[], [{"type": "math-rlvr", "time_limit": "long"}]])
def test_bad_members_are_refused(members: list[Any], tmp_path: Any, rsr: Any) -> None:
    from tests.work_dirs import sums, write_config, write_rows

    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(2)), "http://x/v1", verifier=members
    )
    outcome = rsr("prepare", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 2 and "members" in outcome.stderr
