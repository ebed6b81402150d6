"""The value of an expression, exact where it is rational, and whether two expressions agree at several points."""

from __future__ import annotations

import cmath
import math
import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction

from rsr_cli.verifiers.comparing.expression import Node, contains

Value = Fraction | complex

FLOAT_NOISE = 1e-9
"""Relative: two ways to compute one value in floating point, or the digits that a float prints."""
POINTS = 4
POSITIVE_POINTS = 2
MOST_BITS = 40_000
"""The largest exact number; beyond it evaluation is refused, so that no tower of powers is ever computed."""

_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "asin": cmath.asin, "acos": cmath.acos, "atan": cmath.atan,
    "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "exp": cmath.exp, "ln": cmath.log,
    "cot": lambda x: 1 / cmath.tan(x), "sec": lambda x: 1 / cmath.cos(x), "csc": lambda x: 1 / cmath.sin(x),
    "abs": abs, "log": cmath.log, "lg": cmath.log10,
}  # fmt: skip


class UnevaluableError(ArithmeticError):
    """The expression has no value at this point, or one too large to compute."""


def agree(ours: Node, theirs: Node, tolerance: float, *, exact: bool = False) -> bool:
    """Whether two expressions have the same value wherever both have one. Raises UnevaluableError where none has.

    `exact` is for two without decimals: rational values are compared exactly, and of others a float is not the last
    word.
    """
    names = names_in(ours) | names_in(theirs)
    whole = bool(names) and (contains(ours, _COUNTING) or contains(theirs, _COUNTING))
    compared = 0
    for number in range(POINTS if names else 1):
        values = point(names, number, whole=whole)
        try:
            left, right = evaluate(ours, values), evaluate(theirs, values)
        except UnevaluableError:
            continue
        if number >= POSITIVE_POINTS and not (_is_real(left) and _is_real(right)):
            continue  # a root or a logarithm of a negative number: which branch is meant is not said
        rational = isinstance(left, Fraction) and isinstance(right, Fraction)
        if exact and rational:
            if left != right:
                return False
        elif not close(left, right, tolerance, tiny=exact) or (exact and not names and not precise_equal(ours, theirs)):
            return False
        compared += 1
    if not compared:
        raise UnevaluableError("no value at any point")
    return True


def proportional(ours: Node, theirs: Node) -> bool:
    """Whether one expression is a multiple of the other: as left minus right, two equations are one."""
    names = names_in(ours) | names_in(theirs)
    ratios: list[complex] = []
    for number in range(POINTS):
        values = point(names, number)
        try:
            left, right = evaluate(ours, values), evaluate(theirs, values)
            if right == 0 or left == 0:
                return False
            ratios.append(complex(left / right))
        except (UnevaluableError, OverflowError):
            continue
    return len(ratios) > 1 and all(close(ratio, ratios[0], FLOAT_NOISE) for ratio in ratios)


def precise_equal(ours: Node, theirs: Node) -> bool:
    from rsr_cli.verifiers.comparing import precise

    return precise.equal(ours, theirs)


def close(left: Value, right: Value, tolerance: float, *, tiny: bool = False) -> bool:
    """Equal up to a relative tolerance; two whole numbers are equal or not, unless the tolerance is a user's own.

    `tiny` values differ only relatively, as e^{-40} and e^{-50} do.
    """
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        if left == right:
            return True
        if left.denominator == right.denominator == 1 and tolerance <= FLOAT_NOISE:
            return False
        return abs(left - right) <= Fraction(tolerance) * max(abs(left), abs(right))
    try:
        left, right = complex(left), complex(right)
    except OverflowError:
        return False
    apart = abs(left - right)
    return apart <= max(tolerance, FLOAT_NOISE) * max(abs(left), abs(right)) or (
        apart < 1e-14 and (not tiny or _rounding(left, right))
    )


def _rounding(left: complex, right: complex) -> bool:
    """Whether one of two values near zero may be what is left of rounding: then their digits must be looked at."""
    return min(abs(left), abs(right)) < 1e-14


def _is_real(value: Value) -> bool:
    return isinstance(value, Fraction) or abs(value.imag) <= FLOAT_NOISE * max(1.0, abs(value))


def names_in(node: Node) -> frozenset[str]:
    """The free variables of a tree."""
    names: set[str] = set()
    waiting = [node]
    while waiting:
        kind, *parts = waiting.pop()
        if kind == "name":
            names.add(parts[0])
        else:
            waiting.extend(part for part in parts if isinstance(part, tuple))
    return frozenset(names)


_COUNTING = frozenset(["factorial", "binomial"])
"""Operations that have values at whole numbers only."""


def point(names: frozenset[str], number: int, *, whole: bool = False) -> dict[str, Value]:
    """Values for the variables, other ones for each `number`: positive ones first, then of either sign."""
    result: dict[str, Value] = {}
    for name in names:
        noise = zlib.crc32(f"{name}#{number}".encode())
        if whole:
            result[name] = Fraction(noise % 11 + 8)
            continue
        value = Fraction(noise % 97 + 11, 41)
        result[name] = -value if number >= POSITIVE_POINTS and noise >> 16 & 1 else value
    return result


def evaluate(node: Node, names: Mapping[str, Value]) -> Value:
    """The value of a tree, exact where it is rational. Raises UnevaluableError."""
    try:
        return _evaluate(node, names)
    except (OverflowError, ZeroDivisionError, ValueError, RecursionError) as error:
        raise UnevaluableError(str(error)) from error


def _evaluate(node: Node, names: Mapping[str, Value]) -> Value:
    kind = node[0]
    if kind == "number":
        return node[1]  # type: ignore[no-any-return]
    if kind == "name":
        return names[node[1]]
    if kind == "constant":
        return {"pi": complex(math.pi), "e": complex(math.e), "i": 1j}[node[1]]
    if kind == "call":
        return _FUNCTIONS[node[1]](complex(_evaluate(node[2], names)))
    first = _evaluate(node[1], names)
    if kind == "negative":
        return -first
    if kind == "factorial":
        return Fraction(math.factorial(_small_count(first)))
    if kind == "floor":
        return Fraction(math.floor(_real(first)))
    if kind == "ceil":
        return Fraction(math.ceil(_real(first)))
    second = _evaluate(node[2], names)
    if kind == "sum":
        return _bounded(first + second)
    if kind == "product":
        return _bounded(first * second)
    if kind == "quotient":
        return _bounded(first / second)
    if kind == "root":
        return _root(first, second)
    if kind == "log":
        return cmath.log(complex(second)) / cmath.log(complex(first))
    if kind == "binomial":
        return Fraction(math.comb(_small_count(first), _small_count(second)))
    return _power(first, second)


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent.numerator)
        if bits <= MOST_BITS or base in (0, 1, -1):
            return base ** int(exponent)
    result = complex(base) ** complex(exponent)
    if result == 0 and base != 0:
        raise UnevaluableError("underflow")
    return result


def _root(degree: Value, radicand: Value) -> Value:
    """The real root of a negative number where the degree is odd, else the principal one."""
    number = complex(radicand)
    if isinstance(degree, Fraction) and degree.denominator == 1 and degree % 2 == 1 and number.imag == 0:
        return complex(math.copysign(abs(number.real) ** (1 / int(degree)), number.real))
    if degree == 2:
        return cmath.sqrt(number)
    return _power(number, 1 / degree)


def _bounded(value: Value) -> Value:
    if isinstance(value, Fraction) and value.numerator.bit_length() + value.denominator.bit_length() > 4 * MOST_BITS:
        raise UnevaluableError("too large")
    return value


def _real(value: Value) -> Fraction | float:
    if isinstance(value, Fraction):
        return value
    if abs(value.imag) > 1e-9 or abs(value.real) > 1e15:
        raise UnevaluableError("no real number of a fair size")
    return value.real


def _small_count(value: Value) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= 1_000:
        raise UnevaluableError("no small whole number")
    return int(value)
