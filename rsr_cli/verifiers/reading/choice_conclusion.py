"""The choice that a reply comes to where nothing marks it: in its last sentences, or its verdicts on the options."""

from __future__ import annotations

import re

from rsr_cli.verifiers.reading.letters import Alphabet, Choice
from rsr_cli.verifiers.reading.option_texts import OptionTexts
from rsr_cli.verifiers.reading.phrases import CORRECT, IS, WRONG, any_of
from rsr_cli.verifiers.reading.stance import (
    REFUSAL,
    confirms,
    denied_before,
    denied_behind,
    speaks_of_another,
    supposes,
)

_DANGLING = re.compile(
    r"\s{0,6}(?:The|Final|So the|the) (?:final )?answer(?: is)?\W*$"
    r"|\s{0,6}(?:All|None of|The) (?:of )?(?:the )?other (?:options|choices|answers|statements)[^.]*\.\s*$",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"(?:^|[,;]\s)\W{0,4}(?i:thus|therefore|hence|so|finally|clearly|probably|(?:most )?likely|definitely|must be)"
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
_SEVERAL = r"\(?[A-Z][)*]{0,3}(?:(?:,\s*and|,\s*or|,|\s+and|\s+or|\s*[和与及])\s*[(*]{0,3}[A-Z][)*]{0,3})"
_JUDGED = re.compile(
    rf"(?<![A-Za-z])(?P<letters>{_SEVERAL}{{0,9}})(?:"
    r"\s+(?:is|are|seems?|would be|fits|matches)\s+(?:both\s+)?(?:the\s+)?(?:only\s+|most\s+)?"
    r"(?:complete|correct|right|best|true|answer|appropriate|accurate|suitable|likely|plausible|closest|option"
    r"|choice|one)\b"
    r"|\s*(?:选项|项)?(?:是|都|均)?(?:正确|符合))"
    r"|\b[Oo]nly\s+(?:option\s+|choice\s+)?(?P<only>\(?[A-Z]\)?)\s+[a-z]+s\b"
)
_BEST = re.compile(r"\b(?:best|most|only|answer)\b")
_REFUSED = re.compile(r"(?:n't|not) be\b|\b(?:eliminated?|rule[sd]? out|consider|examine|evaluate|look at)\b|排除")
"""An option that a sentence speaks of without choosing it."""
_NONE = re.compile(
    r"\W{0,6}(?:the\s+)?(?:none\b|no (?:correct|option|choice|answer)|neither\b|cannot be|can't be|"
    r"not (?:listed|available|among|provided|clear|given|in)\b|undetermined|unclear|unknown|"
    r"无|没有|不确定|不能|题目|以上都不|都不)",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!?。)\]}\"'*$`>]$|\b[A-Z]$")
_REMARK = re.compile(
    r"\W*(?:note|remember|recall|check|verification|explanation|hint|tip|caution|keep in mind|be careful"
    r"|this (?:answer|choice|result|is (?:because|why|reasonable|consistent))"
    r"|the (?:second|next|most tempting|runner|other|wrong|common|closest)|a common|some (?:people|students)"
    r"|it(?:'s| is) worth|in general|don['’]t forget)",
    re.IGNORECASE,
)
_LISTED = re.compile(
    r"^[ \t>*•\-–]{0,6}[(\[]?\**[(\[]?([A-Z])[)\].:]?\**[).:\]]?(?:\s|\*)[ \t]*(\S[^\n]*)?$", re.MULTILINE
)
_ITEM = re.compile(
    r"(?:^|(?<=[.;,。；，|✗✓✘✔❌✅×]))[ \t>|*•\-–]{0,6}(?:\d{1,2}[.)]\s)?(?:\**(?:option|choice|statement|answer"
    r"|选项)\s)?[(\[]?\**[(\[]?([A-Z])"
    r"(?=[)\].:*|]|\s+(?:is|are|was|-|–|—|:|✗|✓|✘|✔|❌|✅|\||would|can|does|seems|looks|falsch|richtig)|\s*(?:错|正确"
    r"|对|不))",
    re.MULTILINE | re.IGNORECASE,
)
_INLINE = re.compile(r"(?<!\w)\(?([A-Z])[).]\s?")
_RIGHT = re.compile(rf"(?:{any_of(CORRECT)})|✓|✔|✅|\byes\b|\bja\b", re.IGNORECASE)
_WRONG_VERDICT = re.compile(
    rf"(?:{any_of(WRONG)})|✗|✘|❌|×|\bno\b|\b(?:not|n['’]t)\b|doubtful"
    rf"|unlikely",
    re.IGNORECASE,
)
_ALSO = re.compile(
    r"\b(?:also|less so|plausible|tempting|similar|second[- ]best|close second"
    r"|runner)\b",
    re.IGNORECASE,
)
_SETTLES = re.compile(
    r"(?i)(?:\b(?:it|answer|option|choice|letter|that|this|should|must|be|is|meant|mean|with|to|choose|pick"
    r"|select|instead|correction|no|actually|rather|wait|so|now)\b|['’]s|[:,—–-]|应该?是|应为|是|选|更正"
    rf"|改为|{any_of(IS)})[\s*(\[\"'$,:—–-]{{0,6}}$"
)


_CORRECT_BEHIND = re.compile(
    rf"[)\]}}*$\"'\s]{{0,6}}(?:选?项|번|番)?(?:(?:{any_of(IS)})|が|は|가|이|은|는)?\s?(?:(?:la|el|le|die|der|das|the|il|o|a)\s(?:\w+\s)?)?"
    rf"(?:{any_of(CORRECT)})|\s(?:it is|is it)\W*$",
    re.IGNORECASE,
)


def conclusion(text: str, letters: Alphabet, texts: OptionTexts) -> Choice | None:
    """What the last sentence points at: "which is option (G).", or the one option whose text it holds."""
    text = text[:-400] + _DANGLING.sub("", text[-400:])
    if re.search(r"[,:=+(]\s*$", text):
        return None
    if (verdicts := _verdicts(text, letters)) is not None:
        return verdicts if verdicts.letters else None
    paragraph = text.rstrip().rsplit("\n", 1)[-1]
    sentences = [part for part in re.split(r"(?<=[^A-Z][.!?])\s+|。", paragraph) if part.strip()]
    while len(sentences) > 1 and _REMARK.match(sentences[-1]):
        sentences.pop()
    if sentences and (match := _CONCLUSION.search(sentences[-1])) and match[1] in letters:
        return Choice(frozenset(match[1]))
    cut_off = not _ENDS.search(text)  # then the sentence before is not the last word either
    for sentence in reversed(sentences[-1:] if cut_off else sentences[-2:]):
        if (stop := _of_sentence(sentence, letters, texts)) is not None:
            return stop if stop.letters else None
    return None


def _of_sentence(sentence: str, letters: Alphabet, texts: OptionTexts) -> Choice | None:
    """The choice of a sentence, one without letters where it says that there is none."""
    verdict = _JUDGED.search(sentence)
    if _NONE.search(sentence[: verdict.start()] if verdict else sentence) and not _BRACKETED.search(sentence):
        return Choice(frozenset())
    verdicts = [
        match
        for match in _JUDGED.finditer(sentence)
        if not denied_before(sentence, match.start()) and not denied_behind(sentence, match.end("letters"))
    ]
    best = [match for match in verdicts if _BEST.search(match[0])]  # A is true, but D is the best answer
    judged = [letter for match in best or verdicts for letter in re.findall("[A-Z]", match["letters"] or match["only"])]
    judged = judged or [
        match["letter"]
        for match, denied in letters.in_clause(sentence)
        if not denied and _CORRECT_BEHIND.match(sentence, match.end("letter"))
    ]
    placed = judged or _placed(_BRACKETED, sentence) or _placed(_PLACED, sentence)
    if not judged and (_REFUSED.search(sentence) or REFUSAL.search(sentence) or speaks_of_another(sentence, "")):
        return Choice(frozenset())
    placed = [letter for letter in placed if letter in letters]
    if placed:
        return Choice(frozenset(placed), either=bool(re.search(r"\bor\b|或", sentence)) and len(set(placed)) > 1)
    return texts.named_in(sentence) or (None if denied_behind(sentence, 0) else _of_value(sentence, texts))


def _of_value(sentence: str, texts: OptionTexts) -> Choice | None:
    return None if REFUSAL.search(sentence) or re.search(r"\bnot\b|n['’]t\b", sentence) else texts.of_value(sentence)


def _placed(pattern: re.Pattern[str], text: str) -> list[str]:
    """The letters in the places of a pattern, without those that are denied."""
    found = []
    for match in pattern.finditer(text):
        group = next(number for number, part in enumerate(match.groups(), 1) if part)
        start = match.start(group)
        if not (
            denied_before(text, match.start())
            or denied_before(text, start - 1)
            or denied_behind(text, match.end(group))
        ):
            found.append(match[group])
    return found


def _verdicts(text: str, letters: Alphabet) -> Choice | None:
    """The options that a list of verdicts finds right, None where the text ends in no such list."""
    starts = [match for match in _ITEM.finditer(text[-3_000:]) if match[1] in letters]
    firsts = [place for place, match in enumerate(starts) if match[1] == "A"]
    found: list[re.Match[str]] = []
    for match in starts[firsts[-1] :] if firsts else []:
        if match[1] == chr(ord("A") + len(found)):
            found.append(match)
    if len(found) < 2:
        return None
    ends = [*(match.start() for match in found[1:]), len(text[-3_000:])]
    verdicts = [text[-3_000:][match.end() : end] for match, end in zip(found, ends, strict=True)]
    if any(len(verdict) > 600 for verdict in verdicts) or len(verdicts[-1].strip().split("\n\n")) > 1:
        return None
    wrong = [bool(_WRONG_VERDICT.search(verdict)) for verdict in verdicts]
    right = [not no and bool(_RIGHT.search(verdict)) for no, verdict in zip(wrong, verdicts, strict=True)]
    if not any(wrong) and not any(right):
        return None
    decided = all(no or yes for no, yes in zip(wrong, right, strict=True)) and any(right)
    return Choice(frozenset(match[1] for match, yes in zip(found, right, strict=True) if yes and decided))


def without_lists(text: str, letters: Alphabet) -> str:
    """The text with its lists of options blanked out, so that no item of a list is taken for a choice."""
    lines = text.split("\n")
    run: list[int] = []
    blanked = set[int]()
    for number, line in enumerate([*lines, ""]):
        match = _LISTED.match(line) if line and len(line) < 600 else None
        if match and (not run or ord(match[1]) == ord("A") + len(run)) and (run or match[1] == "A") and match[2]:
            run.append(number)
        elif line.strip() or number == len(lines):
            if len(run) >= 3:
                blanked |= set(run)
            run = [number] if match and match[1] == "A" and match[2] else []
    for number, line in enumerate(lines):
        rising = _INLINE.findall(line[:2_000])
        if len(rising) >= 3 and rising == [chr(ord("A") + place) for place in range(len(rising))]:
            blanked.add(number)
    return "\n".join(" " * len(line) if number in blanked else line for number, line in enumerate(lines))


def second_thought(text: str, letters: Alphabet, held: Choice, certain: bool) -> Choice | None:
    """What a text that takes back a choice comes to: another one, `held` where it confirms that, None where none."""
    found: Choice | None = None
    confirmed = False
    for clause in re.split(r"(?<=[.!?。！？])\s*|\n+", text[:800])[:6]:
        confirmed = confirmed or confirms(clause)
        if _ALSO.search(clause) or supposes(clause, 0):
            continue
        named = [match for match, denied in letters.in_clause(clause) if not denied]
        for match in named:
            alone = len({other["letter"] for other in named}) == 1 and (certain or len(clause) < 12)
            if alone or _SETTLES.search(clause[: match.start()]) or _CORRECT_BEHIND.match(clause, match.end("letter")):
                found = letters.with_more(clause, match["letter"], match.end("letter"))[0]
                break
    return found or (held if confirmed else None)
