"""Plain numbers as people write them: thousands separators, percent, currency, units, number words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rsr_cli.verifiers.comparing.units import comparable, is_counted, measure

_QUANTITY = re.compile(
    r"(?P<sign>[-+]?)\s*(?P<money>(?:(?:USD|US|EUR|GBP|RMB|CNY|CHF|JPY|INR|Rs\.?|[$€£¥₹₽₩])\s*)*)(?P<sign2>[-+]?)\s*"
    r"(?P<number>\d+(?:[., ']\d+)*\.?|\.\d+)"
    r"(?:\s*(?:\\times|\\cdot|\*|x|X)\s*10\s*\^\s*(?:\{\s*(?P<power>[-+]?\s*\d{1,4})\s*\}|(?P<power2>-?\d{1,4}))"
    r"|[eE](?P<power3>[-+]?\d{1,3})(?!\w))?"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_THOUSANDS = re.compile(
    r"[1-9]\d{0,2}(?P<mark>[, '])\d{3}(?:(?P=mark)\d{3})*(?:\.\d+)?|[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?"
)
_THOUSANDS_WITH_DOTS = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,}")
_THOUSANDS_WITH_SPACES = re.compile(r"[1-9]\d{0,2}(?: \d{3})+,\d+")
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_PERCENT = re.compile(r"\s*(?:%|percentage points?\b|percentage\b|percents?\b|per cent\b|pct\b\.?)\s*")
_UNIT = re.compile(
    r"\s*\(?\s*(?:\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\circ|\\[a-zA-Z]+|[^\W\d_]|[$€£¥₹Ω]|[-./'\"])"
    r"(?:[^\d=<>\\+|]|\\(?:cdot|circ|times)|(?<=\^)\s*-?[1-4]|(?<=\{)-?[1-4]|(?<=[a-zA-Z])[23])*"
)
_MATHS = re.compile(
    r"\\(?!circ|cdot|times|mu|Omega)[a-zA-Z]+|\b(?:pi|sqrt|sin|cos|tan|log|ln|exp|or|not)\b"
    r"|^\s*\(?\s*[a-zA-Z]\s*\^?\{?\d?\}?\s*\)?\s*$|^[a-zA-Z]{1,2}(?![a-zA-Z])|^pi|^\s*[-/.,]*\s*[a-zA-Z](?![a-zA-Z])"
)
"""What makes the rest a formula: a command, a function, a lone letter."""
_SHORT_UNITS = re.compile(
    r"\s*(?:mm|cm|dm|km|kg|mg|ml|mL|ft|in|hr|yd|lb|oz|mi|Hz|kW|kJ|am|pm|AM|PM|mph|m|g|s|h|L|l|N|J|W|V|A|K|C|F)"
    r"(?:\s*\^\s*\{?\s*-?[1-4]\s*\}?|[23])?(?:\s*/\s*\w+(?:\s*\^\s*\{?\s*-?[1-4]\s*\}?)?)?\s*"
)
_UNIT_BEHIND = re.compile(
    r"(?:(?<=[\d})])|(?<=\\pi))\s+(?:mm|cm|dm|km|kg|mg|ml|mL|ft|in|Hz|mph)(?:\s*\^\s*\{?\s*[1-4]\s*\}?|[23])?\s*$"
)
NO_UNIT = re.compile(
    r"\b(?:is|are|was|were|be|wrong|incorrect|correct|right|not|no|negative|positive|squared(?= ?$)|cubed"
    r"|factorial|unless|if|when|except"
    r"|than|but|plus|minus|less|fewer|times|divided|over|at most|at least|maybe|perhaps|possibly|because|since"
    r"|approximately"
    r"|false|true|invalid|choose|modulo|mod|base|root|double|halved?|and|or|otherwise|said|rejected|undefined"
    r"|infinite)\b",
    re.IGNORECASE,
)
"""Words that do something to a number or say something of it, so that they name no unit."""
_DURATION = re.compile(
    r"(?:(?P<first>\d+(?:\.\d+)?)\s*(?P<unit>[^\W\d_]+\.?)\s*(?:,|and|und|et|y|e"
    r"|и)?\s*)(?P<more>(?:\d+(?:\.\d+)?\s*[^\W\d_]*\.?\s*(?:,|and)?\s*){1,3})"
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([^\W\d_]*)")
_CHINESE_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_CHINESE = re.compile(
    r"(?P<negative>负)?(?P<number>[零〇一二三四五六七八九两十百千万亿]{1,20})(?P<rest>[^零〇一二三四五六七八九两十百千万亿\d]{0,8})"
)
_CHINESE_FRACTION = re.compile(
    r"([零一二三四五六七八九两十百千万亿]{1,12})分之([零一二三四五六七八九两十百千万亿]{1,12})"
)
_MOST_UNIT = 60
_MOST_DIGITS = 4_000
_MOST_WORDS = 120

_ONES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "ninth": 9,
    "eighth": 8,
    "tenth": 10,
}
_SCALE_AFTER = re.compile(r"\s*(dozen|hundred|thousand|million|billion|trillion)\b\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number; `value` is what stands before the percent sign. `digits` counts the decimals it states, `significant`
    the digits after its leading zeros."""

    value: Fraction
    percent: bool = False
    unit: str = ""
    decimal_comma: bool = False
    digits: int = 0
    significant: int = 0

    def values(self) -> tuple[Fraction, ...]:
        """What it may stand for: 28% is 0.28, and 28 to someone who leaves the sign out."""
        return (self.value, self.value / 100) if self.percent else (self.value,)


def read_quantity(text: str) -> Quantity | None:
    """The number that a normalised answer is, with its unit; None where it is anything else."""
    match = _QUANTITY.fullmatch(text)
    if match is None or (match["sign"] and match["sign2"]):
        return None
    number, decimal_comma = match["number"].rstrip("."), False
    if not number.replace(".", "", 1).isdigit():
        if _THOUSANDS.fullmatch(number):
            number = number.replace(",", "").replace(" ", "").replace("'", "")
        elif _THOUSANDS_WITH_DOTS.fullmatch(number) or _THOUSANDS_WITH_SPACES.fullmatch(number):
            number = number.replace(".", "").replace(" ", "").replace(",", ".")
        elif _DECIMAL_COMMA.fullmatch(number):
            number, decimal_comma = number.replace(",", "."), True
        else:
            return None
    if len(number) > _MOST_DIGITS:
        return None
    value = Fraction(number)
    if power := match["power"] or match["power2"] or match["power3"]:
        value *= Fraction(10) ** int(power.replace(" ", ""))
    if "-" in (match["sign"], match["sign2"]):
        value = -value
    rest = match["rest"]
    if scale := _SCALE_AFTER.match(rest):
        value, rest = value * _SCALES[scale[1].lower()], rest[scale.end() :]
    percent = _PERCENT.match(rest)
    if percent:
        rest = rest[percent.end() :]
    unit = rest.strip()
    if unit and not _is_unit(rest):
        return read_duration(text)
    if not unit and (money := match["money"].strip()):
        unit = "$" if money in ("US", "US$", "USD") else money.split()[-1]
    significant = len(number.replace(".", "").lstrip("0"))
    return Quantity(value, percent is not None, unit, decimal_comma, len(number.partition(".")[2]), significant)


def read_duration(text: str) -> Quantity | None:
    """Two or more amounts of one dimension said together: 1 hour 30 minutes, 5 ft 3 in, 1h30."""
    match = _DURATION.fullmatch(text.strip())
    first = measure(match["unit"]) if match else None
    if match is None or first is None:
        return None
    total, last = Fraction(match["first"]) * first.worth, first.worth
    for number, unit in _PART.findall(match["more"]):
        part = measure(unit) if unit else None
        if (unit and (part is None or not comparable(part, first))) or (not unit and last != 3600):
            return None
        last = part.worth if part else Fraction(60)
        total += Fraction(number) * last
    return Quantity(total / first.worth, unit=match["unit"])


def read_chinese_number(text: str) -> Quantity | None:
    """The value of 十二, 负三, 二分之一, with the unit behind it."""
    if part := _CHINESE_FRACTION.fullmatch(text):
        bottom, top = _chinese(part[1]), _chinese(part[2])
        return Quantity(Fraction(top, bottom)) if bottom else None
    match = _CHINESE.fullmatch(text)
    if match is None:
        return None
    value = Fraction(_chinese(match["number"]))
    return Quantity(-value if match["negative"] else value, unit=match["rest"].strip())


def _chinese(number: str) -> int:
    if not any(char in _CHINESE_SCALES for char in number):
        return int("".join(str(_CHINESE_DIGITS[char]) for char in number))
    total = section = digit = 0
    for char in number:
        if char in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[char]
            continue
        scale = _CHINESE_SCALES[char]
        if scale >= 10**4:
            total, section, digit = (total + section + digit) * scale, 0, 0
        else:
            section, digit = section + (digit or 1) * scale, 0
    return total + section + digit


_SIGN_WORDS = re.compile(r"(?:negative|minus)\s+")
_PERCENT_WORDS = re.compile(r"\s*(?:%|percent|per cent)$")


def read_number_words(text: str) -> Quantity | None:
    """The value of "twenty-one", "minus five", "two and a half", "sixty percent" or "two hours", in words alone."""
    text = text.lower().strip()
    if len(text) > _MOST_WORDS or not text[:1].isalpha():
        return None
    bare, negative = _SIGN_WORDS.subn("", text, count=1) if _SIGN_WORDS.match(text) else (text, 0)
    spoken, percent = _PERCENT_WORDS.subn("", bare)
    value = _spoken(spoken)
    unit = ""
    if value is None:
        spoken, _, unit = spoken.rpartition(" ")
        value = _spoken(spoken) if spoken and (measure(unit) or is_counted(unit)) else None
    return None if value is None else Quantity(-value if negative else value, bool(percent), unit)


def _spoken(text: str) -> Fraction | None:
    """A number said in words."""
    text = re.sub(r"^an?\s+(?=half|third|quarter|hundred|thousand|million|dozen)", "one ", text)
    if text == "half":
        return Fraction(1, 2)
    if (parts := re.split(r"\s+and\s+(?=(?:an?|one|two|three)\s+\w+$)", text)) and len(parts) == 2:
        whole, part = _spoken(parts[0]), _spoken(parts[1])
        return whole + part if whole is not None and part is not None and 0 < part < 1 else None
    before, point, after = text.partition(" point ")
    if point:
        digits = [_ONES.get(word, 10) for word in after.split()]
        first = _whole_words(before)
        if first is None or not digits or max(digits) > 9:
            return None
        return first + Fraction(int("".join(map(str, digits))), 10 ** len(digits))
    return _whole_words(text)


def _whole_words(text: str) -> Fraction | None:
    total = current = 0
    seen = False
    words = re.split(r"[\s-]+", text.strip())
    if len(words) == 2 and words[0] in _ONES and (part := _PARTS.get(words[1].removesuffix("s"))):
        return Fraction(_ONES[words[0]], part)
    for word in words:
        if word in _ONES or word in _TENS:
            current += _ONES.get(word, 0) + _TENS.get(word, 0)
        elif word in ("hundred", "dozen") and seen:
            current *= _SCALES[word]
        elif word in _SCALES and seen:
            total, current = total + current * _SCALES[word], 0
        elif word != "and" or not seen:
            return None
        seen = True
    return Fraction(total + current) if seen else None


def without_unit(expression: str) -> str:
    """A closed form without the abbreviated unit behind it: 10\\pi cm^2."""
    unit = _UNIT_BEHIND.search(expression)
    return expression[: unit.start()] if unit else expression


def _is_unit(rest: str) -> bool:
    if len(rest) > _MOST_UNIT or NO_UNIT.search(rest):
        return False
    if re.fullmatch(
        r"\s+[NJWVK]|\s+(?:Pa|mol|eV|MHz|GHz|kHz|kPa|kN|MW|kWh|rpm|rad|bar|atm|cal|kcal|GB|MB|KB|TB)\b", rest
    ):
        return True
    if _SHORT_UNITS.fullmatch(rest):
        return not re.fullmatch(r"[a-zA-Z]", rest)  # 5x is a product, 5 m a length
    return bool(_UNIT.fullmatch(rest)) and not _MATHS.search(rest)
