"""The thinking is taken off in every form it comes in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.reply import final_reply, split_thinking


@pytest.mark.parametrize(
    ("response", "reply"),
    [
        ("no thinking", "no thinking"),
        ("<think>a</think>b", "b"),
        ("<think>a</think>\n\n b \n", "b"),
        ("a</think>b", "b"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<THINK>a</THINK>b", "b"),
        ("<thinking>a</thinking>b", "b"),
        ("<thought>a</thought>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("◁think▷a◁/think▷b", "b"),
        ("<|begin_of_thought|>a<|end_of_thought|>b", "b"),
        ("<|START_THINKING|>a<|END_THINKING|>b", "b"),
        ("<|begin_of_thought|>a", None),
        ("<think>a</think>", ""),
        ("", ""),
        ("<think>a", None),
        ("<think>a</think>b<think>c", None),
        ("a < b and <thin", "a < b and <thin"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b"),
        ("<|channel|>analysis<|message|>a", None),
        ("<|channel|>analysis<|message|>a<|end|>", None),
        ("<|start|>assistant<|channel|>final <|constrain|>json<|message|>b<|end|>", "b"),
        ("<think duration='3'>a</think >b", "b"),
        ("<think duration='3'>a", None),
        ("<antThinking>a</antThinking>b", "b"),
        ("<inner_monologue>a", None),
        ("analysisLet me see.assistantfinalThe answer is 4.", "The answer is 4."),
    ],
)
def test_the_reply_is_what_follows_the_thinking(response: str, reply: str | None) -> None:
    assert final_reply(response) == reply


@given(st.text(), st.text(alphabet=st.characters(exclude_characters="<[◁")))
def test_nothing_of_a_closed_block_is_left(thinking: str, reply: str) -> None:
    assert final_reply(f"<think>{thinking}</think>{reply}") in (reply.strip(), None)


@pytest.mark.parametrize(
    "hostile",
    ["<think>" * 200_000, "</think>" * 200_000, "<" * 1_000_000, "<|channel|>" * 100_000, "<|channel|>final" * 100_000,
     "<think></think>" * 100_000, "</" * 500_000, "<|channel|>final " + "a" * 1_000_000,
     "<|channel|>" + "a" * 1_000_000, "<|channel|>" * 48_000,
     ("<|channel|>" + " " * 50) * 40_000, ("<|channel|>" + "a" * 60) * 20_000, "<|channel|>final<|message|>" * 60_000,
     "<|channel|>final<|constrain|>" * 60_000, "analysisA" + "assistantfinal" * 80_000,
     "<think><think></think>" * 60_000,
     "<think " * 200_000, "◁think▷" * 100_000, "[THINK]" * 100_000],
)  # fmt: skip
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    start = time.process_time()
    final_reply(hostile)
    split_thinking(hostile)
    assert time.process_time() - start < 2
