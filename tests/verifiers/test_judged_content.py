"""Replies that say nothing never reach a judge: they are known to win over it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.verifiers.judging.content import has_content
from rsr_cli.verifiers.llm_judge import LlmJudge
from rsr_cli.verifiers.math_llm_as_judge import MathLlmAsJudge
from rsr_cli.verifiers.mcq_llm_as_judge import McqLlmAsJudge
from rsr_cli.verifiers.rubric import Rubric
from tests.server import ModelServer
from tests.verifiers.judging import prompt, says, verdicts

EMPTY = [
    "", " ", ".", ",", ":", "…", "---", "**", "###", "```\n```", "```json\n```", "</s>", "<eos>", "<|im_end|>",
    "[/INST]",
    "<｜end▁of▁sentence｜>", "\u200b\u200b", "\ufeff", "\u2800", "\u3164",
    "Thought process:", "Solution", "Solution:\n\n**Answer:**",
    "Let’s solve this problem step by step.", "Final Answer: \\boxed{}", "The answer is",
    "解", "答案：", "かいせつ", "Respuesta",
    "<think></think>", "Assistant:", "<answer></answer>", "Answer:\u200b</s>",
]  # fmt: skip
SPOKEN = [
    "A",
    "5",
    "No",
    "∞",
    "π",
    "<B>",
    "<42>",
    "答案：B",
    "The answer is 3",
    "क्या",
    "Sure!",
    "$5$",
    "Answer: yes",
    "👍",
]


def test_what_says_nothing() -> None:
    assert [text for text in EMPTY if has_content(text)] == []
    assert [text for text in SPOKEN if not has_content(text)] == []


@given(st.lists(st.sampled_from(EMPTY), max_size=6), st.sampled_from(SPOKEN))
def test_nothing_upon_nothing_is_nothing_and_a_word_in_it_is_something(parts: list[str], word: str) -> None:
    assert not has_content("\n".join(parts))
    assert has_content("\n".join([*parts, word, *parts]))


JUDGES: list[tuple[Any, dict[str, Any]]] = [
    (LlmJudge, {}),
    (LlmJudge, {"mode": "pairwise"}),
    (McqLlmAsJudge, {"when": "always"}),
    (MathLlmAsJudge, {"when": "always"}),
    (Rubric, {}),
]


@pytest.mark.parametrize(("kind", "options"), JUDGES)
async def test_no_judge_is_asked_about_it(kind: Any, options: dict[str, Any], model_server: ModelServer) -> None:
    model_server.scenario.reply = says("never")
    of = prompt(answer="B", options=["3", "4"], reference="A whole reply.", rubric=["It is right."])
    found = await verdicts(kind, model_server.base_url, [text for text in EMPTY if text], of=of, **options)
    assert {(verdict.score, verdict.status) for verdict in found} == {(0.0, "no_answer")}
    assert not model_server.log


async def test_nor_about_a_reference_without_content(model_server: ModelServer) -> None:
    of = prompt(reference="Solution:")
    [verdict] = await verdicts(LlmJudge, model_server.base_url, ["A whole reply."], of=of, mode="pairwise")
    assert (verdict.score, verdict.status) == (None, "error") and not model_server.log


@pytest.mark.parametrize("part", ["<!--", "<|", "\\hspace{", "answer ", ":", "\u200b", "a\u0301", "<"])
def test_a_long_reply_takes_no_longer_than_it_is_long(part: str) -> None:
    """A reply is looked at in rsr's own process, where nothing ends a pattern that is not linear."""
    has_content(part * 200_000)
