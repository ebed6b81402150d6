"""Two runs over the same prompts: how their pass rates differ, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

_DRAWS = 2000
_LEVEL = 0.95
RIGHT = 0.5
"""A prompt whose rate is at least this is right, for flips."""


def paired(rates: Iterable[tuple[float, float]]) -> dict[str, Any]:
    """Return the means of both and of their difference, each with the interval of a bootstrap over prompts, and the
    flips: prompts that are right in one of them only.

    The same for the same input. Prompts with the same two rates are drawn together, so a million costs as little as
    their different pairs of rates.
    """
    counts = Counter(rates)
    total = counts.total()
    if not total:
        return {"prompts": 0, "first": None, "second": None, "difference": None, "now_right": 0, "now_wrong": 0}
    pairs = np.array(list(counts), dtype=float)
    weights = np.array(list(counts.values()), dtype=float)
    chance = np.random.default_rng(0)
    values = np.column_stack([pairs, pairs[:, 1] - pairs[:, 0]])
    means = np.concatenate(
        [chance.multinomial(total, weights / total, size=_DRAWS // 20) @ values / total for _ in range(20)]
    )
    lows, highs = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    found = [
        {"mean": round(float(mean), 6), "low": round(float(low), 6), "high": round(float(high), 6)}
        for mean, low, high in zip(weights @ values / total, lows, highs, strict=True)
    ]
    right = pairs >= RIGHT
    return {
        "prompts": total,
        **dict(zip(("first", "second", "difference"), found, strict=True)),
        "now_right": int(weights[~right[:, 0] & right[:, 1]].sum()),
        "now_wrong": int(weights[right[:, 0] & ~right[:, 1]].sum()),
    }
