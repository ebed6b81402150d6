"""`f1`: how many words the reply shares with the gold, as in SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from rsr_cli.plugins.contracts import Verifier
from rsr_cli.types import Prompt, Reply, Verdict
from rsr_cli.verifiers.texts.golds import MOST_SHOWN, NO_GOLD, gold_texts

_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U000323af"  # Han, kana, Hangul
)
"""Characters that are compared one by one."""
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963\u0970-\u0dff"
)
"""Parts of letters, which Python does not take for any; and the scripts of India, where they are the vowels."""
_TOKEN = re.compile(
    rf"[{_ALONE}]"
    r"|(?:(?<!\w)-)?\d+(?:[.,]\d+)*"  # a number keeps its sign and its point
    rf"|(?:(?![{_ALONE}])[^\W\d_]|[{_MARKS}])+"
)
_WITHIN_WORDS = re.compile(r"(?<=\w)['’.](?=[^\W\d])|\u00ad")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ARTICLES = {"a", "an", "the"}


class F1(BaseModel, Verifier):
    """Compares the words of the reply with those of `metadata.answer`, a text or a list of golds; the best counts.

    Case, punctuation and articles do not count. Scripts without spaces (Chinese, Japanese, Thai) and Korean are
    compared by characters.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    score: Literal["f1", "exact_match"] = "f1"
    """f1: the harmonic mean of precision and recall over words. exact_match: 1.0 where all words are the same, in their
    order, else 0.0. Both are in the details."""

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored."""
        return None if gold_texts(prompt.metadata) else NO_GOLD

    def stating(self, gold: str) -> str:
        """Return the gold itself."""
        return gold

    def verify(self, reply: Reply, prompt: Prompt) -> Verdict:
        """Return a score within 0 and 1; `no_answer` where the reply is empty, `error` where there is no gold."""
        golds = gold_texts(prompt.metadata)
        if not golds:
            return Verdict.unknown("error", NO_GOLD)
        if not reply.strip():
            return Verdict.no_answer("the reply is empty")
        said = words(reply.text)
        wanted = [words(gold) for gold in golds]
        found = {
            "f1": max(shared(said, gold) for gold in wanted),
            "exact_match": float(any(said == gold for gold in wanted)),
        }
        return Verdict(found[self.score], "scored", reply.text[:MOST_SHOWN], None, json.dumps(found))


def words(text: str) -> list[str]:
    """Return the words of a text that count; where there are none, the text itself."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    plain = _THOUSANDS.sub("", _WITHIN_WORDS.sub("", plain))
    found = _TOKEN.findall(plain)
    return [word for word in found if word not in _ARTICLES] or found or [plain.strip()]


def shared(said: list[str], gold: list[str]) -> float:
    """Return the harmonic mean of precision and recall over words, each as often as it stands there."""
    common = (Counter(said) & Counter(gold)).total()
    return 2 * common / (len(said) + len(gold))
