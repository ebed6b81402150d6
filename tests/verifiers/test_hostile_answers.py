"""Answers made to stall, crash or fool a verifier: each gets a verdict soon, none a wrong pass."""

from __future__ import annotations

import time

import pytest

from rsr_cli.verifiers.comparing.symbolic import TooLargeError, equal
from rsr_cli.verifiers.math_rlvr import MathRlvr
from rsr_cli.verifiers.mcq_rlvr import McqRlvr

LIMIT_S = 2.0
"""CPU seconds; a hundred times what these take on an idle machine."""
MATH, MCQ = MathRlvr(), McqRlvr()
MATH.warm_up()

PIECES = [
    "\\boxed{", "\\boxed{}", "\\boxed", "{", "}", "\\{", "(", "[", "$", "$$", "\\[", "\\(", "**", "*", "`", '"', "'",
    "\\", "<", "|", "^", "_", "-", "+", "=", ",", ";", ":", ".", "!",
    "answer", "answer ", "answer:", "The answer is ", "the answer is not ", '"answer": "', '{"answer": ', "#### ",
    "<answer>", "【答案】", "答案是", "故选", "选", "A ", "A, ", "(A) ", "A or ",
    "Question: ", "\nQuestion: ", "\nA: ", "Options:\n", "option ", "\\frac{", "\\frac{1}{", "\\sqrt", "\\sqrt{",
    "\\left(", "\\text{", "\\begin{pmatrix}", "\\begin{matrix}1&", "\\cup", "\\pm", "1", "1,", "1, ", "1 ",
    "1.", "1/", "1/2 ", "x=", "x = 1, ", "9^", "9^{", "9**", "2!", "\\%", "%", "5 cm ", " ", "\n", "\t", "\r\n", "a",
    "A", "é", "中", "\u0300", "\u200b", "\ud800", "ﷺ", "½", "²", "<think>", "</think>",
    "is ", "not ", "and ", "or ", "either ", "therefore, ", "I ", "it is ", "\\cdot ", "twenty ", "million ",
    "the answer that is ", "5, so 6 ", "1:2:", "A and ", "only A ", "guess ", "wait, no, it's 5 ", "<b>", "<|end", "｜",
    "\\newrow ", "{1 \\choose ", "\\begin{cases} ", "0.3333", "\\color{", "not but ", "yes. ", "(mod ", "5 p.m. ",
    "答案 ",
]  # fmt: skip

EXPLOSIVE = [
    "9^{9^{9}}", "9^9^9^9", "9**9**9**9", "2^{10^9}", "10^{10^{10}}", "(10^7)!", "((5!)!)!", "1000000!",
    "\\binom{10^9}{10^8}", "\\sum_{k=1}^{10^9} k", "\\prod_{k=1}^{10^6} k",
    "\\lfloor 9^{9^9} \\rfloor", "\\sin(9^{9^9})", "\\log(9^{9^{9^9}})", "\\gcd(9^{9^9}, 3)", "\\sqrt[7]{8^{8^8}}",
    "e^{e^{e^{e^e}}}", "x^{x^{x^{x^x}}}", "(1+10^{-9})^{10^{12}}", "10^{-10^9}",
    "\\int_0^1 x^{x^x} dx", "\\frac{d^{50}}{dx^{50}} e^{\\sin x}", "9⁹⁹⁹⁹⁹⁹", "5 + 0 \\cdot 9^{9^{9}}",
    "5^{1000000001}", "(x+1)^{100000}", "(1+i)^{10^8}", "\\lim_{x\\to 0} x^{x^{x^x}}",
    "1e999999999", "0x" + "f" * 10_000, "5.0" + "0" * 100_000 + "1", "1" * 100_000, "(" * 60 + "1" + ")" * 60,
    "\\{" * 500 + "1" + "\\}" * 500, "-" * 900 + "6", "\\sqrt" * 150 + "2", "7" + "!" * 300, "|" * 400 + "x",
    "1" + "+1" * 450, "\\frac{1}{1+" * 120 + "1" + "}" * 120, ",".join(map(str, range(5_000))),
    "\\cup".join(f"({i},{i + 1})" for i in range(0, 600, 2)), "x" * 5_000, "\\sin " * 200 + "x",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("frame", ["{}", "\\boxed{{{}}}", "The answer is {}", "{} the answer is 7"])
def test_floods_take_linear_time(piece: str, frame: str) -> None:
    response = frame.format(piece * (20_000 // len(piece)))
    start = time.process_time()
    assert MATH.verify(response, {"answer": "31"}).score != 1.0
    MCQ.verify(response, {"answer": "Z"})
    assert time.process_time() - start < LIMIT_S


@pytest.mark.parametrize("answer", EXPLOSIVE)
@pytest.mark.parametrize("frame", ["\\boxed{{{}}}", "The answer is {}."])
def test_explosive_answers_are_never_accepted(answer: str, frame: str) -> None:
    for gold in ("5", "\\frac{\\pi}{7}", "x + 31"):
        start = time.process_time()
        assert MATH.verify(frame.format(answer), {"answer": gold}).score != 1.0
        assert time.process_time() - start < LIMIT_S


@pytest.mark.parametrize("gold", EXPLOSIVE[:24])
def test_explosive_golds_equal_themselves_and_nothing_else(gold: str) -> None:
    assert MATH.verify(f"\\boxed{{{gold}}}", {"answer": gold}).score == 1.0
    assert MATH.verify("\\boxed{12}", {"answer": gold}).score != 1.0


def test_what_would_explode_is_refused_before_sympy() -> None:
    with pytest.raises(TooLargeError):
        equal("9^{9^{9}}", "5")
    verdict = MATH.verify("\\boxed{9^{9^{9}}}", {"answer": "5"})
    assert (verdict.score, verdict.status) == (None, "error")


@pytest.mark.parametrize(
    "response",
    [
        "\\boxed{().__class__.__bases__}",
        "\\boxed{__import__('os').getpid()}",
        "%n%s%d",
        "{0} {x!r}",
        "\x00\\boxed{6}\x00",
    ],
)
def test_nothing_of_an_answer_is_run(response: str) -> None:
    assert MATH.verify(response, {"answer": "5"}).score == 0.0
