"""Whether a sentence says what a gold in words says: "The series converges." for "converges"."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[^\W_]+(?:['’][a-z]+)?|[<>=]|[-+](?=\d)")
_OTHERWISE = frozenset(
    ["not", "no", "never", "or", "and", "either", "neither", "nor", "if", "unless", "whether", "but", "might", "may",
     "could", "cannot", "can't", "isn't", "doesn't", "don't", "without", "than", "except", "maybe", "perhaps", "would"]
)  # fmt: skip
_VERB = re.compile(r"is|are|was|were|has|have|had|will|did|does|wins|won|gets|got|finishes|[a-z]{2,}s")
_MOST_WORDS = 24
_SYNONYMS = {"dne": "does not exist", "none": "none"}


def says(answer: str, gold: str) -> bool:
    """Whether a sentence ends in the words of the gold, or begins with them before its verb."""
    sentence, words = _split(answer), _split(gold)
    if not words or len(sentence) > _MOST_WORDS:
        return False
    if sentence == words:
        return True
    count, rest = len(words), len(sentence) - len(words)
    if rest <= 0:
        return False
    if sentence[-count:] == words:
        return not _OTHERWISE & set(sentence[:rest])
    return (
        sentence[:count] == words and bool(_VERB.fullmatch(sentence[count])) and not _OTHERWISE & set(sentence[count:])
    )


def _split(text: str) -> list[str]:
    text = re.sub(r"\\[a-zA-Z]+", " ", text.casefold())
    text = " ".join(_SYNONYMS.get(word, word) for word in _WORDS.findall(text))
    return re.sub(r"\b(solution|root)s\b", r"\1", text).split()
