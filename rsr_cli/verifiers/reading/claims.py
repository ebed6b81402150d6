"""A claim: a value that a reply names in a place of an answer, and what the reply does with it there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Literal, TypeVar

Stance = Literal["asserted", "denied", "tentative"]
"""tentative: hedged or asked, so that it does not decide."""
Value = TypeVar("Value")


class Kind(IntEnum):
    """Where a claim stands, the weaker kinds first."""

    CONCLUSION = 1
    """What the last sentences come to, where nothing marks an answer."""
    SENTENCE = 2
    """Behind "the answer is" within prose."""
    MARKED = 3
    """A box, a structured field, a labelled line."""


@dataclass(frozen=True, slots=True)
class Claim(Generic[Value]):
    start: int
    end: int
    kind: Kind
    value: Value
    stance: Stance = "asserted"


@dataclass(frozen=True, slots=True)
class Cue:
    """A place where the reply takes back what it said (`certain`), or may be about to."""

    start: int
    end: int
    certain: bool
