"""`exact`: the reply must be the gold, character by character."""

from __future__ import annotations

import unicodedata
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from rsr_cli.plugins.contracts import Verifier
from rsr_cli.types import Prompt, Reply, Verdict
from rsr_cli.verifiers.texts.golds import MOST_SHOWN, NO_GOLD, gold_texts


class Exact(BaseModel, Verifier):
    """Compares the whole reply with `metadata.answer`: a text, a number, or a list of golds any of which is right.

    Characters that are written in two ways in Unicode (é as one or as two) are the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    strip: bool = True
    """Leave out white space around the reply and the gold."""
    ignore_case: bool = False
    ignore_punctuation: bool = False
    """Leave out punctuation, and take any white space for one space."""

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored."""
        return None if gold_texts(prompt.metadata) else NO_GOLD

    def stating(self, gold: str) -> str:
        """Return the gold itself."""
        return gold

    def verify(self, reply: Reply, prompt: Prompt) -> Verdict:
        """Return 1.0 or 0.0; `no_answer` where the reply is empty, `error` where there is no gold."""
        golds = gold_texts(prompt.metadata)
        if not golds:
            return Verdict.unknown("error", NO_GOLD)
        if not reply.strip():
            return Verdict.no_answer("the reply is empty")
        said = self._plain(reply)
        right = any(said == self._plain(gold) for gold in golds)
        return Verdict(float(right), "scored", reply.text[:MOST_SHOWN])

    def _plain(self, text: str) -> str:
        plain = unicodedata.normalize("NFC", text)
        if self.ignore_case:
            plain = unicodedata.normalize("NFC", plain.casefold())
        if self.ignore_punctuation:
            kept = "".join(char for char in plain if unicodedata.category(char)[0] != "P")
            # A gold such as "!" is not empty, and nothing but itself equals it.
            plain = " ".join(kept.split()) or plain
        return plain.strip() if self.strip else plain
