"""Running averages."""

from __future__ import annotations

_MEMORY = 1000


class Average:
    """The mean and the variance of the latest values: the older a value, the less it counts."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._square = 0.0

    def add(self, value: float) -> None:
        self.count = min(self.count + 1, _MEMORY)
        self.mean += (value - self.mean) / self.count
        self._square += (value * value - self._square) / self.count

    @property
    def variance(self) -> float:
        return max(0.0, self._square - self.mean**2)
