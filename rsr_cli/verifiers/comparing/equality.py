"""Whether an answer equals the gold: spelling first, then number, shape and value, then Math-Verify for the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

from rsr_cli.verifiers.comparing import symbolic
from rsr_cli.verifiers.comparing.answer_form import (
    Equation,
    Expression,
    Form,
    InBase,
    Interval,
    Items,
    Matrix,
    Number,
    Piecewise,
    Text,
    Union,
    as_list,
    is_name,
    read_form,
)
from rsr_cli.verifiers.comparing.beside import pairs, same_date, same_time
from rsr_cli.verifiers.comparing.evaluation import (
    FLOAT_NOISE,
    UnevaluableError,
    agree,
    close,
    evaluate,
    names_in,
    proportional,
)
from rsr_cli.verifiers.comparing.expression import Node, UnreadableError, parse
from rsr_cli.verifiers.comparing.latex import normalise, squeezed
from rsr_cli.verifiers.comparing.quantities import Quantity
from rsr_cli.verifiers.comparing.sentences import says
from rsr_cli.verifiers.comparing.units import comparable, is_counted, measure

_FILLERS = re.compile(r"^\s*(?:(?:on|in|at|by|the|an?|option|point|it is|there (?:is|are))\s+)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How numbers are compared. `rounded` lets a value stand for another that rounds to the digits it states."""

    rounded: bool = False
    tolerance: float = FLOAT_NOISE

    def equal(self, answer: str, gold: str) -> bool:
        """Whether two answers, as written, are equal. Raises symbolic.TooLargeError where that can't be computed."""
        answer, gold = normalise(answer), normalise(gold)
        if not answer or not gold:
            return False
        if squeezed(answer) == squeezed(gold):
            return True
        if (same := same_time(answer, gold)) is not None:
            return same
        if (same := same_date(answer, gold)) is not None:
            return same
        return any(self._same(read_form(ours), read_form(theirs)) for ours, theirs in pairs(answer, gold))

    def explain(self, answer: str, gold: str) -> dict[str, Any]:
        """How two answers are read, and whether they are equal, as plain data; None where that can't be computed."""
        try:
            equal: bool | None = self.equal(answer, gold)
        except symbolic.TooLargeError:
            equal = None
        ours, theirs = (type(read_form(normalise(text))).__name__.lower() for text in (answer, gold))
        return {"read_as": ours, "gold_read_as": theirs, "equal": equal}

    def _same(self, answer: Form, gold: Form) -> bool:
        if answer == gold:
            return True
        if isinstance(answer, Equation) or isinstance(gold, Equation):
            return self._same_equation(answer, gold)
        if isinstance(answer, Items) and len(answer.items) == 1:
            return self._same(answer.items[0], gold)
        if isinstance(gold, Items) and len(gold.items) == 1:
            return self._same(answer, gold.items[0])
        match answer, gold:
            case Number(), Number():
                return self._same_quantity(answer.quantity, gold.quantity)
            case InBase(), InBase():
                return answer == gold
            case Number(), InBase():
                return _digits(answer.text) == _digits(gold.digits)
            case InBase(), Number():
                return _digits(answer.digits) == _digits(gold.text)
            case Piecewise(), Piecewise():
                return self._same_pieces(answer, gold)
            case Matrix(), Matrix():
                return self._same_rows(answer, gold)
            case Matrix(), (Items() | Interval()):
                return _is_vector(answer) and self._same_items(_vector(answer), gold)
            case ((Items() | Interval()), Matrix()):
                return _is_vector(gold) and self._same_items(answer, _vector(gold))
            case Union(), _:
                return self._same_set(answer.parts, gold.parts if isinstance(gold, Union) else (gold,))
            case _, Union():
                return self._same_set((answer,), gold.parts)
            case Interval(), Interval():
                return (
                    answer.ends == gold.ends and self._same(answer.low, gold.low) and self._same(answer.high, gold.high)
                )
            case Items(), Items() if answer.kind == gold.kind == "ratio":
                return self._same_ratio(answer.items, gold.items)
            case Number(), Items() if gold.kind != "ratio" and (listed := as_list(answer)):
                return self._same_items(listed, gold)
            case Items(), Number() if answer.kind != "ratio" and (listed := as_list(gold)):
                return self._same_items(answer, listed)
            case Items(), (Number() | Expression()) if answer.kind == "ratio":
                return self._same(_ratio_value(answer), gold)
            case ((Number() | Expression()), Items()) if gold.kind == "ratio":
                return self._same(answer, _ratio_value(gold))
            case Items(), (Number() | Expression()) if answer.kind == "list":
                return all(self._same(item, gold) for item in answer.items)  # 7/2 or 3.5
            case ((Items() | Interval()), (Items() | Interval())):
                return self._same_items(answer, gold)
            case Text(), Text():
                return self._same_text(answer.text, gold) or says(answer.text, gold.text)
            case Text(), _:
                return self._same_text(answer.text, gold)
            case _, Text():
                return _letters(_text_of(answer)) == _letters(gold.text) != ""
        return self._same_value(answer, gold)

    def _same_equation(self, answer: Form, gold: Form) -> bool:
        if isinstance(answer, Equation) and isinstance(gold, Equation):
            if is_name(answer.sides[0]) and is_name(gold.sides[0]) and len(answer.sides) == len(gold.sides) == 2:
                if squeezed(answer.sides[0]) != squeezed(gold.sides[0]) and _swapped(answer, gold):
                    return self._same_relation(answer, gold)
                return self._same(read_form(answer.right), read_form(gold.right)) or self._same_relation(answer, gold)
            return self._same_relation(answer, gold) or self._same_chain(answer, gold)
        if isinstance(answer, Equation):
            if not is_name(answer.sides[0]) and _is_words(answer.sides[0]):
                return False
            stated = answer.sides[-2:] if answer.approximate and self._near(*answer.sides[-2:]) else answer.sides[-1:]
            return any(self._same(read_form(side), gold) for side in stated)
        assert isinstance(gold, Equation)
        return is_name(gold.sides[0]) and self._same(answer, read_form(gold.right))

    def _near(self, value: str, rounding: str) -> bool:
        """Whether the one may be a rounding of the other, as far as both can be read."""
        try:
            left, right = evaluate(parse(value), {}), evaluate(parse(rounding), {})
        except (UnreadableError, UnevaluableError, KeyError):
            return True
        return close(left, right, 0.05)

    def _same_chain(self, answer: Equation, gold: Equation) -> bool:
        """2^5 = 32 for x = 32: the last side counts where all before it are names or equal to it."""
        return (
            is_name(gold.sides[0])
            and len(answer.sides) != 2
            and self._same(read_form(answer.right), read_form(gold.right))
        )

    def _same_relation(self, answer: Equation, gold: Equation) -> bool:
        """Two equations are one where left minus right of the one is a multiple of the other."""
        if len(answer.sides) != 2 or len(gold.sides) != 2:
            return False
        try:
            ours, theirs = (parse(f"({sides[0]}) - ({sides[1]})") for sides in (answer.sides, gold.sides))
        except UnreadableError:
            return symbolic.equal(" = ".join(answer.sides), " = ".join(gold.sides))
        return proportional(ours, theirs)

    def _same_quantity(self, answer: Quantity, gold: Quantity) -> bool:
        if answer.decimal_comma and gold.digits == 0:
            return False  # "2,6" for 26 or 2
        ours_unit, theirs_unit = measure(answer.unit), measure(gold.unit)
        if ours_unit and theirs_unit and ours_unit != theirs_unit:
            # Both say their unit: 5 km is 5000 m, and not 5 m. A unit that is left out is style.
            scaled = ours_unit.base(answer.value), theirs_unit.base(gold.value)
            return comparable(ours_unit, theirs_unit) and close(*scaled, max(self.tolerance, _UNIT_NOISE))
        if ours_unit is None and theirs_unit and is_counted(answer.unit):
            return False  # 4000 bananas for 4000 ml
        if answer.percent and gold.percent:
            return self._same_number(answer, answer.value, gold, gold.value)
        if answer.percent and abs(gold.value) < 1:
            return self._same_number(answer, answer.value / 100, gold, gold.value)  # 0.5 is a share, 0.5% is not
        return any(
            self._same_number(answer, ours, gold, theirs) for ours in answer.values() for theirs in gold.values()
        )

    def _same_number(self, answer: Quantity, ours: Fraction, gold: Quantity, theirs: Fraction) -> bool:
        if ours == theirs:
            return True
        if self.rounded and self._rounds(answer, ours, theirs):
            return True
        return close(ours, theirs, self.tolerance)

    def _rounds(self, answer: Quantity, ours: Fraction, theirs: Fraction) -> bool:
        """Whether the answer is the gold rounded to the digits it states, three significant ones at least."""
        if answer.digits == 0 or answer.significant < 3:
            return False
        return abs(ours - theirs) <= Fraction(1, 2 * 10**answer.digits)

    def _same_ratio(self, answer: Sequence[Form], gold: Sequence[Form]) -> bool:
        ours, theirs = _numbers(answer), _numbers(gold)
        if ours is None or theirs is None or len(ours) != len(theirs):
            return False
        if 0 in ours or 0 in theirs:  # 12:00 is a time
            return ours == theirs
        return all(a * theirs[0] == b * ours[0] for a, b in zip(ours, theirs, strict=True))

    def _same_items(self, answer: Items | Interval, gold: Items | Interval) -> bool:
        """Order counts where both have one; a bracket that the other leaves out is style."""
        ours, theirs = _parts(answer), _parts(gold)
        if isinstance(answer, Interval) and isinstance(gold, Items) and gold.kind == "set":
            return answer.ends == "()" and self._same_set(ours, theirs)
        ours_named, theirs_named = _by_name(ours), _by_name(theirs)
        if ours_named and _is_tuple(gold) and len(ours) > 1:
            return self._same_by_name(ours_named, theirs)
        ordered = _ordered(answer) or _ordered(gold)
        if ordered and (_ordered(gold) or isinstance(gold, Interval)):
            pairs = len(ours) == len(theirs) and all(self._same(a, b) for a, b in zip(ours, theirs, strict=True))
            return pairs and "[" not in _ends(answer) + _ends(gold)
        if ours_named and theirs_named and ours_named.keys() == theirs_named.keys():
            return all(self._same(read_form(ours_named[name]), read_form(theirs_named[name])) for name in theirs_named)
        if theirs_named and _is_tuple(answer):
            return self._same_by_name(theirs_named, ours)
        return self._same_set(ours, theirs)

    def _same_by_name(self, named: dict[str, str], values: Sequence[Form]) -> bool:
        """x = 1, y = 2 and (1, 2): the values in the order of their names where all names are single letters."""
        letters = all(len(name) == 1 for name in named)
        texts = [named[name] for name in sorted(named)] if letters else list(named.values())
        return len(texts) == len(values) and all(
            self._same(read_form(text), value) for text, value in zip(texts, values, strict=True)
        )

    def _same_set(self, answer: Sequence[Form], gold: Sequence[Form]) -> bool:
        left = self._distinct(answer)
        right = self._distinct(gold)
        if len(left) != len(right):
            return False
        for form in left:
            match = next((index for index, other in enumerate(right) if self._same(form, other)), None)
            if match is None:
                return False
            del right[match]
        return True

    def _distinct(self, forms: Iterable[Form]) -> list[Form]:
        result: list[Form] = []
        for form in forms:
            if form not in result:
                result.append(form)
        return result

    def _same_pieces(self, answer: Piecewise, gold: Piecewise) -> bool:
        """The same values under the same conditions, in any order."""
        return len(answer.rows) == len(gold.rows) and all(
            any(self._same(a, c) and self._same(b, d) for c, d in gold.rows) for a, b in answer.rows
        )

    def _same_rows(self, answer: Matrix, gold: Matrix) -> bool:
        return [len(row) for row in answer.rows] == [len(row) for row in gold.rows] and all(
            self._same(a, b)
            for ours, theirs in zip(answer.rows, gold.rows, strict=True)
            for a, b in zip(ours, theirs, strict=True)
        )

    def _same_text(self, answer: str, gold: Form) -> bool:
        return _letters(answer) == _letters(_text_of(gold)) != ""

    def _same_value(self, answer: Form, gold: Form) -> bool:
        """Equal at several points, as far as both can be read; otherwise what Math-Verify says."""
        ours, theirs = _text_of(answer), _text_of(gold)
        if ours.isalpha() and ours.upper() == theirs.upper():
            return True
        if (_is_word(ours) and _is_word(theirs)) or theirs.lower() in ("yes", "no"):
            return False  # HT and TH are words, no products
        ours_unit, theirs_unit = measure(_unit_of(answer)), measure(_unit_of(gold))
        if ours_unit and theirs_unit and ours_unit != theirs_unit and not comparable(ours_unit, theirs_unit):
            return False
        scale = ours_unit.worth / theirs_unit.worth if ours_unit and theirs_unit else Fraction(1)
        if len(ours) == len(theirs) == 1 and ours.isalpha() and theirs.isalpha():
            return False
        if _is_infinite(ours) or _is_infinite(theirs):
            return _infinity(ours) == _infinity(theirs)
        if not isinstance(answer, Number | Expression) or not isinstance(gold, Number | Expression):
            return False
        both_percent = _is_percent(answer) and _is_percent(gold)
        exact = self.tolerance <= FLOAT_NOISE and not (_DECIMAL.search(ours) or _DECIMAL.search(theirs))
        try:
            for left in _readings(answer):
                for right in _readings(gold):
                    node = parse(left) if scale == 1 else ("product", parse(left), ("number", scale))
                    if agree(node, parse(right), self.tolerance, exact=exact and scale == 1):
                        return True
                    if both_percent or self._rounds_to(answer, parse(right)):
                        return not both_percent
        except (UnreadableError, UnevaluableError):
            return symbolic.equal(_readings(answer)[0], _readings(gold)[0])
        return False

    def _rounds_to(self, answer: Form, gold: Node) -> bool:
        """Whether the answer is the value of the gold, rounded."""
        if not self.rounded or not isinstance(answer, Number) or names_in(gold):
            return False
        value = complex(evaluate(gold, {}))
        return value.imag == 0 and self._rounds(answer.quantity, answer.quantity.value, Fraction(value.real))


_UNIT_NOISE = 1e-6
"""Relative: what is lost in converting units whose worth is no short fraction."""
_DECIMAL = re.compile(r"\d\.\d|(?<!\d)\.\d|\d\.(?!\d)|\\approx|\de[-+]?\d")
_WORD = re.compile(r"[A-Z]{2,8}")


def _is_word(text: str) -> bool:
    return bool(_WORD.fullmatch(text))


def _is_words(text: str) -> bool:
    return not re.search(r"\d", text) and len(re.findall(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}", text)) >= 4


def _unit_of(form: Form) -> str:
    match form:
        case Number():
            return form.quantity.unit
        case Expression():
            return form.unit
    return ""


def _digits(text: str) -> str:
    return re.sub(r"[\s,]", "", text)


def _letters(text: str) -> str:
    text = _FILLERS.sub("", re.sub(r"\\[a-zA-Z]+", "", text))
    text = re.sub(r"\b([Ss]olution|[Rr]oot)s\b", r"\1", text)
    return "".join(part.replace(",", "") if part[:1].isdigit() else part for part in _PIECES.findall(text.casefold()))


_PIECES = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W_\d]+|[<>=≤≥]|[-+](?=\s?[\d.])|\d|(?<=\d)%|/(?=\d)")
"""What counts of a text: words, numbers with their signs, relations."""


def _text_of(form: Form) -> str:
    match form:
        case Number() | Expression() | Text():
            return form.text
        case Equation():
            return " = ".join(form.sides)
        case InBase():
            return form.digits
        case Items():
            return ",".join(_text_of(item) for item in form.items)
    return ""


def _is_percent(form: Number | Expression) -> bool:
    return form.quantity.percent if isinstance(form, Number) else form.text.endswith("%")


def _readings(form: Number | Expression) -> list[str]:
    """What is evaluated: a number without its unit, and with and without its percent sign."""
    if isinstance(form, Number):
        values = [f"{value.numerator}/{value.denominator}" for value in form.quantity.values()]
        return [*values, f"{values[0]}*\\pi/180"] if "\\circ" in form.quantity.unit else values
    text = re.sub(r"^\s*USD\s*", "", form.text)
    return [text.rstrip("%"), text] if text.endswith("%") else [text]


def _is_infinite(text: str) -> bool:
    return bool(re.fullmatch(r"\s*[-+]?\s*(?:\\infty|infinity|inf|oo)\s*", text))


def _infinity(text: str) -> str:
    return ("-" if "-" in text else "+") if _is_infinite(text) else ""


def _numbers(forms: Sequence[Form]) -> list[Fraction] | None:
    numbers = [form.quantity.value for form in forms if isinstance(form, Number)]
    return numbers if len(numbers) == len(forms) else None


def _ratio_value(ratio: Items) -> Form:
    """1:2 as one half, 2:00 as two o'clock."""
    first, *others = (_text_of(item) for item in ratio.items)
    if len(others) != 1:
        return Text(":".join([first, *others]))
    return read_form(first) if others[0] == "00" else Expression(f"\\frac{{{first}}}{{{others[0]}}}")


def _parts(form: Items | Interval) -> tuple[Form, ...]:
    return form.items if isinstance(form, Items) else (form.low, form.high)


def _is_vector(matrix: Matrix) -> bool:
    return len(matrix.rows) == 1 or all(len(row) == 1 for row in matrix.rows)


def _vector(matrix: Matrix) -> Items:
    return Items("tuple", tuple(cell for row in matrix.rows for cell in row))


def _ordered(form: Items | Interval) -> bool:
    return isinstance(form, Interval) or form.kind in ("tuple", "ratio")


def _is_tuple(form: Items | Interval) -> bool:
    return _ordered(form) and "[" not in _ends(form)


def _ends(form: Items | Interval) -> str:
    return form.ends.replace("]", "[") if isinstance(form, Interval) else ""


def _by_name(forms: Sequence[Form]) -> dict[str, str] | None:
    """The values by name of "a = 1, b = 2"; None where a name comes twice, as in "x = 1 or x = 2"."""
    named = {
        squeezed(form.sides[0]): form.right
        for form in islice(forms, 50)
        if isinstance(form, Equation) and is_name(form.sides[0])
    }
    return named if len(named) == len(forms) else None


def _swapped(answer: Equation, gold: Equation) -> bool:
    return squeezed(answer.sides[0]) == squeezed(gold.right)
