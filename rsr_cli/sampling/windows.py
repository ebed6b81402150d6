"""What the prompts that were begun last have shown, in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field

from rsr_cli.types import Attempt

_SHORT = 32
"""Characters: a bare answer may well come again."""
_REMEMBERED = 10_000
"""Prompts: more than are open at a time, so that a later response meets the earlier ones."""
_TAIL = 64
"""Characters: two texts of one length that were drawn apart differ in their last ones."""


@dataclass(slots=True)
class _Seen:
    """What was found at how many attempts of one prompt."""

    attempts: int = 0
    found: dict[str, int] = field(default_factory=dict)


class Window:
    """At what share of its attempts each of the last `size` prompts has shown something."""

    def __init__(self, size: int) -> None:
        self.attempts = 0
        self._size = size
        self._prompts: dict[str, _Seen] = {}
        self._sums: dict[str, float] = {}

    def __len__(self) -> int:
        """The prompts in it."""
        return len(self._prompts)

    def add(self, prompt_id: str, found: Collection[str], *, begins: bool) -> None:
        """One attempt. Of a prompt that is not in the window it counts only where it `begins` one."""
        seen = self._prompts.get(prompt_id)
        if seen is None:
            if not begins:
                return
            seen = self._prompts[prompt_id] = _Seen()
            if len(self._prompts) > self._size:
                oldest = self._prompts.pop(next(iter(self._prompts)))
                self._sum_up(oldest, -1)
                self.attempts -= oldest.attempts
        self._sum_up(seen, -1)
        self.attempts += 1
        seen.attempts += 1
        for name in found:
            seen.found[name] = seen.found.get(name, 0) + 1
        self._sum_up(seen, 1)

    def share(self, name: str) -> float:
        """The mean of the prompts' shares: each counts once, however often it was drawn for."""
        return self._sums.get(name, 0.0) / len(self._prompts) if self._prompts else 0.0

    def _sum_up(self, seen: _Seen, sign: int) -> None:
        for name, count in seen.found.items():
            self._sums[name] = self._sums.get(name, 0.0) + sign * count / seen.attempts


class Texts:
    """The responses of many prompts, each as a mark that tells it from others; and the first ones of the last `size`
    prompts, to compare prompts with each other."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._prompts: dict[str, list[int]] = {}
        self._firsts: deque[int] = deque()
        self._counts: Counter[int] = Counter()

    def __len__(self) -> int:
        """The prompts that are compared with each other."""
        return len(self._firsts)

    def add(self, attempt: Attempt) -> bool | None:
        """Whether the response repeats an earlier one of its prompt; None where there is none to compare with."""
        mark = text_mark(attempt)
        if mark is None:
            return None
        marks = self._prompts.get(attempt.id)
        if marks is None:
            self._begin(attempt.id, mark)
            return None
        if mark in marks:
            return True
        marks.append(mark)
        return False

    def most_common_share(self) -> float:
        """The share of the prompts whose first response is the most common one."""
        return max(self._counts.values()) / len(self._firsts) if self._firsts else 0.0

    def _begin(self, prompt_id: str, mark: int) -> None:
        self._prompts[prompt_id] = [mark]
        if len(self._prompts) > _REMEMBERED:
            del self._prompts[next(iter(self._prompts))]
        self._firsts.append(mark)
        self._counts[mark] += 1
        if len(self._firsts) > self._size:
            oldest = self._firsts.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]


def text_mark(attempt: Attempt) -> int | None:
    """The same for the same response and thinking, whatever their length cheap to make; None for a bare answer."""
    text, thinking = attempt.response or "", attempt.reasoning or ""
    if len(text) + len(thinking) < _SHORT:
        return None
    return hash((len(text), len(thinking), text[-_TAIL:], thinking[-_TAIL:]))
