"""Compare two replies: both orders are asked, and where they disagree it is a tie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, NamedTuple

from rsr_cli.verifiers.judging.calls import Bill, Call

Winner = Literal["A", "B", "tie"]
_SHARE_OF_A: dict[Winner, float] = {"A": 1.0, "tie": 0.5, "B": 0.0}


class Choice(NamedTuple):
    """What a judge says of two replies."""

    winner: Winner
    rationale: str


class BothOrders(NamedTuple):
    """One vote: the call that shows the reply as A, and the one that shows it as B."""

    as_a: Call[Choice]
    as_b: Call[Choice]

    @property
    def outcome(self) -> float | None:
        """1.0 where the reply wins, 0.0 where it loses, 0.5 for a tie; None where one of the calls failed."""
        if self.as_a.found is None or self.as_b.found is None:
            return None
        first = _SHARE_OF_A[self.as_a.found.winner]
        second = 1.0 - _SHARE_OF_A[self.as_b.found.winner]
        return first if first == second else 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """A reply against `other`, an attempt's number or the reference. With no votes the two are the same text."""

    other: int | Literal["reference"]
    votes: Sequence[BothOrders]
    mirrored: bool = False
    """The votes are of the other reply against this one."""

    @property
    def outcome(self) -> float | None:
        """From 0.0 to 1.0, the median of the votes; None where half of them or more failed."""
        if not self.votes:
            return 0.5
        outcomes = majority([vote.outcome for vote in self.votes])
        if outcomes is None:
            return None
        share = median(outcomes)
        return 1.0 - share if self.mirrored else share

    @property
    def calls(self) -> list[Call[Choice]]:
        return [call for vote in self.votes for call in vote]

    @property
    def bill(self) -> Bill:
        """What it took; nothing where it is mirrored, so that the bills of all replies add up."""
        bill = Bill()
        for call in [] if self.mirrored else self.calls:
            bill.add(call.bill)
        return bill

    def mirror(self, other: int) -> Comparison:
        """The same from the other side."""
        return Comparison(other, self.votes, mirrored=True)

    def record(self) -> dict[str, Any]:
        """For the details of a verdict. Of a mirrored one the votes stand with the other reply."""
        votes = [[_record(call) for call in vote] for vote in self.votes]
        return {"with": self.other, "outcome": self.outcome} | ({} if self.mirrored else {"votes": votes})

    def rationale(self) -> str | None:
        """The first rationale that was given."""
        return next((call.found.rationale for call in self.calls if call.found is not None), None)


def majority(values: Sequence[float | None]) -> list[float] | None:
    """The values that are known, None where those are not more than half."""
    known = [value for value in values if value is not None]
    return known if 2 * len(known) > len(values) else None


def _record(call: Call[Choice]) -> dict[str, Any]:
    return (call.found._asdict() if call.found is not None else {}) | call.record()
