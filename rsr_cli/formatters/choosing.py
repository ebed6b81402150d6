"""Which responses of a prompt come first among equals, and which pairs of them become rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal

from rsr_cli.types import Rollout

Candidate = tuple[Rollout, float]
Preference = Literal["first", "shortest", "longest", "random"]
_MOST_OF_A_SIDE = 64
"""Several pairs of a prompt are made of at most so many responses on either side, the best and the worst."""


def preferred(prefer: Preference, length: Callable[[Rollout], int]) -> Callable[[Rollout], float]:
    """Return the key by which responses of the same score are put in order."""
    if prefer == "first":
        return lambda rollout: rollout.attempt.attempt
    if prefer == "random":
        return _place
    return length if prefer == "shortest" else lambda rollout: -length(rollout)


def _place(rollout: Rollout) -> float:
    """A number that looks random, and is the same in every run."""
    text = f"{rollout.attempt.id}\0{rollout.attempt.attempt}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:6])


def widest_pair(
    better: list[Candidate], worse: list[Candidate], texts: Mapping[int, str]
) -> tuple[Candidate, Candidate] | None:
    """Return the pair that is written differently, with the widest margin; None where no pair has one. `texts` is what
    is written of a candidate, by its `id()`."""
    # `better` has the best first and `worse` the worst, so the widest pair holds the first of one side: any other
    # pair is no wider than the two that its members make with the firsts, one of which differs.
    with_firsts = [(chosen, rejected) for chosen in better[:1] for rejected in worse]
    with_firsts += [(chosen, rejected) for chosen in better[1:] for rejected in worse[:1]]
    pairs = [
        (chosen, rejected)
        for chosen, rejected in with_firsts
        if chosen[1] > rejected[1] and texts[id(chosen)] != texts[id(rejected)]
    ]
    return max(pairs, key=_margin, default=None)


def several_pairs(
    better: list[Candidate],
    worse: list[Candidate],
    texts: Mapping[int, str],
    *,
    count: int,
    min_margin: float,
    match_length: bool,
) -> list[tuple[Candidate, Candidate]]:
    """Return up to `count` pairs that are written differently, the widest first, or with `match_length` those of the
    best chosen whose sides are closest in length. No response comes again before all others have had their turn."""

    def rank(pair: tuple[Candidate, Candidate]) -> tuple[float, ...]:
        if not match_length:
            return (-_margin(pair),)
        gap = abs(len(texts[id(pair[0])]) - len(texts[id(pair[1])]))
        return -pair[0][1], gap, -_margin(pair)

    possible = [
        (chosen, rejected)
        for chosen in better[:_MOST_OF_A_SIDE]
        for rejected in worse[:_MOST_OF_A_SIDE]
        if chosen[1] > rejected[1]
        and chosen[1] - rejected[1] >= min_margin
        and texts[id(chosen)] != texts[id(rejected)]
    ]
    possible.sort(key=rank)
    found: list[tuple[Candidate, Candidate]] = []
    uses: Counter[str] = Counter()
    while possible and len(found) < count:
        turn, later = min(_uses(uses, pair, texts) for pair in possible), []
        for pair in possible:
            if len(found) < count and _uses(uses, pair, texts) == turn:
                uses.update(texts[id(side)] for side in pair)
                found.append(pair)
            else:
                later.append(pair)
        possible = later
    return found


def _margin(pair: tuple[Candidate, Candidate]) -> float:
    return pair[0][1] - pair[1][1]


def _uses(uses: Counter[str], pair: tuple[Candidate, Candidate], texts: Mapping[int, str]) -> int:
    return max(uses[texts[id(side)]] for side in pair)
