"""Which rows each formatter makes of a group, and when it has enough."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.errors import InputError
from rsr_cli.formatters.best_of_n import BestOfN
from rsr_cli.formatters.dpo import Dpo
from rsr_cli.formatters.kto import Kto
from rsr_cli.formatters.messages import Seen
from rsr_cli.formatters.reward_pairs import RewardPairs
from rsr_cli.formatters.rlvr import Rlvr
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


@pytest.mark.parametrize(
    "response",
    [
        "hmm\n</think>\n\n42",  # a template put the opening tag into the prompt
        "<think>hmm</think>42",
        "<thinking>\n\nhmm\n</thinking>\n42",
        "[THINK]hmm[/THINK] 42",
        "<|channel|>analysis<|message|>hmm<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>",
        "<|channel|>analysis<|message|>hmm<|end|><|start|>assistant<|channel|>final<|message|>42",
        "analysisHmmassistantfinal42",
    ],
)
def test_thinking_has_one_form_whoever_wrote_it(response: str) -> None:
    def last(choice: Any) -> dict[str, Any]:
        message: dict[str, Any] = Sft(reasoning=choice).format(group((1.0, response)))[0]["messages"][-1]
        return message

    thinking = "Hmm" if response.startswith("analysis") else "hmm"
    assert last("inline")["content"] == f"<think>\n{thinking}\n</think>\n\n42"
    assert (last("field")["content"], last("field")["reasoning_content"]) == ("42", thinking)
    assert last("drop") == {"role": "assistant", "content": "42"}


@pytest.mark.parametrize("choice", ["inline", "field", "drop"])
def test_thinking_that_never_ends_is_no_row(choice: Any) -> None:
    for response in ("<think>hmm", "<think>hmm</think>", "<|channel|>analysis<|message|>hmm"):
        assert Sft(reasoning=choice).format(group((1.0, response))) == []
        assert Dpo(reasoning=choice).format(group(1.0, (0.0, response))) == []


def test_thinking_in_a_field_and_in_tags_is_written_once() -> None:
    def written(response: str) -> str:
        content: str = Sft().format(group((1.0, response), reasoning="one"))[0]["messages"][-1]["content"]
        return content

    assert written("<think>one</think>42") == "<think>\none\n</think>\n\n42"
    assert written("<think>two</think>42") == "<think>\none\n\ntwo\n</think>\n\n42"


def test_prefer_decides_among_equals() -> None:
    made = group((1.0, "mid length"), (1.0, "short"), (1.0, "the longest of them"), (0.0, "x"))
    found = {choice: reply(Sft(prefer=choice).format(made)[0]) for choice in ("first", "shortest", "longest", "random")}
    assert found["first"] == "mid length" and found["shortest"] == "short" and found["longest"] == "the longest of them"
    assert reply(Sft(prefer="random").format(made)[0]) == found["random"]
    ids = [Prompt(str(n), made.prompt.messages, {}) for n in range(40)]
    several = set()
    for prompt in ids:
        one = Group(prompt, {n: replace(a, id=prompt.id) for n, a in made.attempts.items()}, made.verdicts)
        several.add(reply(Sft(prefer="random").format(one)[0]))
    assert len(several) == 3


def test_several_pairs_of_a_prompt_use_all_responses_in_turn() -> None:
    made = group((1.0, "a"), (1.0, "b"), (0.0, "x"), (0.0, "y"), (0.0, "z"))
    rows = Dpo(per_prompt=3).format(made)
    pairs = [(reply(row, "chosen"), reply(row, "rejected")) for row in rows]
    assert len(set(pairs)) == 3 and {c for c, _ in pairs[:2]} == {"a", "b"} and len({r for _, r in pairs[:2]}) == 2
    assert len(Dpo(per_prompt=9).format(made)) == 6
    assert not Dpo(per_prompt=9).is_satisfied(made) and Dpo(per_prompt=6).is_satisfied(made)


def test_length_matched_pairs_have_the_nearest_length() -> None:
    made = group((1.0, "x" * 50), (0.0, "y"), (0.0, "z" * 49), (0.0, "w" * 90))
    assert reply(Dpo().format(made)[0], "rejected") == "y"
    [row] = Dpo(match_length=True).format(made)
    assert reply(row, "rejected") == "z" * 49
    assert (row["chosen_tokens"], row["rejected_tokens"]) == (10, 10)


def test_the_least_margin_is_kept() -> None:
    made = group(0.9, 0.5, 0.1)
    assert Dpo(pass_threshold=0.5, fail_threshold=0.5, min_margin=0.9).format(made) == []
    [row] = RewardPairs(min_margin=0.8).format(made)
    assert row["margin"] == pytest.approx(0.8)
    assert RewardPairs().format(group(0.5, 0.5)) == []


def test_kto_labels_and_never_gives_a_text_both() -> None:
    made = group((1.0, "a"), (0.0, "a "), (0.0, "b"), (0.5, "c"), (None, "d"))
    rows = Kto(per_prompt=4).format(made)
    assert [(reply(row, "completion"), row["label"]) for row in rows] == [("a", True), ("b", False)]
    assert Kto().is_satisfied(made) and not Kto(per_prompt=2).is_satisfied(made)


def test_rlvr_says_how_hard_a_prompt_is_and_counts_truncated_attempts() -> None:
    [row] = Rlvr().format(group(1.0, 0.0, 0.0, "truncated", None))
    assert row["pass_rate"] == 0.25 and row["solution"] == "42"
    assert Rlvr().format(group(None)) == []
    assert Rlvr(pass_rate=(0.5, 1.0)).format(group(1.0, 0.0, 0.0)) == []
    assert Rlvr(layout="verl", source="metadata.answer").format(group(1.0))[0]["data_source"] == "42"
    assert not Rlvr().is_satisfied(group(1.0))


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
    "formatter",
    [
        Sft(),
        Sft(layout="prompt_completion"),
        Sft(reasoning="field"),
        Sft(columns=("answer",)),
        TopK(),
        Dpo(),
        Rollouts(),
        Kto(),
        RewardPairs(),
        Rlvr(),
        Rlvr(layout="verl"),
        Dpo(layout="nemo-rl"),
        RewardPairs(layout="axolotl"),
        BestOfN(output="pairs"),
    ],
)
def test_rows_have_the_columns_of_the_schema(formatter: Any) -> None:
    rows = formatter.format(group(1.0, 0.0, None, reasoning="hmm"))
    assert set(rows[0]) == set(formatter.schema.names)
    assert pa.Table.from_pylist(rows, schema=formatter.schema).to_pylist() is not None


@pytest.mark.parametrize("choice", ["inline", "field", "drop"])
@given(
    replies=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from(["", "<think>\na\n</think>\n\n", "<think>b</think>"])
                  .flatmap(lambda thinking: st.sampled_from([f"{thinking}x", f"{thinking}y ", f"{thinking} x"]))),
        min_size=2, max_size=6,
    ),
    field=st.none() | st.just("thought"),
)  # fmt: skip
def test_what_is_written_is_what_is_compared(choice: Any, replies: list[Any], field: str | None) -> None:
    def content(message: dict[str, Any]) -> tuple[Any, ...]:
        return message["content"].strip(), (message.get("reasoning_content") or "").strip()

    made = group(*replies, reasoning=field)
    written = [content(row["messages"][-1]) for row in TopK(k=9, reasoning=choice).format(made)]
    possible = {content(BestOfN(reasoning=choice).assistant(item)) for item, score in made.scored() if score == 1.0}
    assert len(set(written)) == len(written) and set(written) == possible
    pairs = [Dpo(reasoning=choice), BestOfN(reasoning=choice, output="pairs")]
    for row in (row for formatter in pairs for row in formatter.format(made)):
        assert content(row["chosen"][0]) != content(row["rejected"][0])


def calling(*outcomes: tuple[float, str, str]) -> Group:
    """Answers with a score and a text, that call a function with these arguments."""
    made = group(*((score, text) for score, text, _ in outcomes))
    for number, (_, _, arguments) in enumerate(outcomes):
        call = {"id": f"c{number}", "index": 0, "type": "function", "function": {"name": "f", "arguments": arguments}}
        made.attempts[number] = replace(made.attempts[number], tool_calls=json.dumps([call]))
    return made


@pytest.mark.parametrize("choice", ["inline", "field", "drop"])
def test_an_answer_that_is_a_call_is_written_as_one(choice: Any) -> None:
    made = calling((1.0, "", '{"a": 1}'), (1.0, "", '{"a": 1}'), (1.0, "Let me see.", '{"a": 2}'))
    seen = Seen(answers_call=True)
    formatter = TopK(reasoning=choice).fitted(seen, None)
    found = pa.Table.from_pylist(formatter.format(made), schema=formatter.schema).to_pylist()
    last = [row["messages"][-1] for row in found]
    assert [(item["content"], item["tool_calls"][0]["function"]["arguments"]) for item in last] == [
        (None, '{"a": 1}'), ("Let me see.", '{"a": 2}'),
    ]  # fmt: skip
    assert last[0]["tool_calls"] == [
        {"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    pair = Dpo(reasoning=choice).fitted(seen, None)
    assert not pair.format(calling((1.0, "", "{}"), (0.0, "", "{}")))
    assert pair.format(calling((1.0, "", "{}"), (0.0, "", '{"a": 1}')))
    [row] = Rollouts().fitted(seen, None).format(made)
    assert row["prompt"] == [{"role": "user", "content": "Why?"}]
    assert json.loads(row["rollouts"][0]["tool_calls"])[0]["function"]["arguments"] == '{"a": 1}'


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
