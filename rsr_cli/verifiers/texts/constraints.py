"""Constraints on a text that can be checked by rules, with the names and arguments of IFEval (arXiv 2311.07911).

Each is a function of its arguments that returns the check: does a text follow it? None where that can't be told. It
raises ValueError where an argument is missing or wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rsr_cli.verifiers.texts.languages import is_in
from rsr_cli.verifiers.texts.sentences import sentences

Args = Mapping[str, Any]
Check = Callable[[str], bool | None]

_WORD = re.compile(r"\w+")
_WORD_OR_ACRONYM = re.compile(r"\w+(?:[-'’.&]\w+)*")
_CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_POSTSCRIPTS = {"p.s.": r"p\.\s?s\.", "p.p.s": r"p\.\s?p\.\s?s"}


def _count(counted: Callable[[str], int], number: str, relation: str | None = None) -> Callable[[Args], Check]:
    """A constraint on a count: by the relation that an argument names, or (None) at least."""

    def constraint(args: Args) -> Check:
        wanted = _number(args, number)
        at_least = relation is None or _relation(args, relation)
        return lambda text: counted(text) >= wanted if at_least else counted(text) < wanted

    return constraint


def _keywords(args: Args) -> Check:
    words = _texts(args, "keywords")
    return lambda text: all(word.casefold() in text.casefold() for word in words)


def _keyword_frequency(args: Args) -> Check:
    word = _text(args, "keyword").casefold()
    return _count(lambda text: text.casefold().count(word), "frequency", "relation")(args)


def _forbidden_words(args: Args) -> Check:
    words = "|".join(re.escape(word) for word in _texts(args, "forbidden_words"))
    pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
    return lambda text: pattern.search(text) is None


def _letter_frequency(args: Args) -> Check:
    letter = _text(args, "letter").lower()
    return _count(lambda text: text.lower().count(letter), "let_frequency", "let_relation")(args)


def _language(args: Args) -> Check:
    code = _text(args, "language")
    is_in("", code)  # raises where it is not known
    return lambda text: is_in(text, code)


def _paragraphs(args: Args) -> Check:
    wanted = _number(args, "num_paragraphs")

    def check(text: str) -> bool:
        parts = [part.strip() for part in text.split("***")]
        return all(parts[1:-1]) and sum(map(bool, parts)) == wanted

    return check


def _nth_paragraph_first_word(args: Args) -> Check:
    wanted, nth = _number(args, "num_paragraphs"), _number(args, "nth_paragraph")
    word = _text(args, "first_word").lower()
    if not 1 <= nth <= wanted:
        raise ValueError(f"nth_paragraph is {nth}, and num_paragraphs {wanted}")

    def check(text: str) -> bool:
        parts = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
        if len(parts) != wanted:
            return False
        first = re.split(r"[.,?!'\"]", parts[nth - 1].split()[0].lstrip("'\"").lower())[0]
        return first == word

    return check


def _postscript(args: Args) -> Check:
    marker = _text(args, "postscript_marker").strip().lower()
    pattern = re.compile(_POSTSCRIPTS.get(marker, re.escape(marker)))
    return lambda text: pattern.search(text.lower()) is not None


def _bullets(args: Args) -> Check:
    wanted = _number(args, "num_bullets")
    return lambda text: sum(bool(re.match(r"\s*(?:\*(?!\*)|-)", line)) for line in text.splitlines()) == wanted


def _highlights(text: str) -> int:
    """Passages between asterisks, one or two of them, in one line."""
    single = [found for found in re.findall(r"\*[^\n*]*\*", text) if found.strip("*").strip()]
    double = [found for found in re.findall(r"\*\*[^\n*]*\*\*", text) if found.strip("*").strip()]
    return len(single) + len(double)


def _sections(args: Args) -> Check:
    start = re.compile(rf"{re.escape(_text(args, 'section_spliter').strip())}\s?\d+")
    return _count(lambda text: len(start.findall(text)), "num_sections")(args)


def _is_json(text: str) -> bool:
    source = re.sub(r"^```(?:json)?|```$", "", text.strip(), flags=re.IGNORECASE).strip()
    try:
        json.loads(source)
    except (ValueError, RecursionError):
        return False
    return True


def _has_title(text: str) -> bool:
    return any(found.strip("<> \t") for found in re.findall(r"<<[^\n]{1,1000}?>>", text))


def _two_responses(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    said = [part for part in parts if part]
    return all(parts[1:-1]) and len(said) == 2 and said[0] != said[1]


def _repeat_prompt(args: Args) -> Check:
    prompt = _text(args, "prompt_to_repeat").strip().lower()
    return lambda text: text.strip().lower().startswith(prompt)


def _end(args: Args) -> Check:
    phrase = _text(args, "end_phrase").strip().lower()
    return lambda text: text.strip().strip('"').lower().endswith(phrase)


def _start(args: Args) -> Check:
    phrase = _text(args, "start_phrase").strip().lower()
    return lambda text: text.strip().strip('"').lower().startswith(phrase)


def _capital_words(text: str) -> int:
    return sum(word.isupper() for word in _WORD_OR_ACRONYM.findall(text))


def _in_english(cased: Callable[[str], bool]) -> Check:
    return lambda text: cased(text) and is_in(text, "en")


def _always(check: Check) -> Callable[[Args], Check]:
    """A constraint without arguments."""
    return lambda _: check


CONSTRAINTS: Mapping[str, Callable[[Args], Check]] = {
    "keywords:existence": _keywords,
    "keywords:frequency": _keyword_frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _language,
    "length_constraints:number_sentences": _count(lambda text: len(sentences(text)), "num_sentences", "relation"),
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _count(lambda text: len(_WORD.findall(text)), "num_words", "relation"),
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "detectable_content:number_placeholders": _count(
        lambda text: len(re.findall(r"\[[^\[\]\n]*\]", text)), "num_placeholders"
    ),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _always(lambda text: any(item in text for item in _CONSTRAINED)),
    "detectable_format:number_highlighted_sections": _count(_highlights, "num_highlights"),
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _always(_is_json),
    "detectable_format:title": _always(_has_title),
    "combination:two_responses": _always(_two_responses),
    "combination:repeat_prompt": _repeat_prompt,
    "startend:start_checker": _start,
    "startend:end_checker": _end,
    "startend:quotation": _always(lambda text: len(text.strip()) > 1 and text.strip()[0] == text.strip()[-1] == '"'),
    "change_case:capital_word_frequency": _count(_capital_words, "capital_frequency", "capital_relation"),
    "change_case:english_capital": _always(_in_english(str.isupper)),
    "change_case:english_lowercase": _always(_in_english(str.islower)),
    "punctuation:no_comma": _always(lambda text: "," not in text),
}
"""By the id that IFEval gives them; `startend:start_checker` (argument `start_phrase`) stands beside its own."""


def _number(args: Args, name: str) -> int:
    value = _given(args, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a whole number")
    return int(value)


def _text(args: Args, name: str) -> str:
    value = _given(args, name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a text")
    return value


def _texts(args: Args, name: str) -> Sequence[str]:
    value = _given(args, name)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"{name} is not a list of texts")
    return value


def _relation(args: Args, name: str) -> bool:
    """Whether it is "at least", and not "less than"."""
    value = _given(args, name)
    if value not in ("at least", "less than"):
        raise ValueError(f"{name} is {str(value)[:40]!r}, not 'at least' or 'less than'")
    return bool(value == "at least")


def _given(args: Args, name: str) -> Any:
    if args.get(name) is None:
        raise ValueError(f"{name} is missing")
    return args[name]
