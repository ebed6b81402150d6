"""Training rows through the chat template that they will be trained with: what is lost, and how long they are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from jinja2 import TemplateError

from rsr_cli.errors import WorkDirError
from rsr_cli.formatters.chat_templates import ChatTemplate, Seen, conversations, load, look
from rsr_cli.stages.training_files import training_shard
from rsr_cli.store import shards
from rsr_cli.store.work_dir import WorkDir

MOST_ROWS = 10_000
"""Of each formatter: enough to see what a template does."""
_COUNTED = ("lost", "doubled", "emptied", "end_not_trained", "not_prefix")
LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536)


@dataclass
class Checked:
    """What a template does to the rows of a formatter."""

    name: str
    rows: int = 0
    conversations: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    """The first row of each kind."""
    refusal: str | None = None
    """Why the template refused the first row that it refused."""
    tokens: list[int] = field(default_factory=list)
    """Of each row, the longer side of a pair."""

    @property
    def is_good(self) -> bool:
        return not any(self.counts[name] for name in (*_COUNTED, "refused"))

    def add(self, row: int, seen: Seen) -> None:
        self.conversations += 1
        self.counts["marks"] += seen.marks
        for name in _COUNTED:
            if getattr(seen, name):
                self._found(name, row)

    def refused(self, row: int, error: Exception) -> None:
        self.conversations += 1
        self.refusal = self.refusal or str(error)[:200]
        self._found("refused", row)

    def _found(self, name: str, row: int) -> None:
        self.counts[name] += 1
        self.first.setdefault(name, row)

    def over(self) -> dict[int, int]:
        """Return how many rows each length would cut, up to the first that cuts none."""
        found = {length: sum(count > length for count in self.tokens) for length in LENGTHS}
        last = next((length for length, cut in found.items() if not cut), LENGTHS[-1])
        return {length: cut for length, cut in found.items() if length <= last}

    def as_json(self) -> dict[str, Any]:
        counts = {name: self.counts[name] for name in (*_COUNTED, "refused", "marks")}
        lengths = {"longest": max(self.tokens, default=0), "cut": {str(n): cut for n, cut in self.over().items()}}
        return {
            "name": self.name,
            "rows": self.rows,
            "conversations": self.conversations,
            **counts,
            "first_row": self.first,
            "refusal": self.refusal,
            "tokens": lengths if self.tokens else None,
        }


def check_template(work_dir: WorkDir, names: list[str], place: str) -> list[Checked]:
    """Render the rows of these formatters. WorkDirError where none has any, InputError where there is no template."""
    template = load(place)
    found = [_checked(work_dir, name, template) for name in names]
    found = [item for item in found if item.conversations]
    if not found:
        raise WorkDirError(f"{work_dir.train} has no rows with messages", "run rsr format first")
    return found


def _checked(work_dir: WorkDir, name: str, template: ChatTemplate) -> Checked:
    checked = Checked(name)
    paths = (training_shard(work_dir, name, shard) for shard in work_dir.shards())
    rows = chain.from_iterable(shards.read_rows(path, shards.schema(path)) for path in paths if path.exists())
    for place, row in enumerate(islice(rows, MOST_ROWS)):
        checked.rows += 1
        lengths = []
        tools = json.loads(row["tools"]) if row.get("tools") else None
        for prompt, reply in conversations(row) if "rollouts" not in row else ():
            try:
                seen = look(
                    template, list(map(_without_nulls, prompt)), _without_nulls(reply) if reply else None, tools
                )
            except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
                checked.refused(place, error)
                continue
            checked.add(place, seen)
            lengths += [seen.tokens] if seen.tokens is not None else []
        checked.tokens += [max(lengths)] if lengths else []
    return checked


def _without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    """A message as trainers hand it to the template: the keys that it does not have are not there."""
    return {name: value for name, value in message.items() if value is not None or name == "content"}
