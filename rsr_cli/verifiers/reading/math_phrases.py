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
    only_refers,
    sentences,
    spoken_of,
    stated_value,
    with_unit,
)

_NOT_THAT = re.compile(r",\s(?:and\s)?(?:not|rather than|instead of)\s[^,.\n]{1,40}$")
_EXPLAINS = re.compile(
    r",?\s(?:because|since|as (?:there|we|it|the|each|can)|given that|due to|which|where|for (?:the reason"
    r"|a total)|rather than|instead of"
    r"|so that|and not|but not|and (?=(?:this|that|it|we|i|the)\b)|(?:al)?though|whereas"
    r"|(?:if|unless|when|provided|assuming) )|\s[—–]\s|\s-\s(?=[A-Za-z])|;\s"
    r"|\s\((?=[^()]*[A-Za-z]{2,}\s[^()]*\)|[^()]*[a-z]{2,}[^()]*\)\W*$|[A-Z][^()]*\)\W*$)"
)
_RESPECTIVELY = re.compile(r",?\s(?:respectively|in that order|in this order)\b(?=\W*$)")
OUTCOME = re.compile(
    r"[,;—]\s(?:which|that|and (?:that|this|so it)|so it)\s(?:is|equals|comes to|gives|makes|means)\s(.+)$"
)
_CONTRAST = re.compile(
    r"^.{0,200}(?:\bnot\b|n['’]t\b)[^,;—–\n]{1,40}"
    r"(?:[,;—–]\s?(?:but\s)?(?:it(?:['’]s|\sis)|rather|but|instead)\b|\sbut\b)\s?"
)
"""It is not 15, it's 12."""
_NONE_SUCH = re.compile(
    r"\bno (?:\w+ ){0,5}(?:exists?|works?|can|is possible|are possible|satisf\w+)\b"
    r"|\b(?:is|are|was|were|has|have|be) no\b"
    r"|\bnone of (?:which|them|these|those)\b|\bimpossible\b|\bn(?:ot|either)\b[^.]{0,30}\bexist\b|\bcontradict\w*"
    r"|\b(?:would|must|needs? to) (?:require|have to)\b"
    r"|\b(?:more|less|fewer|greater|larger|smaller|higher|lower) than\W{1,3}[\d.]+\W*$",
    re.IGNORECASE,
)
"""A sentence that says that there is no value, or only bounds it: the numbers in it state none."""
_RELATION = re.compile(
    r"(?:-?\s?[\d./]+\s*(?:[<>]=?|≤|≥|\\leq?|\\geq?)\s*)?\b[a-z]\s*(?:[<>]=?|≤|≥|\\leq?|\\geq?)\s*-?\s?[\d./]*\d"
)
_BOUNDED = re.compile(r"\bbetween\s(-?[\d./]+)\sand\s(-?[\d./]*\d),?\s\(?(inclusive|exclusive)")
_LISTING = re.compile(
    r"(?:^|\n)[^\n]{0,200}\b(?:solutions?|answers?|values?|roots?|numbers?|pairs?|zeros?|results?|possibilities|are|is)\b"
    r"[^\n.:]{0,60}:\W{0,4}\n\s*(?=[-*•]\s|\d{1,2}[.)]\s)",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s+(\S[^\n]{0,200})")
_ENVIRONMENT = re.compile(
    r"\\begin\{(?P<name>align|aligned|gather|gathered|split|equation|multline|eqnarray)(?P<star>\*?)\}(?P<rows>(?:(?!\\begin)[\s\S]){1,2000})"
    r"\\end\{(?P=name)(?P=star)\}\W*$"
)
_RELATES = re.compile(
    r"\W*(?:the|a|an)?\s?(?:same|square|cube|sum|difference|product|quotient|double|twice|half of|multiple"
    r"|factor|divisor|root|number of|value of"
    r"|one (?:more|less)|anything|something|between|that|no|none|not|never|any)\b"
)
_THAT_IT = re.compile(r"that (?:it|they|he|she|we)\s")
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
    text = _RESPECTIVELY.sub("", _NOT_THAT.sub("", text))
    explained = _EXPLAINS.search(text)
    head = text[: explained.start()].rstrip(" ,*") if explained and explained.start() else text
    readings = [text] if head == text else [text, head]
    if is_prose(head):
        readings.append(_value_in(head) or head)
        if _RELATES.match(head) and (outcome := OUTCOME.search(text)):
            readings.append(_value_in(outcome[1]) or outcome[1])
        if relation := interval_in(head if head != text else text):
            readings.append(relation)
        if said := _THAT_IT.match(head):
            readings.append(head[said.end() :])
    if yes := _YES.match(text):
        readings.append(yes[1])
    if re.fullmatch(r"\d{1,20}!", text):
        readings.append(text[:-1])
    return Answer(tuple(dict.fromkeys(readings)))


def interval_in(text: str) -> str | None:
    """The interval that words name: between 1 and 2, exclusive; all x with 1 < x < 2."""
    if bounded := _BOUNDED.search(text):
        return f"[{bounded[1]}, {bounded[2]}]" if bounded[3] == "inclusive" else f"({bounded[1]}, {bounded[2]})"
    relations = _RELATION.findall(text)
    return str(relations[0]) if len(relations) == 1 else None


def items_at(text: str, at: int) -> tuple[list[str], int]:
    """The items of a list that begins at a place, and where it ends."""
    items: list[str] = []
    while len(items) < 50 and (item := _ITEM.match(text, at)):
        items.append(item[1].strip())
        at = item.end()
    return items, at


def _last_row(text: str) -> Answer | None:
    """The last row of the aligned equations that a text ends in."""
    environment = _ENVIRONMENT.search(text[-3_000:])
    if environment is None:
        return None
    row = environment["rows"].strip().rstrip("\\ ").rpartition("\\\\")[2].replace("&", " ").strip(" .,\n")
    return Answer(tuple(dict.fromkeys([row, row.rpartition("=")[2].strip(" .")]))) if row else None


def _listed(text: str) -> Answer | None:
    """The list that a text ends in, where the line before says that it holds the answers."""
    heads = list(_LISTING.finditer(text[-2_000:]))
    if not heads:
        return None
    items, end = items_at(text[-2_000:], heads[-1].end())
    if not items or text[-2_000:][end:].strip() or any(is_prose(item) for item in items):
        return None
    return Answer((", ".join(items),))


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
    if "\\end{" in text[-20:] and (row := _last_row(text)):
        return row
    if "\n" in text and (listed := _listed(text)):
        return listed
    if len(text) < 200 and "\n" not in text and not _SENTENCE.search(text):
        text = _CONTRAST.sub("", text)
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
    behind = display[display.rfind(sentence) + len(sentence) :] if sentence else ""
    if _NONE_SUCH.search(behind):
        return None
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
    if "not" in sentence or "n't" in sentence or "n’t" in sentence:
        sentence = _CONTRAST.sub("", sentence)
    sentence = _RESPECTIVELY.sub("", sentence)
    if bounds := interval_in(sentence):
        return Answer((bounds,))
    explained = _EXPLAINS.search(sentence)
    if explained and re.match(r"\W*(?:because|since)\b", explained[0]) and first_value(sentence[: explained.start()]):
        sentence = sentence[: explained.start()]
    if only_refers(sentence):
        return None
    if _NONE_SUCH.search(sentence):
        return None if "=" in sentence else Answer((sentence.strip(" ."),))
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
