"""Find the answer that a reply states: its last box, its last "the answer is …", or what its last sentence ends in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from rsr_cli.verifiers.answers.boxed import Box, last_boxes, side_by_side
from rsr_cli.verifiers.answers.prose import SEGMENT, is_prose, last_sentence, stated_value
from rsr_cli.verifiers.answers.run_on import before_run_on

MOST_ANSWER = 400_000
_TAIL = 2_000
"""Characters of the end that are looked at first; nearly every answer stands there."""

_LOOSE_CONNECTOR = re.compile(r"[^.!?\n]{0,40}")
_TURN = re.compile(r"answer|therefore|thus|hence|so\b|then|but|not\b|wait|instead", re.IGNORECASE)
_MARK = re.compile(
    r"\#{4}\s{0,6}:?"
    r"|<answer>"
    r"|(?:【答案】|故选)\s{0,6}[:：]?"
    r"|(?:最终|正确|最后)?(?:的)?(?:答案|结果)(?:应该|应)?\s{0,6}(?:\*\*)?\s{0,6}(?:是|为|等于|[:：])\s{0,6}[:：]?"
    r"|\b(?:final\s{1,6}|correct\s{1,6})?answers?\b(?!`)[^.\n:=]{0,40}?(?:\bis\b|\bare\b|:|=|\*\*|\n)\s{0,6}:?"
    r"|^[ \t]{0,6}A:\s"
    r"|\b(?:final|corrected)\s{1,6}(?:result|value)\b[^.\n:=]{0,40}?(?:\bis\b|:|=)\s{0,6}:?"
    r"|^[ \t]{0,6}\**Answer\b\**"
    r"|\b(?:respuesta|réponse|antwort|endergebnis|risposta|resposta|ответ|jawaban|đáp án)\b[^.\n:=]{0,40}?"
    r"(?:\b(?:es|est|ist|lautet|è|é|adalah|là)\b|:)"
    r"|(?:정답|답)(?:은|:)|答え(?:は|[:：])"
    r"|\bcorrection\b\s{0,6}:"
    r"|\b(?:actually|wait|no)\b[^.\n\d]{0,20}?\bit(?:'s| is| should be)\s{0,6}(?=\W{0,5}\d|\W{0,4}\\)",
    re.IGNORECASE | re.MULTILINE,
)
_JSON = re.compile(
    r"[\"'\\]{1,3}(?:final[_ ])?answer[\"'\\]{1,3}\s{0,6}:\s{0,6}"
    r"(\\?\"(?:[^\"\\]|\\.){0,2000}\"|-?\d[\d,._]*(?:[eE][-+]?\d+)?%?"
    r"|\[[^\]]{0,500}\]|null|true|false)"
)
_SENTENCE_END = re.compile(
    r"(?<=[^\d\s.])[.!?](?=\s|$|\*|\"|<)|(?<=\d)\.(?=\s|$|\*|\"|<)|[。！？]|</answer>|<\||\n|\\?\"\s*(?:}|$|```)|\s\*\*\s*$"
)
_LEAD = re.compile(r"(?:```\w{0,20}\n|[\s*:：\"'>_=→]|\\\")*")
_NOT_BUT = re.compile(r"not\b[^.\n]{0,40}?\bbut(?: rather)?\s+")
_COPULA = re.compile(r"(?:\b(?:is|are|equals)\b|是|为)\s*")
_SENTENCE = re.compile(r"[a-zA-Z]{2,} [a-zA-Z]{2,} ")
_DENIES = re.compile(
    r"\b(?:is|are|was|were|do|does|did|can) not\b|n't\b|\bno (?:solution|answer|value|such)|cannot"
    r"|\bmore information\b|\bnot enough\b"
)
_PLANS = re.compile(r"\b[Ll]et(?:'s| us| me)\b")
_YES = re.compile(r"\W{0,4}(yes|no)\b(?=[,.!:;]|\W*$)", re.IGNORECASE)
_NOT_THAT = re.compile(r",\s(?:and\s)?not\s[^,.\n]{1,40}$")
_ENDS = re.compile(r"[.!?。)\]\"*$}]$")
_OPEN_JSON = re.compile(r"(?:```\w*\s*)?\{\s*[\"']reasoning[\"']")
_CLOSING = re.compile(r"\"?\s*\}?\s*```\s*$|\"\s*\}\s*$")
_UNFINISHED = re.compile(
    r"(?:[-=,:;+(^_&{]|(?<!\*)\*|\b(?:is|are|the|of|and|or|a|to|so|by|for|with|we|that|in"
    r"|gives|get|yields|have|has|from|on|at|into|equals|than|as|which|if|when|next|now)|\\[a-z]+)\s*$"
)


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """`readings`, the most literal one first: the sentence or box, then the value in it.

    `together` is several boxes read as one list, where they stand side by side with words between them.
    """

    readings: tuple[str, ...]
    together: str | None = None


def stated_answer(reply: str) -> FoundAnswer | None:
    """The last answer of a reply, None where it has none. Linear in the length of the reply."""
    reply = before_run_on(reply)
    tail = reply[-_TAIL:]
    return _explicit(tail) or (_explicit(reply) if len(reply) > _TAIL else None) or _implicit(reply)


def _explicit(text: str) -> FoundAnswer | None:
    boxes = last_boxes(text)
    box_at = boxes[-1].start if boxes else -1
    marks = list(_MARK.finditer(text, box_at + 1))
    entries = [entry for entry in _JSON.finditer(text) if entry[1].strip('\\"_ .')]
    if entries and entries[-1].start() > box_at:
        value = _unquoted(entries[-1][1])
        later = [mark for mark in marks if mark.start() > entries[-1].end()]
        if not any(_after(text, mark.end()) for mark in later):
            return _from_text(value) if value.strip() else None
    for mark in reversed(marks[-8:]):
        if boxes and mark.end() > boxes[-1].start and re.search(r"\d|\\", text[mark.end() : mark.end() + 300]) is None:
            continue
        if found := _after(text, mark.end()):
            return found
    return _from_boxes(text, boxes) if boxes else None


def _unquoted(value: str) -> str:
    value = value.replace('\\"', '"') if value.startswith("\\") else value
    if value.startswith("["):
        return ", ".join(part.strip(" \"'") for part in value[1:-1].split(","))
    if value in ("true", "false"):
        return "yes" if value == "true" else "no"
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value, strict=False))
    except ValueError:
        return value[1:-1]


def _from_boxes(text: str, boxes: list[Box]) -> FoundAnswer:
    """The last box, with those that stand beside it."""
    contents, either = side_by_side(text, boxes)
    if len(contents) > 1:
        return FoundAnswer(((" or " if either else ", ").join(contents),))
    loose = [boxes[-1]]
    for box in boxes[-2::-1]:
        between = text[box.end : loose[0].start]
        if not _LOOSE_CONNECTOR.fullmatch(between) or _TURN.search(between):
            break
        loose.insert(0, box)
    together = ", ".join(box.content for box in loose) if len(loose) > 1 else None
    return FoundAnswer((contents[0],), together)


def _after(text: str, at: int) -> FoundAnswer | None:
    """The answer that follows a mark such as "the answer is"."""
    rest = text[_LEAD.match(text, at).end() : at + MOST_ANSWER]  # type: ignore[union-attr]
    if contrast := _NOT_BUT.match(rest):
        rest = rest[contrast.end() :]
    if rest.startswith(("{", "not ")):
        return None
    if boxes := last_boxes(rest[:2_000]):
        first = boxes[0]
        if first.start < 60:
            return _from_boxes(rest, boxes)
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("$", "$"), ("\\(", "\\)")):
        if rest.startswith(opening):
            end = _closing_at(rest, closing, len(opening))
            if end > 0:
                return _with_rest_of_sentence(rest, opening, end + len(closing))
    sentence = _sentence(rest)
    return _from_text(sentence) if sentence.strip(" .*") else None


def _closing_at(text: str, closing: str, start: int) -> int:
    """Where a math segment closes; \\$ and $5 are money."""
    end = text.find(closing, start)
    while end > 0 and closing[0] == "$" and (text[end - 1] == "\\" or text[end + 1 : end + 2].isdigit()):
        end = text.find(closing, end + 1)
    return end


def _with_rest_of_sentence(rest: str, opening: str, end: int) -> FoundAnswer:
    """A math segment, and what the sentence joins to it: more segments, or a unit."""
    if opening in ("$$", "\\["):
        more = re.match(r"\s*(?:and|or|,|或|和)\s*(?=\$|\\[\[(])", rest[end:])
    else:
        more = re.match(r"(?:,?\s*(?:and|or)|,|或|和|、)\s*(?=\$|\\\()", rest[end:])
    if more:
        return _from_text(rest[:end] + _sentence(rest[end:]))
    after = _sentence(rest[end : end + 80]).strip()
    unit = after if re.fullmatch(r"(?:\\?%|°|[a-zA-Z.²³/]+(?: [a-zA-Z]+){0,2})", after) else ""
    segment = rest[:end]
    return FoundAnswer((f"{segment} {unit}".strip(), segment))


def _sentence(text: str) -> str:
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


def _from_text(text: str) -> FoundAnswer:
    """The readings of an answer in words: all of it, then the value in it."""
    text = text.strip().strip("*").strip()
    if boxes := last_boxes(text):
        return _from_boxes(text, boxes)
    text = _NOT_THAT.sub("", text)
    value = stated_value(text) if is_prose(text) else None
    yes = [match[1]] if (match := _YES.match(text)) else []
    exclaimed = [text[:-1]] if re.fullmatch(r"\d{1,20}!", text) else []
    return FoundAnswer(tuple(dict.fromkeys([text, value or text, *exclaimed, *yes])))


def _implicit(reply: str) -> FoundAnswer | None:
    """The value that the last sentence states, where the reply is no fragment."""
    text = reply.strip()
    text = text[:-30] + _CLOSING.sub("", text[-30:])
    if not text or (_OPEN_JSON.match(text) and len(text) == len(reply.strip())):
        return None
    if _UNFINISHED.search(text[-60:]) or text.count("\\begin{") > text.count("\\end{"):
        return None
    if len(text) < 200 and "\n" not in text and not _SENTENCE.search(text):
        return _from_text(text.rpartition("=")[2] if "**" in text else text)
    last = text[-1_000:].rsplit("\n\n", 1)[-1].strip()
    display = last if last.count("\\[") + last.count("$$") else last.rsplit("\n", 1)[-1]
    segments = [match for match in SEGMENT.finditer(display) if match[0][:2] in ("$$", "\\[")]
    if segments and not display[segments[-1].end() :].strip(" .*"):
        content = next(part for part in segments[-1].groups() if part)
        return FoundAnswer((content, content.rpartition("=")[2].strip(" .")))
    sentence = last_sentence(display)
    if yes := _YES.match(sentence):
        return _from_text(sentence) if not _DENIES.search(sentence) else FoundAnswer((yes[1],))
    cut_off = not _ENDS.search(text) and (
        len(sentence) > 60 or not display.strip().endswith(sentence) or _PLANS.search(sentence)
    )
    if _DENIES.search(sentence) or cut_off:
        return None
    value = stated_value(sentence)
    if value is None:
        verb = list(_COPULA.finditer(sentence))
        value = sentence[verb[-1].end() :] if verb else None
    return FoundAnswer((value,)) if value and value.strip(" .") else None
