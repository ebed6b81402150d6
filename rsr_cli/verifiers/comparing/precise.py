"""Whether two exact expressions without variables are equal, to far more digits than a float has."""

from __future__ import annotations

from typing import Any

from rsr_cli.verifiers.comparing.evaluation import UnevaluableError
from rsr_cli.verifiers.comparing.expression import Node

_DIGITS = 60
_NOISE_DIGITS = 45
"""What is equal to so many digits is equal."""


def equal(ours: Node, theirs: Node) -> bool:
    """Whether two expressions whose floats agree have the same value. Raises UnevaluableError."""
    import mpmath  # type: ignore[import-untyped]

    with mpmath.workdps(_DIGITS):
        try:
            left, right = _value(ours, mpmath), _value(theirs, mpmath)
            scale = max(abs(left), abs(right))
            apart = abs(left - right)
            # Beside zero nothing is relative: there the digits themselves must vanish.
            least = scale if left != 0 and right != 0 else mpmath.mpf(1)
            return bool(apart <= least * mpmath.mpf(10) ** -_NOISE_DIGITS)
        except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
            raise UnevaluableError(str(error)) from error


def _value(node: Node, mp: Any) -> Any:
    kind = node[0]
    if kind == "number":
        return mp.mpf(node[1].numerator) / node[1].denominator
    if kind == "constant":
        return {"pi": mp.pi, "e": mp.e, "i": mp.mpc(0, 1)}[node[1]] + 0
    if kind == "call":
        return _call(node[1], _value(node[2], mp), mp)
    first = _value(node[1], mp)
    if kind == "negative":
        return -first
    if kind == "factorial":
        return mp.factorial(first)
    if kind == "floor":
        return mp.floor(first)
    if kind == "ceil":
        return mp.ceil(first)
    second = _value(node[2], mp)
    if kind == "sum":
        return first + second
    if kind == "product":
        return first * second
    if kind == "quotient":
        return first / second
    if kind == "root":
        return _root(first, second, mp)
    if kind == "log":
        return mp.log(second) / mp.log(first)
    if kind == "binomial":
        return mp.binomial(first, second)
    return first**second


def _call(name: str, value: Any, mp: Any) -> Any:
    if name in ("ln", "log"):
        return mp.log(value)
    if name == "lg":
        return mp.log10(value)
    if name == "abs":
        return abs(value)
    return getattr(mp, name)(value)


def _root(degree: Any, radicand: Any, mp: Any) -> Any:
    """As in evaluation: the real root of a negative number where the degree is odd."""
    odd = degree == mp.floor(degree) and degree % 2 == 1
    if odd and mp.im(radicand) == 0 and mp.re(radicand) < 0:
        return -mp.root(-mp.re(radicand), int(degree))
    return mp.sqrt(radicand) if degree == 2 else radicand ** (1 / degree)
