"""The labels that mark an answer: "the answer is", "Final answer:", 答案是, for math and choice alike."""

from __future__ import annotations

import re

from rsr_cli.verifiers.reading.phrases import ANSWER, IS, OPTION

_SCRIPTS_WITHOUT_SPACES = frozenset(["zh", "ja", "ko", "th"])
_ADJECTIVE_BEHIND = frozenset(["fa", "ar", "id", "ms", "vi", "sw"])
_SIGNS = r"\*{0,2}\s{0,2}(?:[:：=]>?|\|)|->|→|⇒|\s[—–-]\s|\*\*\s{0,3}\n|\n"


def _language(language: str, nouns: str, between: str) -> str:
    """The label of one language: a noun, little else, and a copula or a sign."""
    copulas = IS.get(language)
    if language in _SCRIPTS_WITHOUT_SPACES:
        return rf"(?:{nouns})(?:应该|应当|应|就|选项)?[\s*]{{0,6}}(?:{copulas}|{_SIGNS})"
    verb = rf"(?<!\w)(?:{copulas})(?!\w)|" if copulas else ""
    return rf"(?:(?<![\w`])|(?<=[a-z]_)|(?<=[A-Z]_))(?:{nouns})(?![\w`]){between}(?:{verb}{_SIGNS})"


_ENGLISH = frozenset(["option", "alternative", "solution", "choix", "is", "alternativ", "key"])
"""Nouns of other languages that English has too: "consider option B" chooses nothing."""


def _directly(language: str, nouns: str) -> str:
    """A noun with the value right behind it, as in the languages whose verb comes last or is left out."""
    nouns = "|".join(noun for noun in nouns.split("|") if noun not in _ENGLISH)
    edge = "" if language in _SCRIPTS_WITHOUT_SPACES else r"(?<!\w)"
    adjective = r"(?:[^\W\d_]{2,12}\s)?" if language in _ADJECTIVE_BEHIND else ""
    return rf"{edge}(?:{nouns})[\s*]{{1,6}}{adjective}(?=[(\[*$]{{0,3}}(?:[A-Z](?!\w)|\d))"


def label(*tables: dict[str, str], between: str) -> str:
    """The pattern of labels whose nouns stand in the tables; `between` is what may stand before the copula."""
    nouns: dict[str, str] = {}
    for table in tables:
        for language, words in table.items():
            nouns[language] = f"{nouns[language]}|{words}" if language in nouns else words
    parts = [_directly(language, words) for language, words in nouns.items() if language != "en"]
    parts += [_language(language, words, between) for language, words in nouns.items()]
    return "|".join(parts)


ANSWER_LABEL = label(ANSWER, between=r"[^.\n:：=]{0,40}?")
CHOICE_LABEL = label(ANSWER, OPTION, between=r"[^.\n:：=;(]{0,60}?")
LINE_START = re.compile(r"^[^\w\n]*(?:[^\W\d_]+\s+){0,4}$")
"""What may stand before a label that begins its line: markup, and a few words such as "The final"."""
