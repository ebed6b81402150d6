"""The last tier: Math-Verify on two short answers, with what is known to explode refused before sympy sees it."""

from __future__ import annotations

import logging
import re

MOST_CHARACTERS = 300
MOST_BRACKETS = 24
_TOWER = re.compile(
    r"\^\s*(?:\{[^{}]*|\([^()]*)?\^|\^\s*[{(]?\s*[-+]?\s*\d{4,}|\^\s*\{[^{}]*!|\*\*.*\*\*|10\s*\^\s*[{(]?\s*\d{3,}"
)
_LARGE_FACTORIAL = re.compile(r"\d{4,}\s*!|[)}!]\s*!")
_BIG_OPERATOR = re.compile(r"\\(?:sum|prod|int|iint|oint|lim|bigcup|binom)(?![a-zA-Z])|\\frac\s*\{d\^")
_DEEP = re.compile(r"[({\[]|\\lset")


class TooLargeError(ArithmeticError):
    """The comparison would take too much time or memory; nothing is known about it."""


def equal(answer: str, gold: str) -> bool:
    """What Math-Verify says of two normalised answers. Its own timers are off: the caller must be killable.

    An answer far longer than the gold is not its equal. Raises TooLargeError for what would not end.
    """
    if len(answer) > MOST_CHARACTERS or len(gold) > MOST_CHARACTERS:
        if len(answer) > 4 * len(gold) + MOST_CHARACTERS:
            return False
        raise TooLargeError("the answer is too long to compare")
    for text in (answer, gold):
        if _TOWER.search(text) or _LARGE_FACTORIAL.search(text):
            raise TooLargeError("a power or a factorial is too large to compare")
        if _BIG_OPERATOR.search(text) and re.search(r"\d{4,}|\\infty|\d\s*\^\s*\{?\d", text):
            raise TooLargeError("a sum, a product, an integral or a binomial is too large to compare")
        if len(_DEEP.findall(text)) > MOST_BRACKETS:
            raise TooLargeError("too many brackets to compare")
    return _math_verify(answer, gold)


def warm_up() -> None:
    """Import Math-Verify and compile its patterns, some 0.7 s."""
    _math_verify("x+1", "1+x")


def _math_verify(answer: str, gold: str) -> bool:
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns at each call that its timers are off

    golds, answers = (
        parse(f"\\boxed{{{_as_latex(text)}}}", parsing_timeout=None, raise_on_error=False) for text in (gold, answer)
    )
    return bool(verify(golds, answers, timeout_seconds=None, raise_on_error=False))


def _as_latex(text: str) -> str:
    text = text.replace("\\lset", "\\{").replace("\\rset", "\\}").replace("\\newrow", "\\\\")
    return (
        re.sub(r"\\(begin|end)matrix", r"\\\1{pmatrix}", text)
        .replace("\\asin", "\\arcsin")
        .replace("\\acos", "\\arccos")
        .replace("\\atan", "\\arctan")
    )
