"""Units of measure: the dimension of a unit, and what it is worth in the base unit of that dimension."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_F = Fraction
_PI = Fraction(3141592653589793, 10**15)
# Names by dimension, exponents of L(ength), M(ass), T(ime), A(mpere), K(elvin), N (mole), R (angle), B (bit), money.
_TABLE: dict[str, dict[str, Fraction]] = {
    "L1": {
        "m meter metre 米 公尺 метр метров метра metro mètre 미터 メートル": _F(1),
        "in inch inches 英寸": _F(254, 10_000),
        "ft foot feet 英尺": _F(3048, 10_000),
        "yd yard yards 码": _F(9144, 10_000),
        "mi mile miles 英里 milla meile": _F(1_609_344, 1000),
        "km 公里 千米 километр": _F(1000),
        "里": _F(500),
        "cm 厘米 公分 сантиметр сантиметров": _F(1, 100),
        "mm 毫米": _F(1, 1000),
        "dm 分米": _F(1, 10),
        "micron": _F(1, 10**6),
        "angstrom Å": _F(1, 10**10),
        "ly lightyear": _F(9_460_730_472_580_800),
    },
    "L2": {
        "acre": _F(40_468_564_224, 10**7),
        "ha hectare 公顷": _F(10_000),
        "亩": _F(2000, 3),
        "平方米": _F(1),
        "平方厘米": _F(1, 10**4),
        "平方千米 平方公里": _F(10**6),
        "平方分米": _F(1, 100),
        "平方毫米": _F(1, 10**6),
    },
    "L3": {
        "l liter litre 升 литр": _F(1, 1000),
        "ml cc 毫升": _F(1, 10**6),
        "gal gallon": _F(3_785_411_784, 10**12),
        "qt quart": _F(946_352_946, 10**12),
        "pt pint": _F(473_176_473, 10**12),
        "floz": _F(2_957_352_956_25, 10**16),
        "cup": _F(2_365_882_365, 10**13),
        "tbsp tablespoon": _F(147_867_647_8125, 10**17),
        "tsp teaspoon": _F(49_289_215_9375, 10**17),
        "立方米": _F(1),
        "立方厘米": _F(1, 10**6),
        "立方分米": _F(1, 1000),
    },
    "M1": {
        "g gram gramme 克 грамм": _F(1, 1000),
        "kg kilo 千克 公斤 килограмм": _F(1),
        "mg 毫克": _F(1, 10**6),
        "t ton tonne 吨": _F(1000),
        "lb pound 磅": _F(45_359_237, 10**8),
        "oz ounce 盎司": _F(28_349_523_125, 10**12),
        "stone": _F(635_029_318, 10**8),
    },
    "T1": {
        "s sec second 秒 秒钟 секунд секунда segundo sekunde": _F(1),
        "min minute 分钟 分 минут минута minuto": _F(60),
        "h hr hour 小时 时 час часов часа hora stunde heure ore ora 시간 時間": _F(3600),
        "d day 天 日 день дней tag jour día dia giorno": _F(86_400),
        "wk week 周 星期": _F(604_800),
        "fortnight": _F(1_209_600),
        "month 个月 月": _F(2_629_746),
        "yr year 年 год лет": _F(31_556_952),
        "decade": _F(315_569_520),
        "century centuries": _F(3_155_695_200),
    },
    "A1": {"ampere amp": _F(1)},
    "K1": {"kelvin": _F(1)},
    "N1": {"mol mole": _F(1)},
    "R1": {
        "rad radian 弧度": _F(1),
        "deg degree \\circ 度 градус градусов grado": _PI / 180,
        "rev revolution turn": 2 * _PI,
        "arcmin": _PI / 10_800,
    },
    "T-1": {"hz hertz 赫兹": _F(1), "rpm": _F(1, 60)},
    "L1 T-1": {"mph": _F(1_609_344, 3_600_000), "kph kmh": _F(1000, 3600), "knot": _F(1852, 3600)},
    "L1 M1 T-2": {"newton 牛 牛顿": _F(1), "lbf": _F(44_482_216_152_605, 10**13), "dyne": _F(1, 10**5)},
    "L2 M1 T-2": {
        "joule 焦 焦耳": _F(1),
        "cal calorie 卡": _F(4184, 1000),
        "ev electronvolt": _F(1_602_176_634, 10**28),
        "wh": _F(3600),
        "btu": _F(1_055_056, 1000),
        "erg": _F(1, 10**7),
    },
    "L2 M1 T-3": {"watt 瓦 瓦特": _F(1), "hp horsepower": _F(7457, 10)},
    "L-1 M1 T-2": {
        "pa pascal 帕": _F(1),
        "atm atmosphere": _F(101_325),
        "bar": _F(100_000),
        "mmhg torr": _F(101_325, 760),
        "psi": _F(6_894_757, 1000),
    },
    "A1 T1": {"coulomb 库仑": _F(1), "ah": _F(3600)},
    "A-1 L2 M1 T-3": {"volt 伏 伏特": _F(1)},
    "A-2 L2 M1 T-3": {"ohm Ω \\Omega 欧姆": _F(1)},
    "A2 L-2 M-1 T4": {"farad": _F(1)},
    "A-1 M1 T-2": {"tesla": _F(1)},
    "A-2 L2 M1 T-2": {"henry": _F(1)},
    "B1": {"bit": _F(1), "byte": _F(8)},
    "USD1": {"usd dollar $ 美元 dólar buck": _F(1)},
    "EUR1": {"eur euro € 欧元": _F(1)},
    "GBP1": {"gbp £ quid": _F(1)},
    "CNY1": {"cny rmb yuan 元 块 人民币": _F(1)},
    "JPY1": {"jpy yen 円 日元": _F(1)},
    "INR1": {"inr rs rupee ₹": _F(1)},
    "CHF1": {"chf": _F(1)},
    "RUB1": {"rub ruble rouble ₽ рубль рублей": _F(1)},
    "KRW1": {"krw won ₩ 원": _F(1)},
    "cent1": {"cent ¢ penny pennies pence": _F(1, 100)},
    "CNYcent1": {"jiao 角": _F(1)},
}
_SYMBOLS = {
    "N": "newton",
    "J": "joule",
    "W": "watt",
    "V": "volt",
    "A": "ampere",
    "K": "kelvin",
    "C": "coulomb",
    "F": "farad",
    "T": "tesla",
    "H": "henry",
    "Pa": "pa",
    "Hz": "hz",
    "eV": "ev",
    "Wh": "wh",
    "L": "l",
    "B": "byte",
    "b": "bit",
}
"""Symbols whose case counts."""
_PREFIXES = {
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "m": -3,
    "c": -2,
    "d": -1,
    "μ": -6,
    "µ": -6,
    "u": -6,
    "n": -9,
    "p": -12,
    "h": 2,
}
_LONG_PREFIXES = {
    "kilo": 3,
    "mega": 6,
    "giga": 9,
    "tera": 12,
    "milli": -3,
    "centi": -2,
    "deci": -1,
    "micro": -6,
    "nano": -9,
    "pico": -12,
    "hecto": 2,
}
_PREFIXABLE = frozenset(
    [
        "m",
        "g",
        "s",
        "l",
        "pa",
        "hz",
        "ev",
        "wh",
        "cal",
        "mol",
        *_SYMBOLS.values(),
        "meter",
        "metre",
        "gram",
        "gramme",
        "second",
        "liter",
        "litre",
        "calorie",
        "pascal",
        "hertz",
        "watt",
        "joule",
        "bar",
    ]
)
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3, "平方": 2, "立方": 3}
_OFFSETS = {"C": (_F(1), _F(27315, 100)), "F": (_F(5, 9), _F(45_967, 100)), "K": (_F(1), _F(0))}
_TEMPERATURE = re.compile(
    r"(?:\^?\s*\{?\s*\\circ\s*\}?|degrees?|°)?\s*(?:(C|F|K)|(celsius|centigrade|fahrenheit|kelvin))s?", re.IGNORECASE
)
_STEP = re.compile(
    r"\s*(?:(?P<per>/|\bper\b|\ba\b|\ban\b|每)|(?P<times>\\cdot|\\times|[·*⋅-])"
    r"|(?P<power>\^\s*\{?\s*(?P<exponent>-?\d)\s*\}?|(?<=[a-zA-Z])[23])"
    r"|(?P<name>\\circ|\\Omega|[^\W\d_]+|[$€£¥₹₽₩¢Ω]))\s*"
)


def _spellings(name: str) -> tuple[str, ...]:
    """A name and its plurals."""
    if not (name.isascii() and name.isalpha()):
        return (name,)
    if len(name) > 2:
        return (name, f"{name}s", f"{name}es")
    return (name, f"{name}s") if name in ("lb", "hr", "yr", "wk", "oz") else (name,)


_WORTHS = {
    spelling: (dimension, worth)
    for dimension, units in _TABLE.items()
    for spellings, worth in units.items()
    for name in spellings.split()
    for spelling in _spellings(name)
}
_IGNORED = frozenset(
    [
        "units",
        "unit",
        "total",
        "in",
        "all",
        "altogether",
        "left",
        "each",
        "exactly",
        "more",
        "extra",
        "only",
        "now",
        "remaining",
        "away",
        "long",
        "wide",
        "tall",
        "high",
        "old",
        "deep",
        "people",
        "ways",
        "times",
        "points",
        "point",
        "times",
        "person",
        "per",
    ]
)


@dataclass(frozen=True, slots=True)
class Measure:
    """`worth` is what one unit is in base units; `offset` is added first, for temperatures."""

    dimension: tuple[tuple[str, int], ...]
    worth: Fraction
    offset: Fraction = Fraction(0)

    def base(self, value: Fraction) -> Fraction:
        return (value + self.offset) * self.worth


@lru_cache(maxsize=4096)
def measure(unit: str) -> Measure | None:
    """The measure of a unit as it is written: km/h, square meters, ^\\circ C; None where it is no known unit."""
    unit = unit.strip(" .()~").replace("^{\\circ}", "\\circ").replace("^\\circ", "\\circ")
    if not unit or len(unit) > 60:
        return None
    if (temperature := _TEMPERATURE.fullmatch(unit)) and (len(unit) > 1 and unit.lower() != "k"):
        name = (temperature[1] or temperature[2][0]).upper() if (temperature[1] or temperature[2]) else ""
        name = {"CELSIUS": "C", "CENTIGRADE": "C", "FAHRENHEIT": "F", "KELVIN": "K"}.get(name, name)
        if name and (temperature[2] or "circ" in unit or "deg" in unit.lower() or "°" in unit):
            worth, offset = _OFFSETS[name]
            return Measure((("K", 1),), worth, offset)
    return _product(unit)


def _product(unit: str) -> Measure | None:
    exponents: dict[str, int] = {}
    worth, sign, coming, last = Fraction(1), 1, 1, None
    at = 0
    while at < len(unit):
        step = _STEP.match(unit, at)
        if step is None:
            return None
        at = step.end()
        if step["per"]:
            sign = -1 if last is not None else 1
        elif step["power"]:
            if last is None:
                return None
            exponent = int(step["exponent"] or step["power"].strip())
            worth *= _scale(exponents, last, (exponent - 1) * last[2])
        elif name := step["name"]:
            if (power := _POWERS.get(name.lower())) is not None:
                if name.lower() in ("squared", "cubed") and last is not None:
                    worth *= _scale(exponents, last, (power - 1) * last[2])
                else:
                    coming = power
                continue
            if name in ("of", "the"):
                continue
            found = _named(name)
            if found is None:
                return None
            last = (*found, sign)
            worth *= _scale(exponents, last, sign * coming)
            coming = 1
    if last is None:
        return None
    return Measure(tuple(sorted((name, power) for name, power in exponents.items() if power)), worth)


def _scale(exponents: dict[str, int], unit: tuple[str, Fraction, int], power: int) -> Fraction:
    """Multiply the dimension of a product by a power of a unit; what that is worth."""
    for part in unit[0].split():
        name, exponent = re.fullmatch(r"(\D+?)(-?\d)", part).groups()  # type: ignore[union-attr]
        exponents[name] = exponents.get(name, 0) + power * int(exponent)
    return unit[1] ** power


def _named(name: str) -> tuple[str, Fraction] | None:
    if name in _SYMBOLS:
        return _WORTHS[_SYMBOLS[name]]
    if name in _WORTHS:
        return _WORTHS[name]
    lower = name.lower()
    if lower in _WORTHS and (len(name) > 1 or name == lower):
        return _WORTHS[lower]
    for prefix, power in _LONG_PREFIXES.items():
        rest = lower.removeprefix(prefix)
        if rest != lower and rest.removesuffix("s") in _PREFIXABLE:
            dimension, worth = _WORTHS[rest]
            return dimension, worth * Fraction(10) ** power
    rest = _SYMBOLS.get(name[1:], name[1:].lower() if len(name) > 2 else name[1:])
    if name[0] in _PREFIXES and rest in _PREFIXABLE:
        dimension, worth = _WORTHS[rest]
        return dimension, worth * Fraction(10) ** _PREFIXES[name[0]]
    return None


def comparable(ours: Measure, theirs: Measure) -> bool:
    """Whether one unit can be converted into the other. Cents are of any currency."""
    if ours.dimension == theirs.dimension:
        return True
    if len(ours.dimension) != 1 or len(theirs.dimension) != 1:
        return False
    names = {ours.dimension[0][0], theirs.dimension[0][0]}
    return "cent" in names and bool(names & {"USD", "EUR", "cent"}) and ours.dimension[0][1] == theirs.dimension[0][1]


def is_counted(unit: str) -> bool:
    """Whether words behind a number name what is counted, as "bananas" does."""
    word = unit.strip(" .()")
    return bool(re.fullmatch(r"[a-zA-Z]{3,20}s", word)) and word.lower() not in _IGNORED
