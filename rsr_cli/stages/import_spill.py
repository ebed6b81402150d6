"""Imported attempts on the disk, by prompt: a file of any size takes no more memory than one prompt's rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace

from rsr_cli.types import Attempt, Group


class ImportSpill:
    """Attempts that are not yet numbered, in the order in which they were added."""

    def __init__(self) -> None:
        # Without a name it is a temporary file, and goes away with its connection.
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE attempt (prompt TEXT, row TEXT)")
        self._indexed = False

    def close(self) -> None:
        self._database.close()

    def add(self, attempt: Attempt) -> None:
        row = json.dumps(asdict(attempt))  # in ASCII: a text may hold half a character
        self._database.execute("INSERT INTO attempt VALUES (?, ?)", (attempt.id, row))

    def of(self, prompt_id: str) -> Iterator[Attempt]:
        if not self._indexed:
            self._database.execute("CREATE INDEX by_prompt ON attempt (prompt)")
            self._indexed = True
        found = self._database.execute("SELECT row FROM attempt WHERE prompt = ? ORDER BY rowid", (prompt_id,))
        return (Attempt(**json.loads(row)) for (row,) in found)

    def place(self, groups: Iterable[Group]) -> PlacedAttempts:
        """Those of these groups' prompts that are not in the groups yet, as the next step of each."""
        placed = PlacedAttempts(self)
        for group in groups:
            placed.add(group)
        return placed


class PlacedAttempts(Mapping[str, list[Attempt]]):
    """By the id of a prompt its new attempts, numbered; they are read when they are asked for."""

    def __init__(self, spill: ImportSpill) -> None:
        self._spill = spill
        self._places: dict[str, tuple[int, int, int, frozenset[str | None]]] = {}
        self.new = self.known = 0

    def add(self, group: Group) -> None:
        here = frozenset(attempt.source for attempt in group.attempts.values()) - {None}
        sources = [attempt.source for attempt in self._spill.of(group.prompt.id)]
        new = sum(source not in here for source in sources)
        self.new += new
        self.known += len(sources) - new
        if new:
            begin = max(group.attempts, default=-1) + 1
            step = max((attempt.step for attempt in group.attempts.values()), default=-1) + 1
            self._places[group.prompt.id] = begin, step, new, here

    def __getitem__(self, prompt_id: str) -> list[Attempt]:
        begin, step, size, here = self._places[prompt_id]
        new = (attempt for attempt in self._spill.of(prompt_id) if attempt.source not in here)
        return [replace(attempt, attempt=n, step=step, step_size=size) for n, attempt in enumerate(new, begin)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
