"""Score a multiple-choice answer by its letters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from rsr_cli.plugins.contracts import Verifier
from rsr_cli.reply import final_reply
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.reading.boxes import last_boxes
from rsr_cli.verifiers.reading.choice_answer import read_choice

LAST_LETTER = "J"
"""The last option there can be where `metadata.options` does not say."""
_LETTERS = re.compile(r"[A-Z](?:[\s,;/&|+、，；和]*[A-Z])*")
_SEPARATE = re.compile(r"[a-zA-Z](?:[\s,;/&|+、，；和]+[a-zA-Z])*")
_LIST = re.compile(r"\[\s*['\"]?\w+['\"]?(?:\s*,\s*['\"]?\w+['\"]?)*\s*\]")
_GOLD_MARKUP = re.compile(r"\\(?:text|textbf|mathrm)\b|[(){}\[\]$.\\:*`\"']|\band\b")
_GOLD_LABEL = re.compile(
    r"\A\W*(?:the\s)?(?:correct\s|right\s|best\s|final\s)?(?:answers?|options?|choices?|letters?|正确答案|答案|选项)(?:\s(?:is|are))?"
    r"[\s:：=]*(?:(?:options?|choices?|letters?)\s)?(?=\W*[A-Za-z](?![A-Za-z]{2}))",
    re.IGNORECASE,
)


class McqRlvr(BaseModel, Verifier):
    """Rules for multiple choice: the letters that the reply chooses must be those of `metadata.answer`.

    The gold is a letter, several letters ("AC", "A, C", ["A", "C"]: all of them and no other), or the text of an
    option. `metadata.options`, a list or a letter-to-text mapping, lets the text of an option stand for its letter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Why no reply to this prompt can be scored."""
        metadata = prompt.metadata
        return None if _gold_letters(metadata.get("answer"), _options(metadata.get("options"))) else _no_gold(metadata)

    def verify(self, response: str, metadata: dict[str, Any]) -> Verdict:  # type: ignore[override]
        """Score 1.0 or 0.0; `no_answer` where no option is chosen, `error` where the gold is no letter or option."""
        options = _options(metadata.get("options"))
        gold = _gold_letters(metadata.get("answer"), options)
        if not gold:
            return Verdict.unknown("error", _no_gold(metadata))
        reply = final_reply(response)
        if not reply:
            return Verdict.no_answer()
        decision = read_choice(reply, options, max(LAST_LETTER, *gold))
        choice = decision.value
        if choice is None or not choice.letters:
            return Verdict.no_answer("no option is chosen" if choice else None)
        right = choice.letters == gold and not choice.either and not decision.either
        return Verdict(float(right), "scored", choice.shown)

    def explain(self, response: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """The claims found in a reply, which of them counts and why, and how it was compared, as plain data."""
        verdict = self.verify(response, metadata)
        options = _options(metadata.get("options"))
        gold = _gold_letters(metadata.get("answer"), options)
        decision = read_choice(final_reply(response) or "", options, max(LAST_LETTER, *gold))
        letters = sorted(decision.value.letters) if decision.value else []
        compared = [{"answer": ", ".join(letters), "gold": ", ".join(sorted(gold)), "equal": set(letters) == gold}]
        return {"verdict": verdict.status, "score": verdict.score, **decision.explain(), "compared": compared}


def _no_gold(metadata: Mapping[str, Any]) -> str:
    if metadata.get("answer") in (None, "", []):
        return "no gold letter in metadata.answer"
    known = bool(metadata.get("options"))
    lacks = "it is none of metadata.options" if known else "there are no metadata.options to find it in"
    return f"no gold letter in metadata.answer: {lacks}"


def _options(options: Any) -> dict[str, str]:
    """Option texts by upper-case letter."""
    if isinstance(options, Mapping):
        return {str(letter).strip(" ().").upper(): str(text) for letter, text in options.items()}
    if isinstance(options, list | tuple):
        return {chr(ord("A") + index): _unlettered(str(text), index) for index, text in enumerate(options[:26])}
    return {}


def _unlettered(text: str, index: int) -> str:
    """ "B. Paris" as the second option is "Paris"."""
    return re.sub(rf"^\s*\(?{chr(ord('A') + index)}[.):]\s+", "", text)


def _gold_letters(answer: Any, options: Mapping[str, str]) -> frozenset[str]:
    """The letters of a gold: B, (B), Option B, B. Paris, ac, A|C, ["A", "C"], the text of an option."""
    if answer is None:
        return frozenset()
    if isinstance(answer, list | tuple | set | frozenset):
        return frozenset().union(*(_gold_letters(item, options) for item in answer)) if answer else frozenset()
    text = str(answer).strip()
    if text.startswith("[") and _LIST.fullmatch(text):
        return _gold_letters([item.strip(" '\"") for item in text[1:-1].split(",")], options)
    if boxes := last_boxes(text):
        text = boxes[-1].content
    if len(text) > 1:
        named = [letter for letter, option in options.items() if option.strip().casefold() == text.casefold()]
        if named:
            return frozenset(named[:1])
    bare = _GOLD_MARKUP.sub(" ", _GOLD_LABEL.sub("", text)).strip(" ,;")
    if _LETTERS.fullmatch(bare.upper()) and (bare.isupper() or _SEPARATE.fullmatch(bare) or _rising(bare)):
        return frozenset(letter for letter in bare.upper() if letter.isalpha() and letter.isascii())
    lettered = re.match(r"\(?([A-Za-z])\s?(?:[.):]|\s[-–])\s", _GOLD_LABEL.sub("", text).lstrip("*"))
    return frozenset(lettered[1].upper()) if lettered else frozenset()


def _rising(text: str) -> bool:
    """Whether letters run together in the order of the alphabet, as "ac" does."""
    return text.isalpha() and len(text) <= 6 and list(text) == sorted(set(text))
