"""Read the letters that a judge names: B, "Option B", "(a)", "B. Paris", "A, C"; a word is never a row of letters."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rsr_cli.verifiers.judging.judgement import Unreadable

NONE = "NONE"
_MARKUP = re.compile(r"\\(?:boxed|text|textbf|mathrm)\b|[*_`\"'“”‘’$\\]")
_LABEL = (
    r"(?:(?:(?:final|correct|right|chosen)\s+)?(?:answers?|options?|choices?|letters?)\s*[:：=]?"
    r"|(?:选项|選項|答案)\s*[:：]?)\s*"
)
_LETTER = r"[\[({]?\s*(?P<letter>[A-Za-z])\s*[\])}]?"
_ITEM = re.compile(rf"(?:{_LABEL}){{0,2}}{_LETTER}\s*[.:]?", re.IGNORECASE)
_WITH_TEXT = re.compile(
    rf"(?:{_LABEL}){{0,2}}(?:[\[(]?\s*(?P<letter>[A-Za-z])\s*(?:[\])]\s*[:.-]?|[.:：、]|\s[-–—])\s*(?P<text>(?!(?:and|or)\b|&)\S.*)"
    r"|(?P<other>[A-Za-z])\s*\((?P<inside>[^()]+)\))\s*",
    re.IGNORECASE | re.DOTALL,
)
_RUN = re.compile(rf"(?:{_LABEL}){{0,2}}(?P<letters>[A-Z]{{2,}})", re.IGNORECASE)
_SEPARATOR = re.compile(
    r"\s*(?:[,;/&+|、，；和]|\band\b)+\s*|(?<=[A-Z\])}])(?<![A-Z][A-Z])\s+(?=[\[({]?[A-Z][\])}]?(?:\s|$))",
    re.IGNORECASE,
)
_ANOTHER = re.compile(r"(?:^|[\s,;(])[A-Z][.):]\s")
_LONGEST = 500


def read_letters(text: str, options: Mapping[str, str]) -> str:
    """Return the letters in order, such as "A, C", or NONE. Raises Unreadable.

    `options` are the texts by letter, {} where they are not known.
    """
    if len(text) > _LONGEST:
        raise Unreadable("the answer was too long for letters")
    plain = " ".join(_MARKUP.sub(" ", text).split()).strip(" .")
    if plain.strip("()[]{} ").upper() == NONE:
        return NONE
    letters = _several(plain, options) or _lettered_text(plain, options)
    if not letters:
        raise Unreadable("the answer was neither a letter nor NONE")
    if options and (unknown := sorted(letters - options.keys())):
        raise Unreadable(f"there is no option {unknown[0]}")
    return ", ".join(sorted(letters))


def _lettered_text(plain: str, options: Mapping[str, str]) -> set[str]:
    """The letter of "B. Paris", whose text must be that of the option where it is known."""
    found = _WITH_TEXT.fullmatch(plain)
    if found is None:
        return set()
    letter = (found["letter"] or found["other"]).upper()
    text = found["text"] or found["inside"]
    if _ITEM.fullmatch(text) or _ANOTHER.search(text):
        return set()
    known = options.get(letter)
    if known is not None and _squeezed(text) != _squeezed(known):
        raise Unreadable(f"its letter {letter} and its text are not those of one option")
    return {letter}


def _several(plain: str, options: Mapping[str, str]) -> set[str]:
    """The letters of a list of them, each by itself; or of a run such as "AC", in capitals."""
    letters: list[str] = []
    for part in _SEPARATOR.split(plain.strip("[]{} ")):
        if item := _ITEM.fullmatch(part):
            letters.append(item["letter"].upper())
        elif run := _RUN.fullmatch(part):
            if not run["letters"].isupper():
                return set()
            given = list(run["letters"])
            # Without the options a word in capitals looks the same, and its letters are seldom in order.
            if len(set(given)) < len(given) or not (
                set(given) <= options.keys() if options else given == sorted(given)
            ):
                return set()
            letters += given
        else:
            return set()
    return set(letters)


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()
