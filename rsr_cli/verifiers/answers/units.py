"""Units that can be converted: what one is worth in the base unit of its dimension."""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS: dict[str, dict[str, Fraction]] = {
    "length": {
        "mm millimeter millimetre": Fraction(1, 1000),
        "cm centimeter centimetre": Fraction(1, 100),
        "dm decimeter decimetre": Fraction(1, 10),
        "m meter metre": Fraction(1),
        "km kilometer kilometre": Fraction(1000),
        "in inch inches": Fraction(254, 10_000),
        "ft foot feet": Fraction(3048, 10_000),
        "yd yard": Fraction(9144, 10_000),
        "mi mile": Fraction(1_609_344, 1000),
    },
    "mass": {
        "mg milligram": Fraction(1, 1_000_000),
        "g gram": Fraction(1, 1000),
        "kg kilogram": Fraction(1),
        "ton tonne": Fraction(1000),
    },
    "time": {
        "s sec second": Fraction(1),
        "min minute": Fraction(60),
        "h hr hour": Fraction(3600),
        "day": Fraction(86_400),
        "week": Fraction(604_800),
    },
    "volume": {"ml milliliter millilitre": Fraction(1, 1000), "l liter litre": Fraction(1)},
    "money": {"cent": Fraction(1, 100), "dollar": Fraction(1)},
}
_WORTH = {
    spelling: (dimension, worth)
    for dimension, units in _UNITS.items()
    for spellings, worth in units.items()
    for name in spellings.split()
    for spelling in (name, f"{name}s")
}
_SIMPLE = re.compile(r"(?P<name>[a-zA-Z]+)\.?\s*(?:\^?\s*\{?\s*(?P<power>[23])\s*\}?)?")


def worth(unit: str) -> tuple[str, Fraction] | None:
    """The dimension of a unit, and its worth in the base unit of that; None where it is not known.

    A power counts as a dimension of its own: square meters are no meters.
    """
    match = _SIMPLE.fullmatch(unit.strip())
    found = _WORTH.get(match["name"].lower()) if match else None
    if match is None or found is None:
        return None
    power = int(match["power"] or 1)
    return f"{found[0]}^{power}", found[1] ** power
