"""The contract of the math verifier: golds of every type, statuses, options, and what always holds."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from rsr_cli.plugins import registry
from rsr_cli.verifiers.math_rlvr import MathRlvr

VERIFIER = MathRlvr()


def _score(response: str, gold: Any) -> float | None:
    return VERIFIER.verify(response, {"answer": gold}).score


@pytest.mark.parametrize(
    "gold",
    [18, 18.0, "18", "\\boxed{18}", "9 * 2 = <<9*2=18>>18\n#### 18", ["17", "18"], ("18",), [18], "$18$", "18 dollars",
     "So 9*2 is 18.\nA: 18"],
)  # fmt: skip
def test_a_gold_comes_in_many_types(gold: Any) -> None:
    assert _score("\\boxed{18}", gold) == 1.0
    assert _score("\\boxed{19}", gold) == 0.0


def test_a_gold_may_be_a_truth_value() -> None:
    assert _score("\\boxed{\\text{Yes}}", True) == 1.0
    assert _score("The answer is no.", False) == 1.0
    assert _score("The answer is no.", True) == 0.0


@pytest.mark.parametrize(
    "metadata", [{}, {"answer": None}, {"answer": ""}, {"answer": "  "}, {"answer": []}, {"answer": [None, ""]}]
)
def test_a_missing_gold_is_an_error_and_no_wrong_answer(metadata: dict[str, Any]) -> None:
    verdict = VERIFIER.verify("\\boxed{5}", metadata)
    assert (verdict.score, verdict.status) == (None, "error")
    assert "gold" in (verdict.explanation or "")


def test_the_extracted_answer_is_always_kept() -> None:
    assert VERIFIER.verify("\\boxed{5}", {"answer": "5"}).extracted_answer == "5"
    assert VERIFIER.verify("\\boxed{6}", {"answer": "5"}).extracted_answer == "6"
    assert VERIFIER.verify("\\boxed{9^{9^{9}}}", {"answer": "5"}).extracted_answer == "9^{9^{9}}"
    assert VERIFIER.verify("I do not know", {"answer": "5"}).extracted_answer is None


def test_a_reply_without_an_answer_scores_zero_by_its_own_status() -> None:
    verdict = VERIFIER.verify("I could not finish the computation.", {"answer": "5"})
    assert (verdict.score, verdict.status) == (0.0, "no_answer")


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError):
        MathRlvr(accept_everything=True)  # type: ignore[call-arg]
    assert registry.build("verifier", "math-rlvr", {"accept_rounded": True}).accept_rounded


def test_the_tolerance_is_relative() -> None:
    loose = MathRlvr(tolerance=0.01)
    assert loose.verify("\\boxed{99.5}", {"answer": "100"}).score == 1.0
    assert loose.verify("\\boxed{98}", {"answer": "100"}).score == 0.0


FORMS = [
    lambda value: f"\\frac{{{value.numerator}}}{{{value.denominator}}}",
    lambda value: f"{value.numerator}/{value.denominator}",
    lambda value: f"-\\dfrac{{{-value.numerator}}}{{{value.denominator}}}",
    lambda value: f"\\frac{{{3 * value.numerator}}}{{{3 * value.denominator}}}",
    lambda value: f"x = \\tfrac{{{value.numerator}}}{{{value.denominator}}}",
]
FRAMES = [
    "\\boxed{%s}",
    "The answer is $%s$.",
    "**Answer:** $%s$",
    "#### %s",
    '{"answer": "$%s$"}',
    "答案：$%s$",
    "<answer>%s</answer>",
]
fractions = st.fractions(min_value=-1000, max_value=1000, max_denominator=50)


@given(fractions, st.sampled_from(FORMS), st.sampled_from(FORMS), st.sampled_from(FRAMES))
def test_equal_forms_of_a_fraction_pass(value: Fraction, form: Any, gold_form: Any, frame: str) -> None:
    answer = form(value).replace("\\", "\\\\") if frame.startswith("{") else form(value)
    assert _score(frame.replace("%s", answer), gold_form(value)) == 1.0


@given(fractions, fractions, st.sampled_from(FORMS), st.sampled_from(FORMS), st.sampled_from(FRAMES))
def test_another_fraction_fails(value: Fraction, gold: Fraction, form: Any, gold_form: Any, frame: str) -> None:
    assume(value != gold)
    answer = form(value).replace("\\", "\\\\") if frame.startswith("{") else form(value)
    assert _score(frame.replace("%s", answer), gold_form(gold)) == 0.0


@given(
    st.integers(-(10**12), 10**12),
    st.sampled_from(["{:d}", "{:,d}", "{:d}.0", "\\${:,d}", "{:d} km", "{:d}\\text{{ apples}}", "+{:d}"]),
    st.sampled_from(FRAMES[:4]),
)
def test_equal_forms_of_a_whole_number_pass(number: int, form: str, frame: str) -> None:
    assume(number >= 0 or "+" not in form)
    assert _score(frame.replace("%s", form.format(number)), str(number)) == 1.0
    assert _score(frame.replace("%s", form.format(number)), str(number + 1)) == 0.0


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_a_float_as_printed_equals_itself(number: float) -> None:
    assert _score(f"\\boxed{{{number!r}}}", number) == 1.0
    assert _score(f"\\boxed{{{number!r}}}", number + max(1.0, abs(number) / 100)) == 0.0


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=5, unique=True), st.randoms())
def test_order_counts_in_tuples_and_not_in_sets(numbers: list[int], random: Any) -> None:
    shuffled = numbers.copy()
    random.shuffle(shuffled)
    text, other = ", ".join(map(str, numbers)), ", ".join(map(str, shuffled))
    assert _score(f"\\boxed{{\\{{{other}\\}}}}", f"\\{{{text}\\}}") == 1.0
    assert _score(f"\\boxed{{({other})}}", f"({text})") == float(numbers == shuffled)
    assert _score(f"\\boxed{{{other}, 99}}", f"\\{{{text}\\}}") == 0.0


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.sampled_from(["\\boxed{%d}", "The answer is %d.", "#### %d", '{"answer": %d}']),
)
def test_a_decoy_in_the_thinking_never_counts(decoy: int, answer: int, frame: str) -> None:
    assume(decoy != answer)
    for thinking in (f"<think>{frame % decoy}</think>", f"{frame % decoy}</think>"):
        assert _score(f"{thinking}\n{frame % answer}", decoy) == 0.0
        assert _score(f"{thinking}\n{frame % answer}", answer) == 1.0
        assert _score(thinking, decoy) == 0.0
    assert _score(f"<think>{frame % decoy}", decoy) == 0.0


@given(st.text(max_size=300))
def test_any_text_gets_a_verdict(text: str) -> None:
    verdict = VERIFIER.verify(text, {"answer": "\\pi + 7"})
    assert verdict.score is None or math.isfinite(verdict.score)
