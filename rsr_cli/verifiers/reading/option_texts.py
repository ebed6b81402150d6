"""The option that a text or a value stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rsr_cli.verifiers.comparing.evaluation import UnevaluableError, Value, evaluate, names_in
from rsr_cli.verifiers.comparing.expression import UnreadableError, parse
from rsr_cli.verifiers.comparing.latex import normalise
from rsr_cli.verifiers.reading.letters import Choice
from rsr_cli.verifiers.reading.stance import NEGATION, REFUSAL, denied_before, denied_behind
from rsr_cli.verifiers.reading.values import stated_value

MOST_VALUE = 40
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩"
_OUT = re.compile(
    r"\b(?:exclude|eliminate|rule|ruled|reject|discard|wrong|incorrect|false|out|except|than|unlike|about"
    r"|consider)\b",
    re.IGNORECASE,
)


class OptionTexts:
    """The texts of the options, where they are known."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.texts = {letter: plain(text) for letter, text in options.items() if plain(text)}
        self._worths = {letter: worth for letter, text in options.items() if (worth := _worth(text)) is not None}

    def exactly(self, text: str) -> Choice | None:
        """The option whose whole text this is, or whose number it is in a circle."""
        words = plain(text)
        found = [letter for letter, option in self.texts.items() if option == words]
        if not found and self.texts and (circled := text.strip(" .()")) in _CIRCLED and circled:
            letter = chr(ord("A") + _CIRCLED.index(circled[0]))
            return Choice(frozenset(letter)) if len(circled) == 1 and letter in self.texts else None
        return Choice(frozenset(found)) if len(found) == 1 else None

    def spelled(self, text: str) -> Choice | None:
        """The option whose text this is, where that text begins like a letter of an option: "E. coli", "B cells"."""
        found = self.exactly(text)
        if found is None:
            return None
        words = self.texts[next(iter(found.letters))]
        return found if len(words) > 1 and re.match(r"[a-z](?![a-z])|[a-z]{2,6}$", words) else None

    def of_value(self, sentence: str) -> Choice | None:
        """The option that is the value of a sentence: "The total is 24 apples." where (B) is 24."""
        if not self.texts:
            return None
        value = sentence if _worth(sentence) is not None else stated_value(sentence) or ""
        equal = [letter for letter, worth in self._worths.items() if worth == _worth(value)]
        return Choice(frozenset(equal)) if len(equal) == 1 else self.exactly(value)

    def named_in(self, sentence: str) -> Choice | None:
        """The one option whose text stands in the sentence, as words and not within another option's text."""
        if REFUSAL.search(sentence) or NEGATION.search(sentence) or _OUT.search(sentence):
            return None
        words = f" {plain(sentence)} "
        found = {letter: option for letter, option in self.texts.items() if f" {option} " in words}
        longest = {
            letter
            for letter, option in found.items()
            if not any(option != other and f" {option} " in f" {other} " for other in found.values())
        }
        if len(longest) != 1 or len(found[next(iter(longest))]) < 3 or re.search(r"n['’]t", sentence):
            return None
        return Choice(frozenset(longest))

    def denied(self, sentence: str, option: str) -> bool:
        at = sentence.casefold().find(option)
        return at >= 0 and (denied_before(sentence, at) or denied_behind(sentence, at + len(option)))


def plain(text: str) -> str:
    """Words alone, for comparing option texts."""
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|boxed|rm|bf|left|right)\b", " ", text.casefold())
    return " ".join(_words(text))


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"[-−]?\d+(?:[.,]\d+)*|\w+|[^\w\s.,;:!?*$\"'`(){}\[\]\\]", text):
        yield word.replace("−", "-")


def _worth(text: str) -> Value | None:
    """The value of a number or a fraction."""
    if len(text) > MOST_VALUE or not re.search(r"\d", text):
        return None
    try:
        node = parse(normalise(text).removeprefix("USD").strip())
        return None if names_in(node) else evaluate(node, {})
    except (UnreadableError, UnevaluableError):
        return None
