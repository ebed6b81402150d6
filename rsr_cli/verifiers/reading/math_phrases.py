"""The answer within words: behind a label, in the last sentence, in a second thought."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rsr_cli.verifiers.comparing.equality import Comparison
from rsr_cli.verifiers.comparing.symbolic import TooLargeError
from rsr_cli.verifiers.reading.boxes import last_boxes, unclosed_box
from rsr_cli.verifiers.reading.stance import NEGATION, REFUSAL, confirms, denied_before, denied_behind
from rsr_cli.verifiers.reading.values import (
    SEGMENT,
    first_value,
    is_prose,
    last_sentence,
    sentences,
    spoken_of,
    stated_value,
    with_unit,
)

_NOT_THAT = re.compile(r",\s(?:and\s)?(?:not|rather than|instead of)\s[^,.\n]{1,40}$")
_EXPLAINS = re.compile(
    r",?\s(?:because|since|as (?:there|we|it|the|each|can)|given that|due to|which|where|for (?:the reason"
    r"|a total)|rather than|instead of"
    r"|so that|and not|but not|(?:if|unless|when|provided|assuming) )|\s[—–]\s|\s-\s(?=[A-Za-z])|;\s"
    r"|\s\((?=[^()]*[A-Za-z]{2,}\s[^()]*\)|[^()]*[a-z]{2,}[^()]*\)\W*$|[A-Z][^()]*\)\W*$)"
)
_RELATES = re.compile(
    r"\W*(?:the|a|an)?\s?(?:same|square|cube|sum|difference|product|quotient|double|twice|half of|multiple"
    r"|factor|divisor|root|number of|value of"
    r"|one (?:more|less)|anything|something|between|that|no|none|not|never|any)\b"
)
_SENTENCE = re.compile(r"[a-zA-Z]{2,} [a-zA-Z]{2,} ")
_DENIES = re.compile(
    r"\b(?:is|are|was|were|do|does|did|can|could|would) not\b|n['’]t\b|\bno (?:solution|answer|value|such)|cannot"
    r"|\bmore information\b|\bnot enough\b|\binsufficient\b"
)
_PLANS = re.compile(r"\b[Ll]et(?:'s| us| me)\b")
_YES = re.compile(r"\W{0,4}(yes|no)\b(?=[,.!:;]|\W*$)", re.IGNORECASE)
_ENDS = re.compile(r"[.!?。)\]\"*$}]$")
_OPEN_JSON = re.compile(r"(?:```\w*\s*)?\{\s*[\"']reasoning[\"']")
_CLOSING = re.compile(r"\"?\s*\}?\s*```\s*$|\"\s*\}\s*$")
_UNFINISHED = re.compile(
    r"(?:[-=,:;+(^_&{]|(?<!\*)\*|\b(?:is|are|the|of|and|or|a|to|so|by|for|with|we|that|in"
    r"|gives|get|yields|have|has|from|on|at|into|equals|than|as|which|if|when|next|now)|\\[a-z]+)\s*$"
)
_COPULA = re.compile(r"(?:\b(?:is|are|equals)\b|是|为)\s*")
_COMES_TO = re.compile(
    r"\b(?:it(?:['’]s| is| was| comes| should| must| would| has to| equals| works| turns| has| to)|(?:answer"
    r"|total|result|value|sum|number|count|figure|area|length|one)\b"
    r"[^.\n]{0,40}\b(?:is|be|comes|equals|becomes|has|to)|we (?:get|have|obtain|find|end)|(?:that|this"
    r"|which) (?:gives|makes|leaves|means|yields|is|should)"
    r"|should be|should read|must be|ought to be|has to be|comes to|gives|yields|makes|so\b|instead|I (?:get"
    r"|mean|meant|now get|find|obtain)|there (?:are|is|were))\b|=",
    re.IGNORECASE,
)
_OF_THE_ANSWER = re.compile(r"\W*(?:the|this|my)\s(?:final\s)?answer\s(?:is|must|has|should|can)\b", re.IGNORECASE)
"""Where the label states no value, the rest of its sentence states none either."""
MOST_CLAUSES = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """`readings`, the most literal one first: the sentence or box, then the value in it.

    `together` is several boxes read as one list, where they stand side by side with words between them. `worded` is an
    answer in words alone.
    """

    readings: tuple[str, ...]
    together: str | None = None

    @property
    def worded(self) -> bool:
        return bool(self.readings) and not re.search(r"[\d\\$√π∞]", self.readings[0])


def same_answer(first: Answer, second: Answer) -> bool:
    """Whether two answers of a reply are one."""
    if not first.readings or not second.readings:
        return first.readings == second.readings
    if first.readings[-1] == second.readings[-1]:
        return True
    if max(len(first.readings[-1]), len(second.readings[-1])) > 200:
        return False
    try:
        return Comparison().equal(first.readings[-1], second.readings[-1])
    except TooLargeError:
        return False


def from_text(text: str) -> Answer:
    """The readings of an answer in words: all of it, then the value in it."""
    text = text.strip().strip("*").strip()
    if boxes := last_boxes(text):
        return Answer((boxes[-1].content.strip(),))
    text = _NOT_THAT.sub("", text)
    explained = _EXPLAINS.search(text)
    head = text[: explained.start()].rstrip(" ,*") if explained and explained.start() else text
    readings = [text] if head == text else [text, head]
    if is_prose(head):
        readings.append(_value_in(head) or head)
    if yes := _YES.match(text):
        readings.append(yes[1])
    if re.fullmatch(r"\d{1,20}!", text):
        readings.append(text[:-1])
    return Answer(tuple(dict.fromkeys(readings)))


def from_field(text: str) -> Answer:
    """The readings of what a field holds, which may be sentences."""
    if not text.strip(" ._"):
        return Answer(())
    if len(text) < 60 and not re.search(r"[.!?]\s+[A-Z]", text):
        return from_text(text)
    value = stated_value(text) if is_prose(text) else None
    return Answer(tuple(dict.fromkeys([text.strip(), *([value] if value else []), *from_text(text).readings])))


def _value_in(head: str) -> str | None:
    """The value of a phrase: the one it begins with, or that its sentence states."""
    if _RELATES.match(head) or NEGATION.match(head.lstrip()):
        return None
    value = stated_value(head, strict=True)
    return with_unit(head, value) if value else None


def conclusion(reply: str) -> Answer | None:
    """The value that the last sentence states, where the reply is no fragment."""
    text = reply.strip()
    text = text[:-30] + _CLOSING.sub("", text[-30:])
    if not text or (_OPEN_JSON.match(text) and len(text) == len(reply.strip())):
        return None
    if _UNFINISHED.search(text[-60:]) or text.count("\\begin{") > text.count("\\end{") or unclosed_box(text[-2_000:]):
        return None
    if len(text) < 200 and "\n" not in text and not _SENTENCE.search(text):
        first = first_value(text)
        if first and (denied_before(text, first[0]) or denied_behind(text, first[1])):
            return None
        return from_text(text.rpartition("=")[2] if "**" in text else text)
    last = text[-1_000:].rsplit("\n\n", 1)[-1].strip()
    display = last if last.count("\\[") + last.count("$$") else last.rsplit("\n", 1)[-1]
    segments = [match for match in SEGMENT.finditer(display) if match[0][:2] in ("$$", "\\[")]
    if segments and not display[segments[-1].end() :].strip(" .*"):
        content = next(part for part in segments[-1].groups() if part)
        return Answer((content, content.rpartition("=")[2].strip(" .")))
    sentence = last_sentence(display)
    if yes := _YES.match(sentence):
        return from_text(sentence) if not _DENIES.search(sentence) else Answer((yes[1],))
    cut_off = not _ENDS.search(text) and (
        len(sentence) > 60 or not display.strip().endswith(sentence) or _PLANS.search(sentence)
    )
    if cut_off or REFUSAL.search(text[-300:]) or _OF_THE_ANSWER.match(sentence):
        return None
    stated = _stated(sentence)
    if (
        re.search(r"[\d$\\]", sentence)
        or len(sentence) > 100
        or not _ENDS.search(sentence)
        or not _SENTENCE.search(sentence)
    ):
        return stated
    return Answer((sentence.strip(" ."), *(stated.readings if stated else ())))


def _stated(sentence: str) -> Answer | None:
    """What a last sentence states."""
    first = first_value(sentence)
    if _DENIES.search(sentence) or NEGATION.search(sentence) or (first and denied_behind(sentence, first[1])):
        return None
    value = stated_value(sentence)
    if value is None:
        verb = list(_COPULA.finditer(sentence))
        value = sentence[verb[-1].end() :] if verb else None
    return Answer((with_unit(sentence, value),)) if value and value.strip(" .") else None


def second_thought(text: str, held: Answer) -> Answer | None:
    """What a text that takes back a claim comes to: another value, `held` where it confirms that, None where none."""
    found: str | None = None
    confirmed = False
    for clause in sentences(text[:1_000])[:MOST_CLAUSES]:
        if confirms(clause):
            confirmed = True
            continue
        first = first_value(clause)
        if first is None or (not _COMES_TO.search(clause) and len(clause) > 25):
            continue
        if denied_before(clause, first[0]) or denied_behind(clause, first[1]) or spoken_of(clause, first[0], first[1]):
            continue
        value = stated_value(clause, strict=True)
        found = value if value is not None else found
    if found is None:
        return held if confirmed else None
    return Answer((found,))
