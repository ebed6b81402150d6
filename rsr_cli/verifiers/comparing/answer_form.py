"""The shape of a normalised answer: a number, a list, a set, a tuple, an interval, a matrix, an equation, a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rsr_cli.verifiers.comparing.brackets import balanced, split_top
from rsr_cli.verifiers.comparing.expression import FUNCTIONS
from rsr_cli.verifiers.comparing.quantities import (
    NO_UNIT,
    Quantity,
    read_chinese_number,
    read_duration,
    read_number_words,
    read_quantity,
    without_unit,
)

MOST_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Number:
    """A plain number with its unit."""

    text: str
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class Expression:
    """A closed form with its unit, or whatever else has no other shape."""

    text: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """Several answers: `list` and `set` have no order, `tuple` and `ratio` do."""

    kind: Literal["list", "set", "tuple", "ratio"]
    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """`ends` are "[" or "(" and "]" or ")"; (2, 5) is a pair of numbers just as well."""

    ends: str
    low: Form
    high: Form


@dataclass(frozen=True, slots=True)
class Union:
    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple[Form, ...], ...]


@dataclass(frozen=True, slots=True)
class Piecewise:
    """Values and the conditions under which they hold."""

    rows: tuple[tuple[Form, Form], ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """`sides` in order; the last one may be no more than a rounding of the one before."""

    sides: tuple[str, ...]
    approximate: bool = False

    @property
    def right(self) -> str:
        return self.sides[-1]


@dataclass(frozen=True, slots=True)
class InBase:
    """Digits with the base that a subscript names."""

    digits: str
    base: str


Form = Number | Expression | Text | Items | Interval | Union | Matrix | Piecewise | Equation | InBase

_CLOSERS = (")", "]", "}")
_RELATIONS = {"=", "<", ">", "\\le", "\\ge", "\\ne", "\\approx", "\\in", "\\equiv"}
_NAME = re.compile(
    r"\s*(?:\\?[a-zA-Z]+\s*(?:_\s*(?:\{[^{}]*\}|\w))?'*\s*(?:\([^()=]*\))?(?:\^\s*\{?\s*-1\s*\}?\s*\([a-z]\))?"
    r"|\|[^|]*\||\\angle [a-zA-Z ]+|\\frac\s*\{[a-zA-Z ]+\}\s*\{[a-zA-Z ]+\}"
    r"|\([a-zA-Z](?:_\w)?(?:\s*,\s*[a-zA-Z](?:_\w)?)*\)"
    r"|[A-Z]{2,}\s*/\s*[A-Z]{2,}|[\w{} ]+:[\w{} ]+|[A-Za-z][A-Za-z ]*)\s*"
)
_BASE_WORDS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
               "ten": "10", "sixteen": "16", "twelve": "12"}  # fmt: skip
_BASE = re.compile(
    r"\(?\s*(-?\s*[0-9A-F][0-9A-F ]*)\s*\)?\s*(?:_\s*(?:\{\s*\(?\s*(\w+)\s*\)?\s*\}|(\d+))"
    r"|,?\s*\(?\s*(?:in\s+)?base[ -]?\s*(\w+)\s*\)?)"
)
_OUTWARD = re.compile(r"(?=\]|.*\[$)([\[\]])\s*([^\[\],;]+)[,;]([^\[\],;]+)([\[\]])")
_UNIT_VECTOR = re.compile(r"\\(?:hat|vec|mathbf|widehat)\s*\{?\s*\\?[ij]")
_VECTOR_TERM = re.compile(
    r"([-+]?)((?:\d+(?:\.\d+)?|\\frac\{[^{}]*\}\{[^{}]*\}|\\sqrt\{[^{}]*\}|\d+/\d+)*\*?)"
    r"\\(?:hat|vec|mathbf|widehat)\{?\\?([ijk])(?:math)?\}?"
)
_PREFIXED = re.compile(r"(-?)0([bxo])([0-9a-fA-F]+)")
_PREFIX_BASES = {"b": "2", "x": "16", "o": "8"}
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*(?::|to)\s*\d+(?:\.\d+)?){1,3}")
_DAYTIME = re.compile(r"(\d{1,2}:\d{2})\s*(?:[aApP]\.?\s?[mM]\.?)")
_CONDITION = re.compile(r"\s*[a-z]\s*(?:\\in\s*\\reals\s*)?(?:\||:)\s*")
_CALCULATION = re.compile(r"=|\d\s*[-+*/]\s*[\d(]")
_THOUSANDS = re.compile(r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_WITH_UNIT = re.compile(
    r"(.*(?:[\d})!%]|\\pi))\s*((?:of |square |cubic |sq\.? )?[a-zA-Z]{3,}(?:[ /][a-zA-Z]+){0,3})"
    r"(?:\s*\^\s*\{?\s*[23]\s*\}?)?\.?"
)
_PROSE_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_NO_PROSE = FUNCTIONS | {"sqrt", "arcsin", "arccos", "arctan", "pmod", "mod", "inf"}


@lru_cache(maxsize=4096)
def read_form(text: str) -> Form:
    """The shape of a normalised answer. Never raises; what is not understood is an Expression or a Text."""
    return _read(text, 0)


def is_name(text: str) -> bool:
    """Whether a left side only names what the right side is: x, f(x), AB, \\angle ABC, (p,q), V_1:V_2."""
    return bool(_NAME.fullmatch(text))


def expand_signs(text: str) -> list[str]:
    """The two readings of an expression with \\pm, or the one of any other."""
    if "\\pm" not in text and "\\mp" not in text:
        return [text]
    upper = text.replace("\\pm", "+").replace("\\mp", "-")
    lower = text.replace("\\pm", "-").replace("\\mp", "+")
    return [upper.strip().removeprefix("+").strip(), lower.strip()]


def _read(text: str, depth: int) -> Form:
    text = text.lstrip(" ,;$").rstrip(" .,;$")
    if quantity := read_quantity(text):
        return Number(text, quantity)
    if depth > 12 or len(text) > 20_000:
        return Expression(text)
    if text == "\\reals":
        return REALS
    if time := _DAYTIME.fullmatch(text):
        text = time[1]
    if _RATIO.fullmatch(text):
        return Items("ratio", tuple(_read(part, depth + 1) for part in re.split(r":|to", text)))
    if _CALCULATION.search(text):
        text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    if outward := _OUTWARD.fullmatch(text):
        ends = ("[" if outward[1] == "[" else "(") + ("]" if outward[4] == "]" else ")")
        return Interval(ends, _read(outward[2], depth + 1), _read(outward[3], depth + 1))
    if (vector := _unit_vectors(text)) is not None:
        return vector
    if base := _BASE.fullmatch(text):
        name = base[2] or base[3] or base[4]
        return InBase(base[1].replace(" ", ""), _BASE_WORDS.get(name.lower(), name))
    if prefixed := _PREFIXED.fullmatch(text):
        return InBase(prefixed[1] + prefixed[3].upper(), _PREFIX_BASES[prefixed[2]])
    if (words := read_number_words(text)) is not None:
        return Number(text, words)
    if duration := read_duration(text):
        return Number(text, duration)
    if not text.isascii() and (chinese := read_chinese_number(text)):
        return Number(text, chinese)
    for read in (_read_piecewise, _read_list, _read_union, _read_relation, _read_bracketed, _read_matrix):
        form = read(text, depth)
        if form is not None:
            return form
    if len(signs := expand_signs(text)) > 1:
        return Items("list", tuple(_read(sign, depth + 1) for sign in signs))
    if not _is_prose(text):
        bare = without_unit(text)
        return Expression(bare, text[len(bare) :].strip())
    measured = _WITH_UNIT.fullmatch(text)
    if measured and not _is_prose(measured[1]) and not NO_UNIT.search(measured[2]):
        return Expression(measured[1], text[measured.end(1) :].strip())
    return Text(text)


def _unit_vectors(text: str) -> Form | None:
    """\\hat{i} + 2\\hat{j} as the tuple of its coefficients."""
    if not _UNIT_VECTOR.search(text):
        return None
    parts: dict[str, str] = {}
    for sign, factor, name in _VECTOR_TERM.findall(text.replace(" ", "")):
        parts[name] = f"{sign}{factor.rstrip('*') or '1'}"
    if _VECTOR_TERM.sub("", text.replace(" ", "")) or not parts:
        return None
    names = "ijk" if "k" in parts else "ij"
    return Items("tuple", tuple(_read(parts.get(name, "0").removeprefix("+"), 1) for name in names))


def _read_piecewise(text: str, depth: int) -> Form | None:
    if "\\begincases" not in text:
        return None
    at = text.index("\\begincases")
    before = text[:at].strip()
    if not text.endswith("\\endcases") or text.count("\\begincases") > 1 or (before and not before.endswith("=")):
        return None
    rows = []
    for row in text[at:].removeprefix("\\begincases").removesuffix("\\endcases").split("\\newrow")[:MOST_ITEMS]:
        if row.strip():
            value, _, condition = row.partition("&")
            condition = re.sub(r"^\s*,?\s*(?:if|when|for|as|where|provided)\b|\bif\b", " ", condition).strip(" ,.;")
            condition = "otherwise" if condition in ("else", "elsewhere", "otherwise") else condition
            rows.append((_read(value, depth + 1), _read(condition, depth + 1)))
    return Piecewise(tuple(rows))


def _is_prose(text: str) -> bool:
    return any(word.lower() not in _NO_PROSE for word in _PROSE_WORD.findall(text))


def _read_list(text: str, depth: int) -> Form | None:
    parts, found = split_top(text, frozenset([";"]))
    if not found:
        parts, found = split_top(text, frozenset([",", "and", "or", "或", "和", "与", "及"]))
        if not found:
            return None
    parts = [part for part in parts if part]
    if len(parts) < 2 or len(parts) > MOST_ITEMS:
        return _read(parts[0], depth + 1) if parts and len(parts[0]) < len(text) else None
    forms = [_read(part, depth + 1) for part in parts]
    if any(isinstance(form, Text) for form in forms) and not all(isinstance(form, Text) for form in forms):
        return Text(text)
    if all(isinstance(form, Interval) for form in forms) and _read_relation(parts[0], depth):
        return Union(tuple(forms)) if "or" in found or "或" in found else _intersection(forms)
    if ";" in found and all(isinstance(form, Items) and form.kind == "list" for form in forms):
        return Items("list", tuple(Items("tuple", form.items) for form in forms if isinstance(form, Items)))
    return Items("list", _flat(forms))


def as_list(form: Number) -> Items | None:
    """The other reading of digits with commas: 6,8 as two numbers."""
    if "," not in form.text:
        return None
    return Items("list", tuple(_read(part, 1) for part in form.text.split(",")))


def _flat(forms: list[Form]) -> tuple[Form, ...]:
    """The items of a list, with 1 \\pm 2 as two of them."""
    result: list[Form] = []
    for form in forms:
        result.extend(form.items if isinstance(form, Items) and form.kind == "list" else [form])
    return tuple(result)


def _intersection(forms: list[Form]) -> Form:
    """x > 2 and x < 5 is one interval."""
    if len(forms) == 2 and isinstance(forms[0], Interval) and isinstance(forms[1], Interval):
        first, second = sorted((forms[0], forms[1]), key=lambda form: form.low == LOWEST)
        if second.low == LOWEST and first.high == HIGHEST:
            return Interval(first.ends[0] + second.ends[1], first.low, second.high)
    return Items("list", tuple(forms))


def _read_union(text: str, depth: int) -> Form | None:
    whole, taken = split_top(text, frozenset(["\\setminus", "\\backslash"]))
    if len(taken) == 1:
        return _without(_read(whole[0], depth + 1), _read(whole[1], depth + 1))
    parts, found = split_top(text, frozenset(["\\cup"]))
    if not found or len(parts) > MOST_ITEMS:
        return None
    if (name := re.match(r"^\s*[a-zA-Z]\s*\\in ", parts[0])) is not None:
        parts[0] = parts[0][name.end() :]
    return Union(tuple(_read(part, depth + 1) for part in parts))


def _without(whole: Form, points: Form) -> Form | None:
    """An interval, or all real numbers, without the points of a set, as the union of what is left."""
    taken = [point for point in points.items if isinstance(point, Number)] if isinstance(points, Items) else []
    if not isinstance(whole, Interval) or not isinstance(points, Items) or len(taken) != len(points.items):
        return None
    cuts = sorted(taken, key=lambda point: point.quantity.value)
    lows, highs = [whole.low, *cuts], [*cuts, whole.high]
    ends = [whole.ends[0] + ")", *["()"] * (len(cuts) - 1), "(" + whole.ends[1]] if cuts else [whole.ends]
    return Union(tuple(Interval(end, low, high) for end, low, high in zip(ends, lows, highs, strict=True)))


LOWEST: Form = Expression("-\\infty")
HIGHEST: Form = Expression("\\infty")
REALS: Form = Interval("()", LOWEST, HIGHEST)
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}


def _read_relation(text: str, depth: int) -> Form | None:
    text = text.replace("<=", "\\le ").replace(">=", "\\ge ").replace("!=", "\\ne ")
    sides, found = split_top(text, frozenset(_RELATIONS))
    if not found:
        return None
    if not sides[0] and found == ["="]:
        return _read(sides[1], depth + 1)
    if not sides[0] and len(found) == 1 and found[0] in _FLIPPED:
        sides[0] = "x"
    if not all(sides):
        return None
    if found == ["\\ne"] and is_name(sides[0]):
        return _without(REALS, Items("set", (_read(sides[1], depth + 1),)))
    if found == ["\\in"]:
        return _read(sides[1], depth + 1) if is_name(sides[0]) else None
    if all(relation in ("=", "\\approx", "\\equiv") for relation in found):
        return Equation(tuple(sides), approximate=found[-1] == "\\approx")
    if not all(relation in _FLIPPED for relation in found):
        return None
    if len(found) == 2 and _direction(found[0]) == _direction(found[1]) and is_name(sides[1]):
        if _direction(found[0]) == ">":
            sides, found = sides[::-1], [_FLIPPED[relation] for relation in found[::-1]]
        ends = ("[" if found[0] == "\\le" else "(") + ("]" if found[1] == "\\le" else ")")
        return Interval(ends, _read(sides[0], depth + 1), _read(sides[2], depth + 1))
    if len(found) == 1:
        return _half_line(sides, found[0], depth)
    return None


def _direction(relation: str) -> str:
    return "<" if relation in ("<", "\\le") else ">"


def _half_line(sides: list[str], relation: str, depth: int) -> Form | None:
    """x > 5, 5 < x and -x < -5 as an interval to infinity."""
    if not is_name(sides[0]) and re.fullmatch(r"-\s*[a-zA-Z]", sides[0]):
        sides, relation = [sides[0].replace("-", "").strip(), f"-({sides[1]})"], _FLIPPED[relation]
    elif is_name(sides[1]) and not is_name(sides[0]):
        sides, relation = sides[::-1], _FLIPPED[relation]
    if not is_name(sides[0]):
        return None
    bound = _read(sides[1], depth + 1)
    if _direction(relation) == "<":
        return Interval("(" + ("]" if relation == "\\le" else ")"), LOWEST, bound)
    return Interval(("[" if relation == "\\ge" else "(") + ")", bound, HIGHEST)


def _read_bracketed(text: str, depth: int) -> Form | None:
    opening = next((bracket for bracket in ("\\lset", "{", "(", "[") if text.startswith(bracket)), "")
    closing = "\\rset" if text.endswith("\\rset") else text[-1:]
    if not opening or (closing not in _CLOSERS and closing != "\\rset"):
        return None
    inside = text[len(opening) : -len(closing)]
    if not balanced(inside):
        return None
    parts, found = split_top(inside, frozenset([",", ";"]))
    if opening in ("{", "\\lset"):
        if closing not in ("}", "\\rset"):
            return None
        if (condition := _CONDITION.match(inside)) and not isinstance(
            form := _read(inside[condition.end() :], depth + 1), Text
        ):
            return form
        if not found and opening != "\\lset":
            return _read(inside, depth + 1)
        return Items("set", _flat([_read(part, depth + 1) for part in parts if part]))
    if closing not in ")]":
        return None
    if not found:
        return _read(inside, depth + 1) if opening + closing in ("()", "[]") else None
    if len(parts) > MOST_ITEMS or not all(parts):
        return None
    forms = [_read(part, depth + 1) for part in parts]
    if len(forms) == 2:
        return Interval(opening + closing, forms[0], forms[1])
    return Items("tuple", tuple(forms))


def _read_matrix(text: str, depth: int) -> Form | None:
    if not (text.startswith("\\beginmatrix") and text.endswith("\\endmatrix")) or text.count("\\beginmatrix") > 1:
        return None
    body = text.removeprefix("\\beginmatrix").removesuffix("\\endmatrix").strip().removesuffix("\\newrow").strip()
    rows = [row.split("&") for row in body.split("\\newrow")]
    if sum(map(len, rows)) > 10 * MOST_ITEMS:
        return None
    return Matrix(tuple(tuple(_read(cell, depth + 1) for cell in row) for row in rows))
