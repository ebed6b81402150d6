"""The value that a sentence states."""

from __future__ import annotations

import re

from rsr_cli.verifiers.comparing.latex import normalise
from rsr_cli.verifiers.comparing.quantities import read_duration
from rsr_cli.verifiers.comparing.units import is_counted, measure

SEGMENT = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(.+?)(?<!\\)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
"""A stretch of math; one of the groups holds it. A dollar sign before a digit closes none: $2 + $3 is money."""
BOLD = re.compile(r"(?<![\w)*])\*\*([^*\n]{1,200})\*\*")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_\\^.,])(?:(?:[-−]|\b(?:negative|minus)\b)\s?)?(?:[$€£¥]\s*)?[-−]?"
    r"(?:\d{1,9}(?::\d{1,9}){1,3}(?:\s?[aApP]\.?[mM]\b)?"
    r"|(?:\d+(?:,\d{3})+(?:\.\d+)?|\d+\s*/\s*\d+|\d+(?:[.,]\d+)?|\.\d+)(?:\s?π|√\d+)?|√\d+)"
    r"(?:\s*\\?%|\s(?:hundred|thousand|million|billion|trillion)\b)?"
)
_STATES = re.compile(r"\b(?:is|are|was|were|be|equals|equal to|becomes)\b|=|≈|\\approx|:(?!\d)|为|是|得|等于|共|有")
_COPULA = re.compile(r"\b(?:is|are|equal)\b|为|是")
_JOINED = re.compile(r"\b(?:and|or)\b|,\s|或|和|、")
_CONSEQUENCE = re.compile(r"[,;]\s{1,3}(?:and\s)?(?:so|thus|hence|therefore|which means|meaning)\b")
_ACTS = re.compile(
    r"\b(?:will|would|must|needs?|can|could|should|has|have|had|makes?|takes?|costs?|spends?|pays?|gets?|gives?"
    r"|earns?|"
    r"contains?|requires?|there)\b"
)
_FILLER = re.compile(
    r"(?:\s|\*\*|approximately|about|around|indeed|exactly|only|just|now|equal to"
    r"|at least|at most|the|a total of|:|`|\")*"
)
_VALUE = re.compile(r"[\d√π∞\\]")
_WORD = re.compile(r"[^\W\d_]{2}|[一-鿿]")
_BETWEEN = re.compile(r"(?<=[^\d\s][.!?])\s+(?=[A-Z\\$(*\"])|(?<=\d[.!])\s+(?=[A-Z])|\n|[。！？]")
_ELSEWHERE_BEFORE = re.compile(
    r"\b(?:than|steps?|chapter|page|section|equation|part|problem|question|case|note|figure|table|line|row \w+"
    r"|same as"
    r"|square of|cube of|multiples? of|factors? of|power of|root of|divisible by|divides|but|except|without|not"
    r"|isn['’]t"
    r"|aren['’]t|like|unlike|from|rather|instead of|over|before|after|until|since|version|level|grade|age)[\s\W]*$",
    re.IGNORECASE,
)
"""What stands before a number that is spoken of and not stated."""
_ELSEWHERE_AFTER = re.compile(
    r"\s*(?:(?:more|less|fewer|greater|larger|smaller|higher|lower|times (?:as|more|the|larger"
    r"|bigger)) (?:\w+ )?than\s+\W{0,3}\d"
    r"|(?:decimal places?|significant|squared|cubed|factorial|negative|or (?:more|less|fewer|so|above|below))\b)"
)
_REFERS = re.compile(
    r"\b(?:steps?|questions?|problems?|parts?|pages?|lines?|chapters?|sections?|exercises?|equations?|figures?|tables?|items?)\s\W{0,2}$",
    re.IGNORECASE,
)
MOST_CHARACTERS = 1_000


def is_prose(text: str) -> bool:
    """Whether there are words outside of the math."""
    return bool(_WORD.search(re.sub(r"\\[a-zA-Z]+|\{[a-zA-Z]+\}", " ", SEGMENT.sub(" ", text[-MOST_CHARACTERS:]))))


def stated_value(text: str, *, strict: bool = False) -> str | None:
    """The number, math or bold text that the last sentence of `text` states; None where it states none or several.

    A `strict` reading leaves out numbers that are only spoken of: the square of 5, 2 more than 5, as in step 3.
    """
    sentence = last_sentence(text)
    stated_so = [clause.end() for clause in _CONSEQUENCE.finditer(sentence) if _VALUE.search(sentence, clause.end())]
    sentence = sentence[stated_so[-1] :] if stated_so else sentence
    if re.search(r"\beither\b|\d\W{0,4}\bor\b|或者", sentence):
        return None
    masked = SEGMENT.sub(lambda match: "\0" * len(match[0]), sentence)
    if verb := _COPULA.search(masked):
        rest = sentence[verb.end() :].strip(" .*")
        if _JOINED.search(rest) and not is_prose(_JOINED.sub(" ", rest)):
            return rest
    stated = list(_STATES.finditer(masked))
    rest = sentence[stated[-1].end() :].strip(' .*`"') if stated else ""
    if _VALUE.search(rest) and len(rest) < 80 and not is_prose(rest) and not SEGMENT.search(rest):
        return rest
    values = _values(sentence)
    if strict:
        values = [value for value in values if not spoken_of(sentence, value[0], value[1])]
    if not values:
        return None
    if len({value for _, _, value in values}) == 1:
        return values[0][2]
    direct = [value for verb in _STATES.finditer(masked) for value in values if _follows(masked, verb.end(), value[0])]
    if direct:
        return direct[-1][2]
    for verbs in (_STATES, _ACTS):
        if verb := verbs.search(masked):
            after = [value for value in values if value[0] >= verb.end()]
            if after:
                return after[0][2]
    return values[-1][2]


def only_refers(sentence: str) -> bool:
    """Whether all numbers of a sentence name a part of the reply or the task: step 9, question 8."""
    values = _values(sentence[:MOST_CHARACTERS])
    return bool(values) and all(_REFERS.search(sentence, max(0, start - 20), start) for start, _, _ in values)


def first_value(text: str) -> tuple[int, int, str] | None:
    """The start, end and text of the first number or math of a text."""
    values = _values(text[:MOST_CHARACTERS])
    return values[0] if values else None


_UNIT_WORDS = re.compile(
    r"\s?(?:\\?[^\W\d_]+|°[CF]?|[%²³])(?:(?:\s?[/·]\s?|\s)[^\W\d_]+){0,2}(?:\s?\^\s?\{?-?\d\}?|[²³])?"
)


def with_unit(sentence: str, value: str) -> str:
    """A number with the unit, or the rest of the duration, that stands behind it in its sentence."""
    if not re.fullmatch(r"-?[\d.,]+", value):
        return value
    at = sentence.rfind(value)
    if at < 0:
        return value
    end = at + len(value)
    if (longer := _LASTING.match(sentence, at)) and longer.end() > end and read_duration(longer[0].strip(" .,")):
        return longer[0].strip(" .,")
    words = _UNIT_WORDS.match(sentence, end)
    unit = words[0] if words else ""
    while unit:
        if measure(normalise(unit)) or (is_counted(unit) and " " not in unit.strip()):
            return value + unit
        unit = unit[: max(unit.rfind(" "), unit.rfind("/"), 0)].rstrip()
    return value


_LASTING = re.compile(
    r"\d[\d.]{0,9}\s?[^\W\d_]{1,9}\.?,?\s(?:and\s)?\d[\d.]{0,9}\s?[^\W\d_]{1,9}(?:,?\s(?:and\s)?\d[\d.]{0,9}\s?[^\W\d_]{1,9})?"
)


def spoken_of(sentence: str, start: int, end: int) -> bool:
    """Whether a number is only spoken of: than 5, step 3, 2 more."""
    return bool(_ELSEWHERE_BEFORE.search(sentence, max(0, start - 30), start) or _ELSEWHERE_AFTER.match(sentence, end))


def sentences(text: str) -> list[str]:
    """The last sentences of a text, in order."""
    return [part.strip() for part in _BETWEEN.split(text[-MOST_CHARACTERS:]) if part.strip()]


def last_sentence(text: str) -> str:
    """The last sentence that holds a value, of the last ones; the last one where none does."""
    parts = sentences(text)
    return next((part for part in parts[:-4:-1] if re.search(r"\d|[$\\√½π]", part)), parts[-1] if parts else "")


def _follows(text: str, end: int, start: int) -> bool:
    return start >= end and _FILLER.fullmatch(text, end, start) is not None


def _values(sentence: str) -> list[tuple[int, int, str]]:
    """Start, end and text of the math, bold stretches and numbers, none inside another."""
    found: list[tuple[int, int, str]] = []
    for match in SEGMENT.finditer(sentence):
        content = next(part for part in match.groups() if part)
        found.append((match.start(), match.end(), content))
    for match in BOLD.finditer(sentence):
        if re.search(r"\d|\\", match[1]) and not _inside(match.start(), found):
            inner = _NUMBER.findall(match[1])
            found.append((match.start(), match.end(), match[1] if len(inner) != 1 else inner[0]))
    for match in _NUMBER.finditer(sentence):
        if not _inside(match.start(), found):
            found.append((match.start(), match.end(), match[0].strip()))
    return sorted(found)


def _inside(at: int, found: list[tuple[int, int, str]]) -> bool:
    return any(start <= at < end for start, end, _ in found)
