"""The claims of a reply about a math answer, and the answer that counts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rsr_cli.verifiers.reading.boxes import Box, last_boxes, side_by_side, unclosed_box
from rsr_cli.verifiers.reading.claims import Claim, Cue, Kind, Stance
from rsr_cli.verifiers.reading.clean import readable, without_remarks
from rsr_cli.verifiers.reading.decide import Decision, decide
from rsr_cli.verifiers.reading.labels import ANSWER_LABEL, LINE_START
from rsr_cli.verifiers.reading.math_phrases import (
    OUTCOME,
    Answer,
    conclusion,
    from_field,
    from_text,
    items_at,
    same_answer,
    second_thought,
)
from rsr_cli.verifiers.reading.stance import (
    NEGATION,
    cues,
    denied_before,
    denied_behind,
    hedge_at,
    speaks_of_another,
    supposes,
)
from rsr_cli.verifiers.reading.structured import fields, whole_object
from rsr_cli.verifiers.reading.values import SEGMENT, first_value

MOST_ANSWER = 400_000
_TAIL, _LONG_TAIL = 2_000, 20_000
"""Characters of the end that are looked at; the short one first, since nearly every answer stands there."""
MOST_MARKS = 12

_BOXED_LABEL = re.compile(
    rf"(?:\\(?:text|textbf|mathrm)\s*\{{)?\s*(?:the\s|final\s|correct\s|so\s){{0,3}}(?:{ANSWER_LABEL})\s*[:：]?\s*\}}?",
    re.IGNORECASE,
)
_LOOSE_CONNECTOR = re.compile(r"[^.!?\n]{0,40}")
_TURN = re.compile(r"answer|therefore|thus|hence|so\b|then|but|not\b|wait|instead", re.IGNORECASE)
_MARK = re.compile(
    r"\#{4}\s{0,6}:?"
    r"|(?:【答案】|故选)\s{0,6}[:：]?"
    rf"|(?:\b(?:final|correct|corrected)\s{{1,6}})?(?:{ANSWER_LABEL})\s{{0,6}}[:：]?"
    r"|^[ \t]{0,6}A:\s"
    r"|\b(?:final|corrected)\s{1,6}(?:result|value)\b[^.\n:=]{0,40}?(?:\bis\b|:|=)\s{0,6}:?"
    r"|^[ \t]{0,6}\**Answer\b\**",
    re.IGNORECASE | re.MULTILINE,
)
_LEAD = re.compile(r"(?:```\w{0,20}\n|[\s*:：\"'>_=→]|\\\")*")
_LINKS = re.compile(
    r"\W{0,8}(?:(?:the|so|thus|therefore|hence|my|our|final|correct|die|la|il|a|o|el)\W{1,4}){0,4}", re.IGNORECASE
)
_NOT_BUT = re.compile(r"not\b[^.\n]{0,40}?\bbut(?: rather)?\s+")
_SENTENCE_END = re.compile(
    r"(?<=[^\d\s.])[.!?](?=\s|$|\*|\"|<)|(?<=\d)[.?](?=\s|$|\*|\"|<)|[。！？]|</answer>|<\||\n|\\?\"\s*(?:}|$|```)"
    r"|\s\*\*\s*$"
)


def stated_answer(reply: str) -> Answer | None:
    """The answer that counts, None where there is none. Linear in the length of the reply."""
    return read_answer(reply).value


def read_answer(reply: str) -> Decision[Answer]:
    """The answer of a reply that counts, and why."""
    text = readable(reply)
    whole = whole_object(text)
    if whole is not None:
        answer, last = whole
        if answer is not None:
            value = from_field(answer)
            return Decision(value if value.readings else None, "the answer field of a JSON object")
        text = last
    decision = None
    for part in _parts(text):
        if decision := _decided(part):
            break
    if decision is not None:
        if decision.value is not None and not decision.value.readings:
            return Decision(None, "the answer field is empty")
        return decision
    concluded = conclusion(without_remarks(text))
    return Decision(concluded, "what the last sentence comes to" if concluded else "no claim")


def _parts(text: str) -> Iterator[str]:
    """The ends of a text in which claims are looked for, then what is around its last box, wherever that is."""
    yield text[-_TAIL:]
    if len(text) > _TAIL:
        yield text[-_LONG_TAIL:]
    if len(text) > _LONG_TAIL and (boxes := last_boxes(text)):
        yield text[max(0, boxes[-1].start - _TAIL) : boxes[-1].end + _TAIL]


def _decided(text: str) -> Decision[Answer] | None:
    events = claims(text)
    if not any(isinstance(event, Claim) for event in events):
        return None
    return decide(text, events, same_answer, lambda cue, held: second_thought(text[cue.start :], held))


def claims(text: str) -> list[Claim[Answer] | Cue]:
    """What the text claims and takes back, in its order. What stands before its last box can't count any more."""
    boxes = last_boxes(text)
    found: list[Claim[Answer]] = []
    start = 0
    if boxes:
        start = boxes[-1].start
        found.append(_box_claim(text, boxes))
        start = boxes[-1].end
    found += [_field_claim(field.start, field.end, field.value) for field in fields(text, start)]
    inside = [(claim.start, claim.end) for claim in found]
    marks = [
        mark for mark in _MARK.finditer(text, start) if not any(low <= mark.start() < high for low, high in inside)
    ]
    for first, last in _labels(text, marks[-MOST_MARKS:]):
        found += _behind_label(text, first, last)
    found.sort(key=lambda claim: claim.start)
    events: list[Claim[Answer] | Cue] = list(found)
    if found:
        events += cues(text, found[0].end)
        for claim in found:
            other = hedge_at(text, claim.end)
            value = first_value(text[other : other + 60]) if other is not None else None
            if value and value[0] < 12:
                events.append(Claim(claim.end, claim.end + 1, claim.kind, from_text(value[2]), "tentative"))
    events.sort(key=lambda event: event.start)
    return events


def _labels(text: str, marks: list[re.Match[str]]) -> list[tuple[re.Match[str], re.Match[str]]]:
    """The labels by their first and last mark: "Final Answer: The final answer is" is one label."""
    labels: list[tuple[re.Match[str], re.Match[str]]] = []
    for mark in marks:
        if labels and _LINKS.fullmatch(text, labels[-1][1].end(), mark.start()):
            labels[-1] = (labels[-1][0], mark)
        else:
            labels.append((mark, mark))
    return labels


def _box_claim(text: str, boxes: list[Box]) -> Claim[Answer]:
    last = boxes[-1]
    stance: Stance = "asserted"
    if denied_before(text, last.start) or denied_behind(text, last.end):
        stance = "denied"
    return Claim(last.start, last.end, Kind.MARKED, _from_boxes(text, boxes), stance)


def _from_boxes(text: str, boxes: list[Box]) -> Answer:
    """The last box, with those that stand beside it."""
    contents, either = side_by_side(text, boxes)
    if len(contents) > 1:
        return Answer(((" or " if either else ", ").join(contents),))
    if (label := _BOXED_LABEL.match(contents[0])) and contents[0][label.end() :].strip(" }"):
        contents[0] = contents[0][label.end() :].strip(" }$")
    loose = [boxes[-1]]
    for box in boxes[-2::-1]:
        between = text[box.end : loose[0].start]
        if not _LOOSE_CONNECTOR.fullmatch(between) or _TURN.search(between):
            break
        loose.insert(0, box)
    together = ", ".join(box.content for box in loose) if len(loose) > 1 else None
    return Answer((contents[0],), together)


def _field_claim(start: int, end: int, value: str) -> Claim[Answer]:
    return Claim(start, end, Kind.MARKED, from_field(value))


def _behind_label(text: str, mark: re.Match[str], last: re.Match[str]) -> list[Claim[Answer]]:
    """The claim that follows a label such as "the answer is"."""
    label = mark[0]
    line_start = text.rfind("\n", 0, mark.start()) + 1
    before = text[max(line_start, mark.start() - 60) : mark.start()]
    if speaks_of_another(before, label) or supposes(text, mark.start()) or _REASON.search(label):
        return []
    marked = label[:1] in "#【A故" or label.rstrip().endswith((":", "：", "**", "=", ">", "\n", "→", "⇒"))
    on_line = (
        bool(LINE_START.match(text[max(line_start, mark.start() - 60) : mark.start()])) or "final" in label.lower()
    )
    kind = Kind.MARKED if marked and on_line else Kind.SENTENCE
    found = _after(text, last.end())
    if found is None:
        return []
    value, end, denied = found
    denied = denied or bool(NEGATION.search(last[0]))
    if denied and (instead := _INSTEAD.match(text, last.end())) and (other := _after(text, instead.end())):
        value, end, denied = other
    stance: Stance = "denied" if denied else "asserted"
    if text[end : end + 2].lstrip(" *$").startswith("?"):
        stance = "tentative"
    if _REFERENCE.match(value.readings[0] if value.readings else ""):
        return []
    if not value.readings or (kind is not Kind.MARKED and _is_remark(value)):
        return []
    return [Claim(mark.start(), end, kind, value, stance)]


_INSTEAD = re.compile(r"[^.!?;,\n]{1,60}[,;—–]\s?(?:but\s)?(?:it(?:['’]s|\sis)|rather|instead)\s")
_REASON = re.compile(r"\b(?:because|since)\b", re.IGNORECASE)
_REFERENCE = re.compile(r"\W*(?:see|chapter|page|section|step|appendix|equation|figure|table)\b", re.IGNORECASE)
_REMARK = re.compile(
    r"\W*(?:(?:also|very|quite|indeed|then|now|always|clearly|therefore|thus|only|approximately"
    r"|already)\s)*(?:reasonable|consistent|rounded|simplified"
    r"|expressed|given|based|verified|plausible|unique|close|in (?:the|terms|units|simplest|its|square|cubic)"
    r"|found|obtained|derived|supported|exact"
    r"|a (?:multiple|bit|little|whole|positive|negative|rational|prime|perfect|good|reasonable|nice|factor|divisor)"
    r"|an (?:integer|even|odd|estimate|approximation)|confirmed|checked|valid|sensible|sound|what|why|how"
    r"|because|to be|the (?:same|one|only|most|best|correct|right|square|sum)"
    r"|that|easy|simple|clear|obvious|well|likely|probably|correct|right|as follows|below|above|provided)\b",
    re.IGNORECASE,
)


def _is_remark(value: Answer) -> bool:
    """Whether words behind "the answer is" only speak of the answer."""
    return bool(_REMARK.match(value.readings[0])) and not OUTCOME.search(value.readings[0])


def _after(text: str, at: int) -> tuple[Answer, int, bool] | None:
    """The answer that follows a label, where it ends, and whether it is denied."""
    lead = _LEAD.match(text, at)
    assert lead is not None
    start = lead.end()
    rest = text[start : at + MOST_ANSWER]
    if contrast := _NOT_BUT.match(rest):
        start += contrast.end()
        rest = rest[contrast.end() :]
    denied = bool(NEGATION.match(rest))
    if denied:
        start += (skipped := NEGATION.match(rest).end())  # type: ignore[union-attr]
        rest = rest[skipped:].lstrip()
    if rest.startswith("{") or unclosed_box(rest[:2_000]):
        return None
    if (boxes := last_boxes(rest[:2_000])) and boxes[0].start < 60:
        return _from_boxes(rest, boxes), start + boxes[-1].end, denied
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("$", "$"), ("\\(", "\\)")):
        if rest.startswith(opening):
            end = _closing_at(rest, closing, len(opening))
            if end > 0:
                end += len(closing)
                return _with_rest_of_sentence(rest, opening, end), start + end, denied or denied_behind(rest, end)
    if "\n" in text[max(0, at - 8) : start] and (listed := _items(text, start)):
        return listed[0], listed[1], denied
    sentence = _sentence(rest)
    if not sentence.strip(" .*"):
        return None
    value = from_text(sentence)
    first = first_value(sentence)
    if first is None:
        return value, start + len(sentence), denied
    end = first[1] if first[0] < 4 else len(sentence)
    return value, start + end, denied or denied_behind(sentence, first[1])


def _items(text: str, at: int) -> tuple[Answer, int] | None:
    """The items of a list that follows a label, as one answer, and where it ends."""
    items, end = items_at(text, at)
    if len(items) == 1 and text[at:end].lstrip()[:1] in "-*•":
        return from_text(items[0]), end
    return (Answer((", ".join(items),)), end) if len(items) > 1 else None


def _closing_at(text: str, closing: str, start: int) -> int:
    """Where a math segment closes; \\$ and $5 are money."""
    end = text.find(closing, start)
    while end > 0 and closing[0] == "$" and (text[end - 1] == "\\" or text[end + 1 : end + 2].isdigit()):
        end = text.find(closing, end + 1)
    return end


def _with_rest_of_sentence(rest: str, opening: str, end: int) -> Answer:
    """A math segment, and what the sentence joins to it: more segments, or a unit."""
    if opening in ("$$", "\\["):
        more = re.match(r"\s*(?:and|or|,|或|和)\s*(?=\$|\\[\[(])", rest[end:])
    else:
        more = re.match(r"(?:,?\s*(?:and|or)|,|或|和|、)\s*(?=\$|\\\()", rest[end:])
    if more:
        return from_text(rest[:end] + _sentence(rest[end:]))
    after = _sentence(rest[end : end + 80]).strip()
    unit = after if re.fullmatch(r"(?:\\?%|°|[a-zA-Z.²³/]+(?: [a-zA-Z]+){0,2})", after) else ""
    segment = rest[:end]
    return Answer((f"{segment} {unit}".strip(), segment))


def _sentence(text: str) -> str:
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


__all__ = ["SEGMENT", "Answer", "claims", "read_answer", "stated_answer"]
