"""What a reward model puts out for a conversation, one logit per label, and the score that is made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

from rsr_cli.errors import ConfigError
from rsr_cli.types import Message

Activation = Literal["none", "sigmoid", "softmax"]


class NoScoreError(Exception):
    """One reply got no score: too long, out of memory, a failed request. The message is fit to be shown."""

    def __init__(self, message: str, status: Literal["timeout", "error"] = "error") -> None:
        super().__init__(message)
        self.status = status


class LogitSource(Protocol):
    """A reward model, wherever it runs. Entered as an async context."""

    async def __aenter__(self) -> LogitSource: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def logits(self, messages: list[Message], reply: str) -> list[float]:
        """One number per label, before any activation, for `reply` to `messages`.

        Raises NoScoreError for this reply alone, an RsrError where no reply can be scored.
        """
        ...


def score_of(logits: Sequence[float], label: int | None, activation: Activation) -> float:
    """The score of a reply: the logit of the label (the only one where it is None), activated.

    Raises NoScoreError where it is not finite, ConfigError where the label does not fit the model.
    """
    chosen = checked_label(len(logits), label)
    if not all(map(math.isfinite, logits)):
        raise NoScoreError(f"the score is not a finite number: {logits[chosen]}")
    logit = logits[chosen]
    if activation == "sigmoid":
        # Of the two forms of the sigmoid, the one whose exponential does not overflow.
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))
    if activation == "softmax":
        highest = max(logits)
        exponentials = [math.exp(value - highest) for value in logits]
        return exponentials[chosen] / sum(exponentials)
    return logit


def checked_label(count: int, label: int | None) -> int:
    """The index of the label to score by, of a model with `count` labels; ConfigError where that is not clear."""
    if label is None and count != 1:
        raise ConfigError(
            f"verifier.label: the reward model has {count} labels",
            f"say which one is the score, by its index: 0 to {count - 1}",
        )
    if label is not None and label >= count:
        raise ConfigError(f"verifier.label: {label} is not among the reward model's {count} label(s), counted from 0")
    return label or 0
