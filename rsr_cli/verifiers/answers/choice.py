"""Find the option letters that a reply chooses. A letter counts in the place of a choice, never inside a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rsr_cli.verifiers.answers.boxed import last_boxes, side_by_side
from rsr_cli.verifiers.answers.evaluation import UnevaluableError, Value, evaluate, names_in
from rsr_cli.verifiers.answers.expression import UnreadableError, parse
from rsr_cli.verifiers.answers.latex import normalise
from rsr_cli.verifiers.answers.prose import stated_value
from rsr_cli.verifiers.answers.run_on import before_run_on

_TAIL, _LONG_TAIL = 1_500, 8_000
"""Characters of the end that are looked at; the short one first, since nearly every choice stands there."""
MOST_MARKS = 24
MOST_VALUE = 40
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {ord("【"): "【", ord("、"): ","}

# Bounded and possessive everywhere: a flood of brackets or blanks must not be tried in every way.
_WRAP = r"(?:\s|\*|_|\$|\"|'|`|“|「|\(|\[|\{|<|\\\(|\\\[|\\(?:text|textbf|mathrm|mathbf|boxed|rm|bf)\b|:){0,16}+"
_NOUN = (
    r"(?i:(?:option|choice|answer|statement|letter|opción|opção|opzione|letra|lettre|lettera|alternativa|选项)s?"
    r"(?:\s|\\?_|\*|:){0,6}+)?"
)
_THE = r"(?:the\s+|both\s+|la\s+|el\s+|die\s+|a\s+(?=letra|opção|alternativa)|l['’]|选)?"
# A letter that ends there: no word, no contraction, no formula goes on behind it.
_LETTER = (
    r"[A-Z](?![A-Za-z0-9₀-₉'’^]|\.[A-Z]\.|\s*[=+^]|\s*[<>](?!/?[a-zA-Z_|]+>)|_[A-Za-z0-9]|-[A-Za-z0-9]|\\(?!\)|\]))"
)
_CHOICE = re.compile(
    rf"{_WRAP}{_THE}{_NOUN}{_WRAP}(?P<letter>{_LETTER}|[A-Z]{{2,6}}(?![A-Za-z0-9]))(?P<after>[\s\S]{{0,2}})",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"[)\]}*$\"'.\s]{0,6}(?P<by>,\s*and\b|,\s*or\b|,|、|;|/|&|\+|\band\b|\bor\b|和|与|及|或)\s*"
    rf"{_NOUN}[*$(\[\"'{{]{{0,3}}(?P<letter>{_LETTER})"
)
_ARTICLE = re.compile(
    r"\s+(?!because|since|as\b|and\b|or\b|is\b|are\b|which|with|based|but\b|for\b|due\b|option|is)[a-z]"
)

_MARKS = (
    r"【答案】\s{0,6}:?",
    r"(?:答案|正确选项|正确的选项|正确答案|结论)[\s*]{0,6}(?:应该|应当|应|就)?\s{0,6}(?:是|为|选择|选|:)\s{0,6}:?",
    r"(?:故|因此|所以|综上|应|本题|应该|答案|我|可)会?\s{0,6},?\s{0,6}(?:选择|选)\s{0,6}:?|(?:^|[,.。;\s])选择?\s{0,6}:?",
    r"答案\s{0,6}(?=[A-Z](?![A-Za-z]))|的(?:一项|选项)?(?:是|为)\s{0,6}:?",
    r"(?:正确|错误|符合|恰当|合适|应该|应当|认为|而(?=是))[^\s,.:;。A-Z]{0,8}?(?:是|为)\s{0,6}:?",
    r"(?:\b|_)(?:answers?|choices?|options?|solution|conclusion|response|selection|statement|exception|letter)\b"
    r"(?:\s(?:that|which)\s(?:is|are|does|do|best)\b[^.,\n:;(]{0,40})?[^.\n:;(]{0,60}?"
    r"(?:\bis\b|\bare\b|\bbe\b|:|=>?|->|→|\bwould be\b)"
    r"(?:\s{0,6}(?:definitely|clearly|therefore|thus|indeed|probably|likely|most likely|simply|either|both|then|"
    r"letter))*\s{0,6}:?",
    r"\b(?:I|we)(?:'d|'ll|'m|'re| am| are)?\s{0,6}(?:would|will|must|can|should|have to)?\s{0,6}(?:go|going) with",
    r"\b(?:I|we)(?:'d|'ll| would| will| must| should)?\s{0,6}(?:choose|pick|select|chose|answer|say)\b",
    r"(?:[.;,]|^)\s{0,6}(?:choose|pick|select|mark)\b",
    r"\bactually,?(?:\sit(?:'s| is| should be))?\s{0,3}(?=[(*]{0,3}[A-Z]\b[)*.]{0,4}(?:$|\s*\n))",
    r"\bguess(?:\s(?:is|would be|it's))?\s{0,6}[:,]?",
    r"\bleav(?:es|ing)\s(?:us\s)?(?:with\s)?(?:only\s)?",
    r"(?:[.;,]|^|\b(?:believe|think|guess|say|so|thus|hence|but)(?: that)?)\s{0,6}"
    r"it(?:'s| is| must be| should be| would be| could be| might be| may be)\b",
    r"\bAns\b\.?\s{0,6}:?|\bcorrect(?:ion)?\b\s{0,6}:",
    r"\bor (?:answer|option|choice)\s{0,6}(?=\()",
    r"<(?:final_?)?answer>",
    r"\#{4}",
    r"[\"']?answer[\"']?\s{0,6}:",
    r"\bAnswer\b\s{0,6}[-–:]?\s{0,6}\n?",
    r"\b(?:respuesta|opción|réponse|antwort|risposta|opzione|resposta|alternativa|jawaban|đáp án)\b[^.\n:]{0,30}?"
    r"(?:\bes\b|\best\b|\bist\b|\blautet\b|\bè\b|\bé\b|\badalah\b|\blà\b|:)",
    r"\brichtig ist\b",
    r"(?:ответ|правильный ответ)\s{0,6}(?:[-—:])?",
    r"(?:答え|正解)(?:は|:)",
    r"(?:정답|답)(?:은|:)",
)
_MARK = re.compile("|".join(f"(?:{mark})" for mark in _MARKS), re.IGNORECASE | re.MULTILINE)
_NONE = re.compile(
    r"\W{0,6}(?:the\s+)?(?:none\b|no (?:correct|option|choice|answer)|neither\b|cannot be|can't be|"
    r"not (?:listed|available|among|provided|clear|given|in)\b|undetermined|unclear|unknown|"
    r"无|没有|不确定|不能|题目|以上都不|都不)",
    re.IGNORECASE,
)
_LINE = re.compile(
    rf"^[^\w\s\\({{[]{{0,4}}{_WRAP}{_NOUN}{_WRAP}(?P<letter>[A-Z])(?=[)\]}}*$\"'`.:,。»!?\s\\项]|$)", re.IGNORECASE
)
_YES_NO = re.compile(r"\W{0,4}(yes|no|maybe|true|false)[,.](?:\s|$)", re.IGNORECASE)
_LABELLED = re.compile(rf"^[^\n:]{{1,40}}:{_WRAP}(?P<letter>[A-Z])[)\]}}*$\"'`.。]{{0,6}}$")
"""A last line such as "Jawaban: D", in whatever language."""
_DANGLING = re.compile(
    r"\s{0,6}(?:The|Final|So the|the) (?:final )?answer(?: is)?\W*$"
    r"|\s{0,6}(?:All|None of|The) (?:of )?(?:the )?other (?:options|choices|answers|statements)[^.]*\.\s*$",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"(?:^|[,;]\s)\W{0,4}(?i:thus|therefore|hence|so|finally|clearly|probably|likely|definitely|must be)"
    r"[,:\s]{1,3}[*(]{0,3}([A-Z])[*)]{0,3}\W{0,6}$"
)
_BRACKETED = re.compile(
    r"(?:\b(?:is|are|be|of|by|to|as|called|except|option|options|choice|answer|statement|and|or)\b|[,:=])"
    r"\s*[*$]*\(([A-Z])\)|\(([A-Z])\)\W*$"
)
_PLACED = re.compile(
    r"\b(?i:option|choice|answer)(?:\s|\\?_)*[*(\[]{0,3}([A-Z])(?![A-Za-z0-9'’])"
    r"|选项\s*([A-Z])"
)


@dataclass(frozen=True, slots=True)
class StatedChoice:
    """`letters` in upper case, empty where the reply says that no option fits; `either` where it does not decide."""

    letters: frozenset[str]
    either: bool = False

    @property
    def shown(self) -> str:
        return (" or " if self.either else ", ").join(sorted(self.letters))


_SEVERAL = r"\(?[A-Z][)*]{0,3}(?:(?:,\s*and|,\s*or|,|\s+and|\s+or|\s*[和与及])\s*[(*]{0,3}[A-Z][)*]{0,3})"
_SUBJECT = re.compile(rf"{_SEVERAL}{{1,9}}\s*(?:are|can|could|do|have|错|不|都|均)")
_JUDGED = re.compile(
    rf"(?<![A-Za-z])(?P<letters>{_SEVERAL}{{0,9}})(?:"
    r"\s+(?:is|are|seems?|would be|fits|matches)\s+(?:both\s+)?(?:the\s+)?(?:only\s+|most\s+)?"
    r"(?:complete|correct|right|best|true|answer|appropriate|accurate|suitable|likely|plausible|closest|option|choice|one)\b"
    r"|\s*(?:选项|项)?(?:是|都|均)?(?:正确|符合))"
    r"|\b[Oo]nly\s+(?:option\s+|choice\s+)?(?P<only>\(?[A-Z]\)?)\s+[a-z]+s\b"
)
_BEST = re.compile(r"\b(?:best|most|only|answer)\b")
_REFUSED = re.compile(r"(?:n't|not) be\b|\b(?:eliminated?|rule[sd]? out|consider|examine|evaluate|look at)\b|排除")
"""An option that a sentence speaks of without choosing it."""
_DENIED = re.compile(r"(?:n['’]t|\bnot|\bcannot)\s+be\W*$|^(?i:options?|choices?|answers?)\s[(*]{0,3}[A-Z]\b")
_ENDS = re.compile(r"[.!?。)\]}\"'*$`>]$|\b[A-Z]$")
_NOT_BUT = re.compile(r"\s*not\b[^.\n]{0,40}?\bbut(?: rather)?\b")


def stated_choice(reply: str, options: Mapping[str, str], most: str) -> StatedChoice | None:
    """The last choice a reply states; None where it states none.

    `options` maps letters to texts, empty where they are unknown; `most` is the last letter that can be one.
    """
    reply = before_run_on(reply.translate(_WIDE) if not reply.isascii() else reply).strip()
    if not reply:
        return None
    reader = _ChoiceReader(options, most)
    for tail in (_TAIL, _LONG_TAIL):
        if choice := reader.explicit(reply[-tail:]) or reader.short(reply):
            return choice
        if len(reply) <= tail:
            break
    return reader.closing(reply[-_LONG_TAIL:])


class _ChoiceReader:
    def __init__(self, options: Mapping[str, str], most: str) -> None:
        self._options = {letter: _plain(text) for letter, text in options.items() if _plain(text)}
        self._worths = {letter: worth for letter, text in options.items() if (worth := _worth(text)) is not None}
        self._most = most

    def explicit(self, text: str) -> StatedChoice | None:
        """The last of the boxes and marks such as "the answer is"."""
        found: tuple[int, StatedChoice] | None = None
        boxes = last_boxes(text)
        while boxes and not found:
            contents, either = side_by_side(text, boxes)
            if choice := self._content((" or " if either else ", ").join(contents)):
                found = (boxes[-1].start, choice)
            boxes.pop()
        marks = [mark.end() for mark in _MARK.finditer(text) if not _DENIED.search(mark[0])]
        for at in marks[:-MOST_MARKS:-1]:
            if found and at <= found[0]:
                break
            if choice := self._at(text, at):
                return choice
        return found[1] if found else None

    def short(self, reply: str) -> StatedChoice | None:
        """A reply or last line that is a letter, or begins with one as "B. Paris" does."""
        lines = [line for line in reply.splitlines() if line.strip(' *`"}{')]
        if not lines:
            return None
        for line in (lines[0], lines[-1]) if len(lines) < 3 or len(lines[0]) < 40 else (lines[-1],):
            match = _LINE.match(line)
            if match and self._valid(match["letter"]):
                rest = line[match.end("letter") :].strip(" )]*.:$}\"'`。»!?")
                alone = (
                    not rest or rest in ("选项", "项", "项。") or line[match.end("letter") :].lstrip("*")[:1] in ".):]"
                )
                if alone and (match["letter"].isupper() or not rest):
                    return self._with_more(line, match["letter"], match.end("letter"))
        if (verdict := _YES_NO.match(lines[0])) and (choice := self._exactly(verdict[1])):
            return choice
        labelled = _LABELLED.match(lines[-1])
        if labelled and self._valid(labelled["letter"]):
            return StatedChoice(frozenset(labelled["letter"]))
        return self._content(reply) if len(lines) == 1 else None

    def closing(self, text: str) -> StatedChoice | None:
        """What the last sentence points at: "which is option (G).", or the one option whose text it holds."""
        text = text[:-400] + _DANGLING.sub("", text[-400:])
        if re.search(r"[,:=+(]\s*$", text):
            return None
        paragraph = text.rstrip().rsplit("\n", 1)[-1]
        sentences = [part for part in re.split(r"(?<=[^A-Z][.!?])\s+|。", paragraph) if part.strip()]
        if sentences and (match := _CONCLUSION.search(sentences[-1])) and self._valid(match[1]):
            return StatedChoice(frozenset(match[1]))
        cut_off = not _ENDS.search(text)  # then the sentence before is not the last word either
        for sentence in reversed(sentences[-1:] if cut_off else sentences[-2:]):
            verdict = _JUDGED.search(sentence)
            if _NONE.search(sentence[: verdict.start()] if verdict else sentence) and not _BRACKETED.search(sentence):
                return None
            verdicts = list(_JUDGED.finditer(sentence))
            best = [match for match in verdicts if _BEST.search(match[0])]  # A is true, but D is the best answer
            judged = [
                letter
                for match in best or verdicts
                for letter in re.findall("[A-Z]", match["letters"] or match["only"])
            ]
            letters = judged or _groups(_BRACKETED, sentence) or _groups(_PLACED, sentence)
            if not judged and _REFUSED.search(sentence):
                return None
            letters = [letter for letter in letters if self._valid(letter)]
            if letters:
                return StatedChoice(
                    frozenset(letters), either=bool(re.search(r"\bor\b|或", sentence)) and len(set(letters)) > 1
                )
            if choice := self._named_in(sentence) or self._of_value(sentence):
                return choice
        return None

    def _at(self, text: str, at: int) -> StatedChoice | None:
        """The choice that begins at a place where one is due."""
        if contrast := _NOT_BUT.match(text, at):
            at = contrast.end()
        match = _CHOICE.match(text, at)
        if match and self._is_choice(text, match):
            letters = match["letter"].upper()
            if len(letters) > 1:
                return StatedChoice(frozenset(letters))
            return self._with_more(text, letters, match.end("letter"))
        rest = text[at : at + 300]
        if _NONE.match(rest):
            return self._exactly(_sentence(rest)) or StatedChoice(frozenset())
        return self._exactly(_sentence(rest)) or self._of_value(_sentence(rest))

    def _is_choice(self, text: str, match: re.Match[str]) -> bool:
        letters = match["letter"]
        if len(letters) > 1:
            rising = list(letters) == sorted(set(letters))
            return letters.isupper() and rising and all(self._valid(letter) for letter in letters)
        if not self._valid(letters):
            return False
        end = match.end("letter")
        bracketed = text[match.start("letter") - 1 : match.start("letter")] in ("(", "[", "{", "*", '"', "$")
        if letters.islower():
            return (bracketed and text[end : end + 1] in ')]}*"$') or bool(re.match(r"[.)\s]*(?:$|\n)", text[end:]))
        return bracketed or letters not in "AI" or not _ARTICLE.match(text, end)

    def _with_more(self, text: str, letter: str, end: int) -> StatedChoice:
        """A letter with those joined to it: A, C and D; (B) or (F)."""
        letters, either = [letter.upper()], False
        while len(letters) < 26 and (more := _MORE.match(text, end)) and self._valid(more["letter"]):
            if more["letter"] in "AI" and _ARTICLE.match(text, more.end("letter")):
                break
            letters.append(more["letter"])
            either = either or more["by"].strip(", ") in ("or", "或", "/")
            end = more.end("letter")
        return StatedChoice(frozenset(letters), either and len(set(letters)) > 1)

    def _content(self, content: str) -> StatedChoice | None:
        """The choice that a box or a one-line reply holds."""
        plain = re.sub(r"\\(?:text|textbf|mathrm|mathbf|rm|bf)\b|[\\{}$*]", " ", content).strip()
        match = _CHOICE.match(plain)
        if match and self._is_choice(plain, match) and not _SUBJECT.match(plain):
            letters = match["letter"].upper()
            after = plain[match.end("letter") :].lstrip()
            if len(letters) > 1:
                return StatedChoice(frozenset(letters)) if not after else None
            if not after or after[0] in ").]:,;&-+/、" or _MORE.match(plain, match.end("letter")):
                return self._with_more(plain, letters, match.end("letter"))
        return self._exactly(content) or self._of_value(content)

    def _exactly(self, text: str) -> StatedChoice | None:
        """The option whose whole text this is."""
        plain = _plain(text)
        found = [letter for letter, option in self._options.items() if option == plain]
        return StatedChoice(frozenset(found)) if len(found) == 1 else None

    def _of_value(self, sentence: str) -> StatedChoice | None:
        """The option that is the value of a sentence: "The total is 24 apples." where (B) is 24."""
        if not self._options:
            return None
        value = sentence if _worth(sentence) is not None else stated_value(sentence) or ""
        equal = [letter for letter, worth in self._worths.items() if worth == _worth(value)]
        return StatedChoice(frozenset(equal)) if len(equal) == 1 else self._exactly(value)

    def _named_in(self, sentence: str) -> StatedChoice | None:
        """The one option whose text stands in the sentence, as words and not within another option's text."""
        plain = f" {_plain(sentence)} "
        found = {letter: option for letter, option in self._options.items() if f" {option} " in plain}
        longest = {
            letter
            for letter, option in found.items()
            if not any(option != other and f" {option} " in f" {other} " for other in found.values())
        }
        if len(longest) != 1 or len(found[next(iter(longest))]) < 3 or re.search(r"\b(?:not|never)\b|n't", sentence):
            return None
        return StatedChoice(frozenset(longest))

    def _valid(self, letter: str) -> bool:
        letter = letter.upper()
        return letter in self._options or (not self._options and "A" <= letter <= self._most)


def _worth(text: str) -> Value | None:
    """The value of a number or a fraction."""
    if len(text) > MOST_VALUE or not re.search(r"\d", text):
        return None
    try:
        node = parse(normalise(text))
        return None if names_in(node) else evaluate(node, {})
    except (UnreadableError, UnevaluableError):
        return None


def _groups(pattern: re.Pattern[str], text: str) -> list[str]:
    return [next(part for part in match.groups() if part) for match in pattern.finditer(text)]


def _sentence(text: str) -> str:
    return re.split(r"\n|(?<=[^\d])\.\s|\.$|。|</|<\||<eo|\"\s*}", text.lstrip(" \n:*"), maxsplit=1)[0]


def _plain(text: str) -> str:
    """Words alone, for comparing option texts."""
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|boxed|rm|bf|left|right)\b", " ", text.casefold())
    return " ".join(_words(text))


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"[-−]?\d+(?:[.,]\d+)*|\w+|[^\w\s.,;:!?*$\"'`(){}\[\]\\]", text):
        yield word.replace("−", "-")
