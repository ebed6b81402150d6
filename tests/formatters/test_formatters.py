"""Which rows each formatter makes of a group, and when it has enough."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.errors import InputError
from rsr_cli.formatters.dpo import Dpo
from rsr_cli.formatters.rollouts import Rollouts
from rsr_cli.formatters.sft import Sft
from rsr_cli.formatters.top_k import TopK
from rsr_cli.types import Group, Prompt
from tests.groups import group

outcomes = st.lists(
    st.sampled_from([0.0, 0.3, 1.0, None, "truncated", "error"])
    | st.tuples(st.sampled_from([0.0, 1.0, None]), st.sampled_from(["same", "same ", "other"])),
    max_size=8,
)


def reply(row: dict[str, Any], column: str = "messages") -> str:
    return row[column][-1]["content"]


def test_sft_takes_the_best_passing_response() -> None:
    assert [reply(row) for row in Sft(pass_threshold=0.5).format(group(0.0, 0.6, 0.9, 0.9))] == ["text 2"]
    assert Sft().format(group(0.0, 0.9, None, "truncated")) == []


def test_sft_layouts_are_what_trl_reads() -> None:
    [row] = Sft().format(group(1.0))
    assert row["messages"] == [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "text 0"}]
    [row] = Sft(layout="prompt_completion").format(group(1.0))
    assert "messages" not in row
    assert row["prompt"] == [{"role": "user", "content": "Why?"}]
    assert row["completion"] == [{"role": "assistant", "content": "text 0"}]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("inline", {"role": "assistant", "content": "<think>\nhmm\n</think>\n\ntext 0"}),
        ("field", {"role": "assistant", "content": "text 0", "reasoning_content": "hmm"}),
        ("drop", {"role": "assistant", "content": "text 0"}),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_reasoning_is_written_as_asked(choice: Any, message: dict[str, str], inside: bool) -> None:
    """It came in a field of its own, or in think tags inside the response."""
    made = group((1.0, "<think>\nhmm\n</think>\n\ntext 0")) if inside else group(1.0, reasoning="hmm")
    [row] = Sft(reasoning=choice).format(made)
    assert row["messages"][-1] == message


@given(outcomes)
def test_top_k_takes_different_texts_best_first(made: list[Any]) -> None:
    found = TopK(k=3, pass_threshold=0.3).format(group(*made))
    scores = [row["score"] for row in found]
    texts = [reply(row).strip() for row in found]
    assert scores == sorted(scores, reverse=True) and all(score >= 0.3 for score in scores)
    assert len(set(texts)) == len(texts) <= 3
    assert TopK(k=3, pass_threshold=0.3).is_satisfied(group(*made)) == (len(found) == 3)


@given(outcomes, st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.3, 1.0]))
def test_dpo_pairs_a_pass_with_a_fail_of_another_text(made: list[Any], passes: float, fails: float) -> None:
    formatter = Dpo(pass_threshold=passes, fail_threshold=fails)
    one = group(*made)
    rows = formatter.format(one)
    assert bool(rows) == formatter.is_satisfied(one)
    scored = [(rollout.response.strip(), score) for rollout, score in one.scored()]
    possible = [
        (a, b)
        for a, b in itertools.permutations(scored, 2)
        if a[1] >= passes and b[1] <= fails and a[1] > b[1] and a[0] != b[0]
    ]
    assert bool(rows) == bool(possible)
    for row in rows:
        assert row["prompt"] == [{"role": "user", "content": "Why?"}]
        chosen, rejected = reply(row, "chosen"), reply(row, "rejected")
        assert chosen.strip() != rejected.strip()
        verdicts = {number: verdict.score for number, verdict in one.verdicts.items()}
        assert verdicts[row["rejected_attempt"]] is not None
        assert row["chosen_score"] - row["rejected_score"] == max(a[1] - b[1] for a, b in possible)


def test_an_unknown_score_is_never_rejected_and_never_chosen() -> None:
    assert Dpo().format(group(1.0, None, "truncated", "error")) == []
    assert Sft().format(group(None, None)) == []


def test_rollouts_nest_all_there_is() -> None:
    [row] = Rollouts().format(group(1.0, None, "truncated", 0.0))
    assert [(item["response"], item["score"], item["status"]) for item in row["rollouts"]] == [
        ("text 0", 1.0, "scored"),
        ("text 1", None, "timeout"),
        ("text 3", 0.0, "scored"),
    ]
    assert row["metadata"] == '{"answer": "42"}'


@pytest.mark.parametrize(
    "formatter", [Sft(), Sft(layout="prompt_completion"), Sft(reasoning="field"), TopK(), Dpo(), Rollouts()]
)
def test_rows_have_the_columns_of_the_schema(formatter: Any) -> None:
    rows = formatter.format(group(1.0, 0.0, None, reasoning="hmm"))
    assert set(rows[0]) == set(formatter.schema.names)
    assert pa.Table.from_pylist(rows, schema=formatter.schema).to_pylist() is not None


def test_parts_that_are_text_become_text_and_others_are_refused() -> None:
    made = group(1.0)
    parts = [{"type": "text", "text": "Look: "}, {"type": "text", "text": "why?"}]
    made.prompt = Prompt("p", [{"role": "user", "content": parts}], {})
    assert Sft().format(made)[0]["messages"][0]["content"] == "Look: why?"
    made.prompt = Prompt("p", [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], {})
    with pytest.raises(InputError, match="'p'"):
        Sft().format(made)


def test_an_empty_group_satisfies_nobody_that_waits() -> None:
    empty = Group(Prompt("p", [], {}))
    assert not any(formatter.is_satisfied(empty) for formatter in (Sft(), TopK(), Dpo()))
