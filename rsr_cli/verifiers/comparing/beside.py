"""What stands beside an answer and may be left out: the half of the day, the modulus, the letter of an option."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TIME = re.compile(r"(\d{1,2})(?::([0-5]\d))?\s?(?:([apAP])\.?\s?[mM]\.?)?")
_MODULUS = re.compile(r"\s*\(?\s*\\?[pb]?mod(?![a-z])\s*[({]?\s*\w{1,40}\s*[)}]{0,2}$")
_LETTERED = re.compile(r"(?:\((?=[A-Z]\)))?([A-Z])(?:\)|[.:]\s)\s*(\S.*)", re.DOTALL)


def same_time(answer: str, gold: str) -> bool | None:
    """Whether two times of the day are one: 5:30 PM, 17:30, and 5:30 where the half is left out.

    None where neither names the half of the day: 5:30 may be a ratio.
    """
    ours, theirs = _TIME.fullmatch(answer), _TIME.fullmatch(gold)
    if not ours or not theirs or not (ours[3] or theirs[3]):
        return None
    return bool(_minutes(ours) & _minutes(theirs))


def _minutes(time: re.Match[str]) -> set[int]:
    """Minutes since midnight; both readings where the half of the day is not named."""
    hour, minute = int(time[1]), int(time[2] or 0)
    if hour > 12:
        return {60 * hour + minute}
    morning = 60 * (hour % 12) + minute
    return {morning + 720 * half for half, name in enumerate("ap") if not time[3] or time[3].lower() == name}


_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DATES = (
    re.compile(r"(?P<m>[A-Za-z]{3,9})\.?\s(?P<d>\d{1,2})(?:st|nd|rd|th)?(?:,?\s(?P<y>\d{4}))?"),
    re.compile(r"(?P<d>\d{1,2})(?:st|nd|rd|th)?\s(?:of\s)?(?P<m>[A-Za-z]{3,9})\.?(?:,?\s(?P<y>\d{4}))?"),
    re.compile(r"(?P<y>\d{4})[-/](?P<m>\d{1,2})[-/](?P<d>\d{1,2})"),
)


def same_date(answer: str, gold: str) -> bool | None:
    """Whether two dates are one: March 5, 2021 and 2021-03-05. None where one of them is no date."""
    ours, theirs = _date(answer), _date(gold)
    return None if ours is None or theirs is None else ours == theirs


def _date(text: str) -> tuple[str | None, int, int] | None:
    for form in _DATES:
        if match := form.fullmatch(text):
            name = match["m"]
            if name.isdigit():
                return match["y"], int(name), int(match["d"])
            if name[:3].lower() in _MONTHS:
                return match["y"], _MONTHS.index(name[:3].lower()) + 1, int(match["d"])
    return None


def pairs(answer: str, gold: str) -> Iterator[tuple[str, str]]:
    """The answers to compare, without what only one of them states."""
    if bool(_MODULUS.search(answer)) != bool(_MODULUS.search(gold)):
        answer, gold = _MODULUS.sub("", answer), _MODULUS.sub("", gold)
    yield answer, gold
    if (lettered := _LETTERED.fullmatch(answer)) and not _LETTERED.fullmatch(gold):
        yield lettered[1], gold
        yield lettered[2], gold
