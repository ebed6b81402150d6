"""The figures by a field of the metadata: a source, a level, a subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rsr_cli.analysis.prompts import PromptStats

_MOST_VALUES = 40
_MOST_FIELDS = 50
_LONGEST = 80
_NO_FIELDS = {"answer", "reference", "sampling", "options"}


@dataclass
class Cell:
    prompts: int = 0
    with_a_pass: int = 0
    rates: float = 0.0
    having_rate: int = 0
    attempts: int = 0
    truncated: int = 0

    def add(self, other: Cell) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Breakdown:
    """Counts by field and value; None for a field that tells more values apart than a table holds."""

    fields: dict[str, dict[str, Cell] | None] = field(default_factory=dict)

    def add(self, metadata: Mapping[str, Any], stats: PromptStats) -> None:
        rate = stats.difficulty.rate
        cell = Cell(1, stats.n_pass > 0, rate or 0.0, rate is not None, stats.n_attempts, stats.n_truncated)
        for name, value in metadata.items():
            if name not in _NO_FIELDS and value is not None:
                self._add(name, str(value) if isinstance(value, str | int) else "", cell)

    def _add(self, name: str, value: str, cell: Cell) -> None:
        """An empty value is one that no table has a row for."""
        if name not in self.fields and len(self.fields) >= _MOST_FIELDS:
            return
        values = self.fields.setdefault(name, {})
        if values is None:
            return
        if not value or len(value) > _LONGEST or (value not in values and len(values) >= _MOST_VALUES):
            self.fields[name] = None
        else:
            values.setdefault(value, Cell()).add(cell)

    def merge(self, later: Breakdown) -> None:
        for name, values in later.fields.items():
            if values is None:
                self.fields[name] = None
            for value, cell in (values or {}).items():
                self._add(name, value, cell)

    def summary(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The fields that tell groups of prompts apart, not prompts."""
        return {
            name: {value: _figures(values[value]) for value in _in_order(values)}
            for name, values in self.fields.items()
            if values and len(values) >= 2 and sum(cell.prompts for cell in values.values()) >= 2 * len(values)
        }


def _in_order(values: dict[str, Cell]) -> list[str]:
    """Levels by their number, others by how many prompts they have."""
    if all(value.lstrip("-").isdecimal() for value in values):
        return sorted(values, key=int)
    return sorted(values, key=lambda value: -values[value].prompts)


def _figures(cell: Cell) -> dict[str, Any]:
    return {
        "prompts": cell.prompts,
        "with_a_pass": cell.with_a_pass,
        "pass_rate": round(cell.rates / cell.having_rate, 6) if cell.having_rate else None,
        "truncation_rate": round(cell.truncated / cell.attempts, 6) if cell.attempts else None,
    }
