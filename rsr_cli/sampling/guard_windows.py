"""Sliding windows over the prompts that were begun last, in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field

from rsr_cli.types import Attempt

_SHORT = 32
"""Characters: shorter texts are bare answers, which legitimately repeat."""
_REMEMBERED = 10_000
"""Prompts: more than are open at a time, so that a later response is compared with the earlier ones."""
_TAIL = 64
"""Characters: two independent samples of equal length differ in their last ones."""


@dataclass(slots=True)
class _Seen:
    """How many attempts of one prompt have each finding."""

    attempts: int = 0
    found: dict[str, int] = field(default_factory=dict)


class Window:
    """The share of attempts with a finding, for each of the last `size` prompts."""

    def __init__(self, size: int) -> None:
        self.attempts = 0
        self._size = size
        self._prompts: dict[str, _Seen] = {}
        self._sums: dict[str, float] = {}

    def __len__(self) -> int:
        """The number of prompts."""
        return len(self._prompts)

    def add(self, prompt_id: str, found: Collection[str], *, begins: bool) -> None:
        """Add an attempt and what was found in it. A prompt enters the window with an attempt that `begins` it; other
        attempts of prompts outside the window are ignored."""
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
        """Return the mean over prompts of their share of attempts with this finding."""
        return self._sums.get(name, 0.0) / len(self._prompts) if self._prompts else 0.0

    def _sum_up(self, seen: _Seen, sign: int) -> None:
        for name, count in seen.found.items():
            self._sums[name] = self._sums.get(name, 0.0) + sign * count / seen.attempts


class Texts:
    """Hashes of the responses of many prompts, to detect repetition within a prompt; and those of the first responses
    of the last `size` prompts, to detect prompts with identical responses."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._prompts: dict[str, list[int]] = {}
        self._firsts: deque[int] = deque()
        self._counts: Counter[int] = Counter()

    def __len__(self) -> int:
        """The number of prompts that are compared with each other."""
        return len(self._firsts)

    def add(self, attempt: Attempt) -> bool | None:
        """Return whether the response repeats an earlier one of its prompt; None where there is no earlier one."""
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
        """Return the share of the prompts whose first response is the most common one."""
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
    """Return a hash of the response and its thinking, in constant time; None for a bare answer."""
    text, thinking = attempt.response or "", attempt.reasoning or ""
    if len(text) + len(thinking) < _SHORT:
        return None
    return hash((len(text), len(thinking), text[-_TAIL:], thinking[-_TAIL:]))
