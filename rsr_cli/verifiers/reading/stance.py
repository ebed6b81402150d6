"""What a reply does with a value that it names: denies it, takes it back, puts another one beside it."""

from __future__ import annotations

import re

from rsr_cli.verifiers.reading.claims import Cue
from rsr_cli.verifiers.reading.phrases import HEDGES, NOT, RECONSIDERS, REFUSES, RETRACTS, WRONG, any_of, compiled

NEGATION = compiled(NOT)
_IS = r"is|was|are|were|would be|must be|seems|looks|ist|sind|est|sont|es|son|é|è|está|jest|är|là|adalah|—|это|это"
_DENIED_BEHIND = re.compile(
    rf"[\s)\]}}*$\"'”`.]{{0,8}}(?:(?:{_IS})\s+(?:\w+\s){{0,2}}?)(?:{any_of(NOT)}|{any_of(WRONG)})"
    rf"|[\s)\]}}*$\"'”`]{{0,8}}(?:\S{{0,3}}\s?(?:ではな[いく]|ではありません|じゃな[いく]|でな[いく]|아닙니다|아니다|아니라|değil|नहीं|নয়|نیست|কাদ|కాదు)|"
    rf"(?:n['’]t|cannot|can['’]t|can not|does not|doesn['’]t|is not|isn['’]t)\b|是?错|不对|不正确|不是)"
    rf"|[\s)\]}}*$\"'”`:—–-]{{0,8}}(?:{any_of(WRONG)})(?:\s?(?:है|हैं|ہے|です|だ))?(?=\W*(?:$|\n)|[.,;।])"
    r"|[)\]}*\"]{0,4}\s(?:looks|looked|seems|seemed|appears|sounds|is|was)\s[^.!?\n]{0,30}?"
    r"(?:right|at first|tempting|plausible|promising|attractive)[^.!?\n]{0,20}?\bbut\b",
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    rf"(?:{any_of(NOT)}|n['’]t|rather than|instead of|other than|anything but|anything except|except(?: for)?|unlike"
    r"|far from|rule out|ruling out|exclude|excluding|eliminate|eliminating|reject|discard|dismiss|排除|而不是|除了)"
    r"[\s*(\[$\"']{0,4}(?:(?:be|is|the|a|an|equal to|option|choice|answer|letter|选项|ist|es|la|le|el"
    r"|ser)[\s*(]{1,3}){0,3}$",
    re.IGNORECASE,
)
_CERTAIN = re.compile(any_of(RETRACTS), re.IGNORECASE)
_MAYBE = re.compile(
    r"(?:\A|[\n.!?。！？;)\]}*>$—–…]|\.\.\.|\s-)[\s*_\"'(\[—–-]{0,6}"
    r"(?:(?:but|and|oh|ah|hmm+|so|wait|well|ok|okay|no)\b[,.\s…—–-]{1,4}){0,3}"
    rf"(?:{any_of(RECONSIDERS)})|,\s(?:but\s|no,?\s|oh\s)?(?:wait|hold on|hang on|actually|sorry|oops|scratch)\b",
    re.IGNORECASE,
)
_HERE = re.compile(rf"[)\]}}*$.]{{0,4}}\s+(?:{any_of(RECONSIDERS)})[,.…—–:\s-]", re.IGNORECASE)
"""A second thought right behind a claim that nothing ends."""
_CONFIRMS = re.compile(
    r"\b(?:confirmed|checks out|(?:it|this|that|everything|my answer|the answer) is (?:indeed )?(?:correct|right"
    r"|consistent|valid)|(?:it|this|that) (?:matches"
    r"|works|holds|agrees|checks)"
    r"|as (?:expected|before|stated)|same (?:answer|result|value)|all good|looks good|no mistake|stands"
    r"|unchanged)\b|没错|无误|正确无误",
    re.IGNORECASE,
)
HEDGE = re.compile(
    rf"[\s,;.(\[—–*$-]{{0,8}}(?:but"
    rf"|and)?\s{{0,3}}(?:{any_of(HEDGES)})[\s,:*$\\(]{{1,8}}",
    re.IGNORECASE,
)
_STRONG_HEDGE = re.compile(
    r"maybe|perhaps|possibly|might|could|may\b|alternatively|\(|或者|可能|vielleicht|peut|quiz|talvez|forse|возможно"
    r"|かも|ربما|belki|शायद|có lẽ|mungkin",
    re.IGNORECASE,
)
REFUSAL = compiled(REFUSES)


MOST_CUES = 200
"""Places of a second thought that are looked at."""


def denied_before(text: str, start: int) -> bool:
    """Whether what stands before a value denies it: "it is not", "rather than"."""
    return bool(_DENIED_BEFORE.search(text, max(0, start - 40), start))


def denied_behind(text: str, end: int) -> bool:
    """Whether what stands behind a value denies it: "is wrong", ではない."""
    return bool(_DENIED_BEHIND.match(text, end, end + 60))


_ANOTHER = re.compile(
    r"\b(?:wrong|tempting|other|another|second[- ](?:best|choice|closest)|next[- ]best|runner[- ]?up|previous"
    r"|old|earlier|initial|if(?! i had to)|whether"
    r"|suppose|assume|unless|what|which|how|why|would have|could have|had(?! to)|student['’]?s?|mistaken|naive"
    r"|worst|alternative|distractor|less)\b"
    r"[^.,;:\n]{0,40}$|(?:如果|假如|若|哪)[^。\n,]{0,20}$",
    re.IGNORECASE,
)


_SUPPOSES = re.compile(
    r"\W*(?:if(?! i had to)|had|were|suppose|supposing|assuming|at first|initially|originally|in part"
    r"|in (?:the )?(?:previous|other|first)"
    r"|for (?:comparison|part|example)|(?:some|many|most|a few|other)\s(?:people|students|might|may|would|could"
    r"|will|readers)|some\b|many\b|students|people"
    r"|others|a student\b|someone\b|one (?:might|may|could)"
    r"|(?:a|the) (?:common|frequent|typical|usual|classic)|you (?:might|may"
    r"|could)|i (?:considered|first|initially|was tempted|almost)"
    r"|my first|do(?: not|n['’]t) (?:confuse|mistake|mix)|compare|unlike|如果|假如|若|wenn\b|si\b|se\b|если|もし"
    r"|만약|eğer|nếu|jika|यदि|अगर|لو\b|إذا)",
    re.IGNORECASE,
)
"""How a sentence begins that is not about the answer given."""
_LAST_STOP = re.compile(r"[.!?。！？\n](?=\s|$|[^\x00-\x7f])|\n")


_NO_LETTERS = re.compile(r"[^\w\\]{0,20}")


def _first_letter(text: str, at: int) -> int:
    found = _NO_LETTERS.match(text, at)
    return found.end() if found else at


def supposes(text: str, at: int, since: int = 0) -> bool:
    """Whether the sentence around a place is about a case that is not the one asked, or about what others think."""
    start = max(since, at - 200)
    stops = [stop.end() for stop in _LAST_STOP.finditer(text, start, at)]
    return bool(_SUPPOSES.match(text, stops[-1] if stops else start, at + 30))


def speaks_of_another(before: str, label: str) -> bool:
    """Whether a label is not about the answer given: "the second-best option", "if the answer were"."""
    clause = re.split(r"[.!?。！？;]\s|,\s", before)[-1]
    if re.search(
        r"(?i)\b(?:incorrect|false|eliminated|discarded|rejected|excluded|remaining)\s$", clause
    ) and not label.lower().startswith("statement"):
        return True
    return bool(_ANOTHER.search(clause)) or bool(_OTHER_LABEL.search(label))


_OTHER_LABEL = re.compile(r"\b(?:if(?! i had to)|were|would have been|had been)\b", re.IGNORECASE)


def cues(text: str, start: int) -> list[Cue]:
    """Where the text, from a place on, takes back what was said before."""
    if start >= len(text):
        return []
    found = [Cue(match.start(), match.end(), True) for match in _CERTAIN.finditer(text, start)]
    found += [Cue(match.start(), match.end(), False) for match in _MAYBE.finditer(text, max(0, start - 1))]
    if here := _HERE.match(text, start):
        found.append(Cue(here.start(), here.end(), False))
    # A cue may begin with the end of the sentence before it.
    found = [cue for cue in found[:MOST_CUES] if not supposes(text, _first_letter(text, cue.start), start)]
    return sorted(found, key=lambda cue: (cue.start, not cue.certain))


def confirms(text: str) -> bool:
    """Whether a second thought comes to what was said before."""
    return bool(_CONFIRMS.search(text))


def hedge_at(text: str, end: int) -> int | None:
    """Where the other value stands that is put beside a claim ending at a place; None where none is."""
    match = HEDGE.match(text, end)
    return match.end() if match and _STRONG_HEDGE.search(match[0]) else None
