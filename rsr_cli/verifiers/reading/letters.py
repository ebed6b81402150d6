"""The option letters that stand at a place of a reply, and which of them are a choice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rsr_cli.verifiers.reading.stance import denied_before, denied_behind

LOOK_ALIKES = str.maketrans("ΑΒΕΗΙАВСЕНІ", "ABEHIABCEHI")
_ALONE = re.compile(r"(?<!\w)[ΑΒΕΗΙАВСЕНІ](?!\w)")

# Bounded and possessive everywhere: a flood of brackets or blanks must not be tried in every way.
WRAP = (
    r"(?:[\s*_$\"'`“”‘’„「『【〔《«‹(\[{<|:>~→⇒•=–—-]|👉|✅|✔️?|✓|☑️?|➡️?|\\[({\[]"
    r"|\\(?:text[a-z]{0,4}|math[a-z]{2,5}|boxed|fbox|rm|bf|emph|underline|boldsymbol|bm)\b){0,16}+"
)
NOUN = (
    r"(?i:(?:option|choice|answer|statement|letter|opción|opção|opzione|letra|lettre|lettera|alternativa|вариант"
    r"|antwort|odpowiedź|seçenek|pilihan|đáp án|选项|選択肢)s?"
    r"(?:\s|\\?_|\*|:){0,6}+)?"
)
_THE = (
    r"(?:(?:the|both|la|el|le|il|lo|η|το|ο|die|der|das|de|den|det|het|az|ang)\s+|a\s+(?=letra|opção"
    r"|alternativa)|l['’]|选|ข้อ\s?)?"
)
# A letter that ends there: no word, no contraction, no formula goes on behind it.
LETTER = (
    r"[A-Z](?![A-Za-z0-9₀-₉^]|['’](?!\s|$|\W|[a-z]{2,4}\b)|\.[A-Z]\.|\s*[=+^](?!=|\s*[A-Z](?![A-Za-z]))"
    r"|\s*<(?!/?[a-zA-Z_|]+>)|\s*>(?=\s*[\w(-])|_[A-Za-z0-9]|-[A-Za-z0-9]|\\(?![)\]}.,]|\s|$))"
)
CHOICE = re.compile(
    rf"{WRAP}{_THE}{NOUN}{WRAP}(?P<letter>{LETTER}|[A-Z]{{2,6}}(?![A-Za-z0-9]))(?P<after>[\s\S]{{0,2}})",
    re.IGNORECASE,
)
_AND = r"and(?: also)?|as well as|together with|plus|und|et|y|e|и|ve|và|dan|oraz|och|og|en|και"
_OR = (
    r"(?:or|OR|Or)(?:\s(?:else|maybe|perhaps|possibly|even))?|oder|ou|o|или|veya|ya da|hoặc|atau|lub|of|albo"
    r"|أو|या|abo|eller|vs\.?"
)
MORE = re.compile(
    r"[)\]}*$\"'.\s】」]{0,6}(?:\([^()\n]{0,60}\)\s?)?(?P<by>,\s*(?:and|or(?:\s(?:else|maybe|perhaps|possibly))?"
    r"|oder|ou|или|o)\b|,|、|;|/|&|\+|~|\||·|"
    rf"(?<!\w)(?:{_OR}|{_AND})(?!\w)|和|与|及|或者?|と|または|もしくは|또는|혹은)\s*"
    rf"{NOUN}[*$(\[\"'{{【「]{{0,3}}(?P<letter>{LETTER})"
)
_EITHER = re.compile(rf",?\s*(?:{_OR}|或者?|/|~|または|もしくは|또는|혹은)")
_ROW = re.compile(
    r"[\s*$(\[\"'{]{0,4}([A-Z](?:[)\]}*$.\"'\s]{0,3}(?:[\s,;&+|]|\n\s?[-*•]"
    r"|\band\b)[*$(\[\"'{\s]{0,3}[A-Z](?![A-Za-z])){1,9})"
    r"[)\]}*$.,\"'\s]{0,6}$"
)
ARTICLE = re.compile(
    r"\s+(?!because|since|as\b|is\b|are\b|which|with|based|but\b|for\b|due\b|option|rather|instead|not\b|given"
    r"|would|must"
    rf"|should|fits|matches|or\b|it\b|(?:{_AND})\b)[a-z]"
)
_ISOLATED = re.compile(
    r"(?<![A-Za-z0-9'’_\\^])(?P<open>[(\[*\"'$]{0,3})(?P<letter>[A-Z])(?P<close>[)\]*\"'$.:]{0,3})(?![A-Za-z0-9'’_^]|\s*[=+^])"
)


_GAP = re.compile(r"[).:\]*\s–-]{1,5}")


@dataclass(frozen=True, slots=True)
class Choice:
    """`letters` in upper case, empty where the reply says that no option fits; `either` where it does not decide."""

    letters: frozenset[str]
    either: bool = False

    @property
    def shown(self) -> str:
        return (" or " if self.either else ", ").join(sorted(self.letters))


def latin_letters(text: str) -> str:
    """Greek and Cyrillic letters that stand alone and look like a Latin one, as that."""
    return text if text.isascii() else _ALONE.sub(lambda letter: letter[0].translate(LOOK_ALIKES), text)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The letters that options have: those that `texts` has a text for, or all up to `most` where none is known."""

    texts: Mapping[str, str]
    most: str

    def __contains__(self, letter: str) -> bool:
        letter = letter.upper()
        return letter in self.texts or (not self.texts and "A" <= letter <= self.most)

    def at(self, text: str, at: int) -> tuple[Choice, int] | None:
        """The choice of letters that begins at a place where one is due, and where it ends."""
        match = CHOICE.match(text, at)
        if match is None or not self.is_choice(text, match):
            return None
        letters = match["letter"].upper()
        if len(letters) > 1:
            return Choice(frozenset(letters)), match.end("letter")
        return self.with_more(text, letters, match.end("letter"))

    def is_choice(self, text: str, match: re.Match[str]) -> bool:
        letters = match["letter"]
        if len(letters) > 1:
            rising = list(letters) == sorted(set(letters))
            return letters.isupper() and rising and all(letter in self for letter in letters)
        if letters not in self:
            return False
        end = match.end("letter")
        bracketed = text[match.start("letter") - 1 : match.start("letter")] in (
            "(",
            "[",
            "{",
            "*",
            '"',
            "$",
            "【",
            "「",
        )
        if letters.islower():
            return (bracketed and text[end : end + 1] in ')]}*"$】」') or bool(re.match(r"[.)\s]*(?:$|\n)", text[end:]))
        return bracketed or letters not in "AI" or not ARTICLE.match(text, end)

    def with_more(self, text: str, letter: str, end: int) -> tuple[Choice, int]:
        """A letter with those joined to it: A, C and D; (B) or (F); A C on a line of their own."""
        letters, either = [letter.upper()], False
        while len(letters) < 26 and (more := MORE.match(text, self._past_text(text, end))) and more["letter"] in self:
            if more["letter"] in "AI" and ARTICLE.match(text, more.end("letter")):
                break
            if more["by"].strip() == "," and denied_behind(text, more.end("letter")):
                break
            letters.append(more["letter"])
            either = either or bool(_EITHER.fullmatch(more["by"].strip()))
            end = more.end("letter")
        if len(letters) == 1 and letter.isupper() and (row := _ROW.match(text[end - 1 : end + 60])):
            listed = re.findall(r"[A-Z]", row[1].replace("and", ""))
            if all(item in self for item in listed):
                return Choice(frozenset(listed)), end - 1 + row.end()
        return Choice(frozenset(letters), either and len(set(letters)) > 1), end

    def _past_text(self, text: str, end: int) -> int:
        """Past the option's own text behind a letter: "A. London" of "A. London and C. Rome"."""
        option = self.texts.get(text[end - 1 : end].upper(), "").strip()
        gap = _GAP.match(text, end)
        if option and gap and text[gap.end() : gap.end() + len(option)].casefold() == option.casefold():
            return gap.end() + len(option)
        return end

    def in_clause(self, clause: str) -> Iterator[tuple[re.Match[str], bool]]:
        """The letters that stand alone in a clause, and whether each is denied."""
        for match in _ISOLATED.finditer(clause):
            if match["letter"] not in self:
                continue
            if match["letter"] in "AI" and not (match["open"] or match["close"]) and ARTICLE.match(clause, match.end()):
                continue
            start, end = match.start("letter"), match.end("letter")
            yield (
                match,
                denied_before(clause, match.start()) or denied_behind(clause, end) or denied_before(clause, start),
            )
