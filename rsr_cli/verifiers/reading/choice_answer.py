"""The claims of a reply about a multiple-choice question, and the choice that counts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rsr_cli.verifiers.reading.boxes import last_boxes, side_by_side, unclosed_box
from rsr_cli.verifiers.reading.choice_conclusion import conclusion, second_thought, without_lists
from rsr_cli.verifiers.reading.claims import Claim, Cue, Kind, Stance
from rsr_cli.verifiers.reading.clean import readable, without_remarks
from rsr_cli.verifiers.reading.decide import Decision, decide
from rsr_cli.verifiers.reading.labels import CHOICE_LABEL, LINE_START
from rsr_cli.verifiers.reading.letters import CHOICE, LETTER, MORE, NOUN, WRAP, Alphabet, Choice, latin_letters
from rsr_cli.verifiers.reading.option_texts import OptionTexts
from rsr_cli.verifiers.reading.phrases import CHOOSES, any_of
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

_TAIL, _LONG_TAIL = 1_500, 8_000
"""Characters of the end that are looked at; the short one first, since nearly every choice stands there."""
MOST_MARKS = 24
_CHARACTERS = {ord("、"): ",", ord("，"): ",", ord("；"): ";", ord("："): ":"}

_MARK = re.compile(
    r"【答案】\s{0,6}:?"
    r"|(?:故|因此|所以|综上|应|本题|应该|答案|我|可)会?\s{0,6},?\s{0,6}(?:选择|选)\s{0,6}:?|(?:^|[,.。;\s])选择?\s{0,6}:?"
    r"|答案\s{0,6}(?=[A-Z](?![A-Za-z]))|的(?:一项|选项)?(?:是|为)\s{0,6}:?"
    r"|(?:正确|错误|符合|恰当|合适|应该|应当|认为|而(?=是))[^\s,.:;。A-Z]{0,8}?(?:是|为)\s{0,6}:?"
    r"|\b(?:answers?|choices?|options?|statements?)\b\s(?:that|which)\s(?:is|are|does|do"
    r"|best)\b[^.,\n:;(]{0,60}?(?:\bis\b|\bare\b|:)"
    rf"|(?:{CHOICE_LABEL}|\bwould be\b)"
    r"(?:\s{0,6}(?:definitely|clearly|therefore|thus|indeed|probably|likely|most likely|simply|either|both|then"
    r"|letter|surely|certainly))*\s{0,6}:?"
    rf"|(?:{any_of(CHOOSES)})"
    r"|(?:[.;,]|^)\s{0,6}(?:choose|pick|select|mark)\b"
    r"|(?:[.;,]|^)\s{0,6}it(?:'s| is| must be| should be| would be| could be| might be| may be| can only be"
    r"| has to be)\b"
    r"|\bAns\b\.?\s{0,6}:?|\bor (?:answer|option|choice)\s{0,6}(?=\()"
    r"|\#{4}|\bAnswer\b\s{0,6}[-–:.]?\s{0,6}\n?|^[ \t]{0,6}A:(?=[\s*(]{1,4}[A-Z]\W{0,4}$)"
    r"|\brichtig ist\b",
    re.IGNORECASE | re.MULTILINE,
)
_NONE = re.compile(
    r"\W{0,6}(?:the\s+)?(?:none\b|no (?:correct|option|choice|answer)|neither\b|cannot be|can't be|"
    r"not (?:listed|available|among|provided|clear|given|in)\b|undetermined|unclear|unknown|"
    r"无|没有|不确定|不能|题目|以上都不|都不)",
    re.IGNORECASE,
)
_LINE = re.compile(
    rf"^[^\w\s\\({{[]{{0,4}}{WRAP}{NOUN}{WRAP}(?P<letter>[A-Z])(?=[)\]}}*$\"'`.:,。»!?\s\\项】」』〕》⟩>_|=]|$)",
    re.IGNORECASE,
)
_YES_NO = re.compile(r"\W{0,4}(yes|no|maybe|true|false)[,.](?:\s|$)", re.IGNORECASE)
_LABELLED = re.compile(rf"^[^\n:]{{1,40}}:{WRAP}(?P<letter>[A-Z])[)\]}}*$\"'`.。]{{0,6}}$")
"""A last line such as "Jawaban: D", in whatever language."""
_NOT_BUT = re.compile(r"\s*not\b[^.\n]{0,40}?\bbut(?: rather)?\b")
_DENIED_LABEL = re.compile(
    r"(?:n['’]t|\bnot|\bcannot|\bnever)\s+be\W*$|^(?i:options?|choices?|answers?)\s[(*]{0,3}[A-Z]\b"
)
_SUBJECT = re.compile(
    r"\(?[A-Z][)*]{0,3}(?:(?:,\s*and|,\s*or|,|\s+and|\s+or|\s*[和与及])\s*[(*]{0,3}[A-Z][)*]{0,3}){1,9}\s*(?:are"
    r"|can|could|do|have|错|不|都|均)"
)
_SENTENCE_ABOUT = re.compile(
    r"[)\]*]{1,3}\s+(?:is|are|was|were|would|could|may|might|looks|seems|has|have|can|does|do|also|comes|gives"
    r"|says|states|only|fails|lies)\b"
)
"""Behind "(A)": a sentence about an option, which chooses none."""
_ALSO_POSSIBLE = re.compile(
    r"[^.!?\n]{0,40}?\b(?:but|though|although|while|however)\s+(?:option\s|choice\s)?\(?([A-Z])\)?\s+(?:is"
    r"|could be|might be|may be|seems|looks)\s+"
    r"(?:also|just as|equally|as)\s+(?:be\s)?(?:possible|likely|right|correct|valid|acceptable|good"
    r"|plausible)\b(?![^.\n]*\bless\b)"
)
_TABLE_RULE = re.compile(r"(?:[^\n]{0,300}\n)?[ \t]*\|?[-:| \t]{3,200}\n")
_OVER_ANOTHER = re.compile(r"^(?:,\s?)?(?:rather than|instead of|over|and not|not)\s[^\n]{1,60}$")
"""The other option that a chosen one is set against."""
_QUESTION = re.compile(r"[)\]}*$\"'.\s]{0,4}\?")


def read_choice(reply: str, options: Mapping[str, str], most: str) -> Decision[Choice]:
    """The choice of a reply that counts, and why.

    `options` maps letters to texts, empty where they are unknown; `most` is the last letter that can be one.
    """
    return _Reader(options, most).read(reply)


class _Reader:
    def __init__(self, options: Mapping[str, str], most: str) -> None:
        self._texts = OptionTexts(options)
        self._letters = Alphabet(options, most)

    def read(self, reply: str) -> Decision[Choice]:
        text = latin_letters(readable(reply))
        if not text.isascii():
            text = text.translate(_CHARACTERS)
        whole = whole_object(text)
        if whole is not None:
            answer, last = whole
            if answer is not None:
                return Decision(self._content(answer), "the answer field of a JSON object")
            text = last
        if not text.strip():
            return Decision(None, "an empty reply")
        for length in (_TAIL, _LONG_TAIL):
            if decision := self._decided(text[-length:], len(text) <= length):
                return decision
            if len(text) <= length:
                break
        if unclosed_box(text[-_TAIL:]):
            return Decision(None, "the reply is cut off")
        found = conclusion(without_remarks(text)[-_LONG_TAIL:], self._letters, self._texts)
        return Decision(found, "what the last sentences come to" if found else "no claim")

    def _decided(self, text: str, whole: bool) -> Decision[Choice] | None:
        events = self.claims(text, whole)
        if not any(isinstance(event, Claim) for event in events):
            return None
        return decide(
            text,
            events,
            lambda first, second: first == second,
            lambda cue, held: second_thought(text[cue.start :], self._letters, held, cue.certain),
        )

    def claims(self, text: str, whole: bool) -> list[Claim[Choice] | Cue]:
        """What the text claims and takes back, in its order."""
        found: list[Claim[Choice]] = []
        start = 0
        boxes = last_boxes(text)
        while boxes and not found:
            contents, either = side_by_side(text, boxes)
            if choice := self._content((" or " if either else ", ").join(contents)):
                stance: Stance = (
                    "denied"
                    if denied_before(text, boxes[-1].start) or denied_behind(text, boxes[-1].end)
                    else "asserted"
                )
                found.append(Claim(boxes[-1].start, boxes[-1].end, Kind.MARKED, choice, stance))
                start = boxes[-1].end
            boxes.pop()
        for field in fields(text, start):
            if choice := self._content(field.value):
                found.append(Claim(field.start, field.end, Kind.MARKED, choice))
        inside = [(claim.start, claim.end) for claim in found]
        listless = without_lists(text, self._letters)
        marks = [
            mark
            for mark in _MARK.finditer(listless, start)
            if not any(low <= mark.start() < high for low, high in inside)
        ]
        for mark in marks[-MOST_MARKS:]:
            if claim := self._behind_label(listless, mark):
                found.append(claim)
        found += [
            claim
            for claim in self._lines(listless, start, whole)
            if not any(other.start < claim.start < other.end for other in found)
        ]
        found.sort(key=lambda claim: (claim.start, claim.end))
        events: list[Claim[Choice] | Cue] = list(found)
        if found:
            events += cues(text, found[0].end)
            for claim in found:
                if (other := hedge_at(text, claim.end)) is not None:
                    second = self._letters.at(text, other) or self._letters.at(text, _past_words(text, other))
                    if second:
                        events.append(Claim(claim.end, claim.end, claim.kind, second[0], "tentative"))
                if (beside := _ALSO_POSSIBLE.match(text, claim.end)) and beside[1] in self._letters:
                    events.append(Claim(claim.end, claim.end, claim.kind, Choice(frozenset(beside[1])), "tentative"))
        events.sort(key=lambda event: event.start)
        return events

    def _behind_label(self, text: str, mark: re.Match[str]) -> Claim[Choice] | None:
        """The claim that follows a label such as "the answer is"."""
        if _DENIED_LABEL.search(mark[0]) or (mark[0].rstrip()[-1:] == "|" and _TABLE_RULE.match(text, mark.end())):
            return None
        line_start = text.rfind("\n", 0, mark.start()) + 1
        before = text[max(line_start, mark.start() - 60) : mark.start()]
        if speaks_of_another(before, mark[0]) or supposes(text, mark.start()):
            return None
        found = self._at(text, mark.end())
        if found is None:
            return None
        choice, _, end, denied = found
        marked = mark[0].rstrip()[-1:] in "#】:*=>\n→⇒选" or mark[0].endswith("\n")
        kind = Kind.MARKED if marked and LINE_START.match(before) else Kind.SENTENCE
        stance: Stance = "asserted"
        if (
            denied
            or denied_before(text, mark.start())
            or (NEGATION.search(mark[0][-20:]) and not re.search(r"(?i)\b(?:that|which|does|do)\b", mark[0]))
            or denied_behind(text, end)
        ):
            stance = "denied"
        elif _QUESTION.match(text, end):
            stance = "tentative"
        return Claim(mark.start(), end, kind, choice, stance)

    def _at(self, text: str, at: int) -> tuple[Choice, int, int, bool] | None:
        """The choice that begins at a place where one is due, its start and end, and whether it is denied."""
        if contrast := _NOT_BUT.match(text, at):
            at = contrast.end()
        blank = re.compile(r"\s*").match(text, at)
        start = blank.end() if blank else at
        denied = False
        if (negation := NEGATION.match(text, start)) and negation.end() - start < 12:
            denied, at = True, negation.end()
        rest = text[at : at + 300]
        sentence = _sentence(rest)
        if choice := self._texts.spelled(sentence):
            return choice, start, at + len(sentence), denied
        if found := self._letters.at(text, at):
            if denied_behind(text, found[1]) and (other := self._instead(text, found[1])):
                return other[0], start, other[1], False  # ではなくB
            return found[0], start, found[1], denied
        if _NONE.match(rest):
            return self._texts.exactly(sentence) or Choice(frozenset()), start, at + len(sentence), denied
        choice = self._texts.exactly(sentence) or self._texts.of_value(sentence)
        return (choice, start, at + len(rest[: rest.find(sentence[-8:]) + 8]), denied) if choice else None

    def _instead(self, text: str, end: int) -> tuple[Choice, int] | None:
        """The letter that is put in the place of a denied one right behind it."""
        clause = re.split(r"[.!?。！？\n,，;]", text[end : end + 40])[0]
        for match, denied in self._letters.in_clause(clause):
            if not denied:
                return self._letters.with_more(text, match["letter"], end + match.end("letter"))
        return None

    def _lines(self, text: str, start: int, whole: bool) -> list[Claim[Choice]]:
        """A first or last line that is a letter, or begins with one as "B. Paris" does."""
        lines = [line for line in re.finditer(r"[^\n]+", text) if line[0].strip(' *`"}{')]
        if not lines:
            return []
        found: list[Claim[Choice]] = []
        first, last = lines[0], lines[-1]
        if whole and start == 0 and (len(lines) < 3 or len(first[0]) < 40) and first.start() != last.start():
            if choice := self._line(first[0]):
                found.append(Claim(first.start(), first.start() + 1, Kind.SENTENCE, *choice))
            elif (verdict := _YES_NO.match(first[0])) and (named := self._texts.exactly(verdict[1])):
                found.append(Claim(first.start(), first.end(), Kind.SENTENCE, named))
        if last.start() >= start:
            if self._goes_on(lines):
                pass  # a list of verdicts that is cut off
            elif choice := self._line(last[0]):
                kind = Kind.MARKED if len(last[0]) < 40 else Kind.SENTENCE
                found.append(Claim(last.start(), last.start() + 1, kind, *choice))
            elif (labelled := _LABELLED.match(last[0])) and labelled["letter"] in self._letters:
                found.append(Claim(last.start(), last.end(), Kind.MARKED, Choice(frozenset(labelled["letter"]))))
            elif (verdict := _YES_NO.match(last[0])) and len(lines) == 1 and (named := self._texts.exactly(verdict[1])):
                found.append(Claim(last.start(), last.end(), Kind.SENTENCE, named))
        if len(lines) == 1 and whole and not found and (content := self._content(last[0])):
            found.append(Claim(last.start(), last.start() + 1, Kind.CONCLUSION, content))
        return found

    def _goes_on(self, lines: list[re.Match[str]]) -> bool:
        """Whether the last line is about one more option, the line before having refused another."""
        before, last = (_LINE.match(line[0]) for line in (lines[-2], lines[-1])) if len(lines) > 1 else (None, None)
        return bool(
            before
            and last
            and before["letter"] != last["letter"]
            and lines[-2][0][before.end("letter") :].lstrip()[:1] == ":"
            and denied_behind(lines[-2][0], before.end("letter"))
        )

    def _line(self, line: str) -> tuple[Choice, Stance] | None:
        if choice := self._texts.spelled(line):
            return choice, "asserted"
        match = _LINE.match(line)
        if match is None or match["letter"] not in self._letters:
            return None
        end = match.end("letter")
        if re.fullmatch(r"\W{0,4}:\s*", line[end:]):
            return None  # cut off before what it says of the option
        rest = line[end:].strip(" )]*.:$}\"'`。»!?】」』〕》⟩>_|=✅✓✔")
        rest = _OVER_ANOTHER.sub("", rest)
        alone = not rest or rest in ("选项", "项", "项。") or line[end:].lstrip("*")[:1] in ".):]"
        if not alone or not (match["letter"].isupper() or not rest):
            return None
        if (
            _SENTENCE_ABOUT.match(line, end)
            or denied_behind(line, end)
            or denied_behind(line, len(line) - len(line[end:].lstrip(" )]*.:")))
        ):
            return None
        stance: Stance = "tentative" if _QUESTION.match(line, end) else "asserted"
        return self._letters.with_more(line, match["letter"], end)[0], stance

    def _content(self, content: str) -> Choice | None:
        """The choice that a box or a one-line reply holds."""
        content = re.sub(
            r"\A\s*(?i:the\s+)?(?i:final\s+|correct\s+)?(?i:answer|choice|option)\s*(?i:is)?\s*:\s*", "", content
        )
        plain = re.sub(r"\\(?:text|textbf|mathrm|mathbf|rm|bf)\b|[\\{}$*]", " ", content).strip()
        if choice := self._texts.spelled(plain):
            return choice
        match = CHOICE.match(plain)
        if match and self._letters.is_choice(plain, match) and not _SUBJECT.match(plain):
            letters = match["letter"].upper()
            after = plain[match.end("letter") :].lstrip()
            if denied_behind(plain, match.end("letter")):
                return None
            if len(letters) > 1:
                return Choice(frozenset(letters)) if not after.strip(" .)") else None
            if not after or after[0] in ").]:,;&-+/、】」~" or MORE.match(plain, match.end("letter")):
                return self._letters.with_more(plain, letters, match.end("letter"))[0]
            if re.fullmatch(r"(?:[A-Z]\s+){1,9}[A-Z]", plain):
                return self._letters.with_more(plain, letters, match.end("letter"))[0]
        if NEGATION.search(content):
            return self._texts.exactly(content)
        return self._texts.exactly(content) or self._texts.of_value(content)


def _past_words(text: str, at: int) -> int:
    """Past "it is" and the like, where a second choice is put beside the first."""
    words = re.compile(
        r"(?i)(?:(?:it|that|this|the|even|also|is|be|answer|option|choice|maybe|perhaps|possibly"
        r"|['’]s)\b\W{0,3}){0,5}"
    ).match(text, at)
    return words.end() if words else at


def _sentence(text: str) -> str:
    return re.split(
        r"\n|(?<=[^\d\s][^\d\s])\.\s|(?<=\d)\.\s|\.$|。|</|<\||<eo|\"\s*}", text.lstrip(" \n:*"), maxsplit=1
    )[0]


__all__ = ["LETTER", "Choice", "read_choice"]
