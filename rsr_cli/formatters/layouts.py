"""Layouts: the columns in which each trainer reads a row, and what it has no place for.

A formatter does one of five jobs. For each job and trainer the table has the columns, and what each of them holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from rsr_cli.types import Message

Job = Literal["sft", "pairs", "reward", "kto", "rlvr"]
Columns = Mapping[str, str]


@dataclass(frozen=True)
class Filling:
    """What the columns of one row are filled from; `reply` is the chosen one of a pair."""

    prompt: list[Message]
    reply: Message = field(default_factory=dict)
    rejected: Message = field(default_factory=dict)
    label: bool = True
    id: str = ""
    gold: str = ""
    source: str = ""
    metadata: str = "{}"


_TEXT = pa.string()
_VERL_REWARD = pa.struct([("style", _TEXT), ("ground_truth", _TEXT)])
_VERL_EXTRA = pa.struct([("split", _TEXT), ("index", _TEXT), ("metadata", _TEXT)])

_PARTS: dict[str, tuple[Callable[[Filling], Any], Callable[[pa.DataType], pa.DataType]]] = {
    "prompt": (lambda row: row.prompt, lambda messages: messages),
    "reply": (lambda row: [row.reply], lambda messages: messages),
    "rejected": (lambda row: [row.rejected], lambda messages: messages),
    "prompt+reply": (lambda row: [*row.prompt, row.reply], lambda messages: messages),
    "prompt+rejected": (lambda row: [*row.prompt, row.rejected], lambda messages: messages),
    "one reply": (lambda row: row.reply, lambda messages: messages.value_type),
    "one rejected": (lambda row: row.rejected, lambda messages: messages.value_type),
    "reply text": (lambda row: row.reply["content"], lambda messages: _TEXT),
    "rejected text": (lambda row: row.rejected["content"], lambda messages: _TEXT),
    "system text": (lambda row: _system(row.prompt), lambda messages: _TEXT),
    "prompt text": (lambda row: row.prompt[-1]["content"], lambda messages: _TEXT),
    "ranked": (
        lambda row: [{"rank": 0, "completion": [row.reply]}, {"rank": 1, "completion": [row.rejected]}],
        lambda messages: pa.list_(pa.struct([("rank", pa.int32()), ("completion", messages)])),
    ),
    "label": (lambda row: row.label, lambda messages: pa.bool_()),
    "gold": (lambda row: row.gold, lambda messages: _TEXT),
    "source": (lambda row: row.source, lambda messages: _TEXT),
    "metadata": (lambda row: row.metadata, lambda messages: _TEXT),
    "verl reward": (lambda row: {"style": "rule", "ground_truth": row.gold}, lambda messages: _VERL_REWARD),
    "verl extra": (
        lambda row: {"split": "train", "index": row.id, "metadata": row.metadata},
        lambda messages: _VERL_EXTRA,
    ),
}
"""What a column may hold: how it is filled, and its type, given that of a list of messages."""

_TRL_PAIR = {"prompt": "prompt", "chosen": "reply", "rejected": "rejected"}
_MESSAGES = {"messages": "prompt+reply"}
_LLAMA_FACTORY_PAIR = {"messages": "prompt", "chosen": "one reply", "rejected": "one rejected"}
_MS_SWIFT_PAIR = {"messages": "prompt+reply", "rejected_messages": "prompt+rejected"}
_OPEN_INSTRUCT_PAIR = {"chosen": "prompt+reply", "rejected": "prompt+rejected"}
_NEMO_RL_PAIR = {"context": "prompt", "completions": "ranked"}
_PROMPT_AND_GOLD = {"prompt": "prompt", "solution": "gold", "source": "source", "metadata": "metadata"}

LAYOUTS: dict[Job, dict[str, Columns]] = {
    "sft": {
        "trl": _MESSAGES,
        "messages": _MESSAGES,
        "prompt_completion": {"prompt": "prompt", "completion": "reply"},
        **dict.fromkeys(
            ("llama-factory", "axolotl", "ms-swift", "verl", "open-instruct", "nemo-rl", "openrlhf"), _MESSAGES
        ),
    },
    "pairs": {
        "trl": _TRL_PAIR,
        "llama-factory": _LLAMA_FACTORY_PAIR,
        "axolotl": _LLAMA_FACTORY_PAIR,
        "ms-swift": _MS_SWIFT_PAIR,
        "open-instruct": _OPEN_INSTRUCT_PAIR,
        "nemo-rl": _NEMO_RL_PAIR,
        "openrlhf": _TRL_PAIR,
    },
    "reward": {
        "trl": _TRL_PAIR,
        "llama-factory": _LLAMA_FACTORY_PAIR,
        "axolotl": {
            "system": "system text",
            "input": "prompt text",
            "chosen": "reply text",
            "rejected": "rejected text",
        },
        "ms-swift": _MS_SWIFT_PAIR,
        "open-instruct": _OPEN_INSTRUCT_PAIR,
        "nemo-rl": _NEMO_RL_PAIR,
        "openrlhf": _TRL_PAIR,
    },
    "kto": {
        "trl": {"prompt": "prompt", "completion": "reply", "label": "label"},
        "llama-factory": {"messages": "prompt+reply", "label": "label"},
        "ms-swift": {"messages": "prompt+reply", "label": "label"},
    },
    "rlvr": {
        "trl": _PROMPT_AND_GOLD,
        "axolotl": _PROMPT_AND_GOLD,
        "ms-swift": {"messages": "prompt", "solution": "gold", "source": "source", "metadata": "metadata"},
        "verl": {
            "prompt": "prompt",
            "data_source": "source",
            "ability": "source",
            "reward_model": "verl reward",
            "extra_info": "verl extra",
        },
        "open-instruct": {"messages": "prompt", "ground_truth": "gold", "dataset": "source"},
        "nemo-rl": {"input": "prompt text", "output": "gold"},
        "openrlhf": {"prompt": "prompt", "label": "gold", "datasource": "source"},
    },
}

_PLAIN_ONLY = ("keys", "tools")
_TEXT_ONLY = ("developer", "several", "keys", "tools")
_NO_PLACE: dict[str, tuple[str, ...]] = {
    "llama-factory": ("developer", "turns", *_PLAIN_ONLY),
    "axolotl": ("developer",),
    "ms-swift": ("developer", *_PLAIN_ONLY),
    "verl": _PLAIN_ONLY,
    "open-instruct": _PLAIN_ONLY,
    "openrlhf": _PLAIN_ONLY,
    "axolotl reward": _TEXT_ONLY,
    "nemo-rl pairs": _PLAIN_ONLY,
    "nemo-rl reward": _PLAIN_ONLY,
    "nemo-rl rlvr": ("system", *_TEXT_ONLY),
}
"""What a trainer drops or misreads, by the names that `messages.Seen.odd` has for it."""

NO_REASONING_FIELD = ("llama-factory", "ms-swift")
"""They leave `reasoning_content` out without a word, and then train an empty think block."""


def unknown_layout(job: Job, layout: str) -> str | None:
    """Return why there is no such layout for a job, None where there is one."""
    known = LAYOUTS[job]
    if layout in known:
        return None
    elsewhere = any(layout in layouts for layouts in LAYOUTS.values())
    what = f"{layout} has no rows of this kind" if elsewhere else f"there is no layout {layout!r}"
    return f"{what}, known: {', '.join(known)}"


def no_place(job: Job, layout: str) -> tuple[str, ...]:
    """Return what rows of this layout can't hold, by the names of `Seen.odd`."""
    return _NO_PLACE.get(f"{layout} {job}", _NO_PLACE.get(layout, ()))


def row(job: Job, layout: str, filling: Filling) -> dict[str, Any]:
    """Return the columns of a row that the trainer reads."""
    return {name: _PARTS[part][0](filling) for name, part in LAYOUTS[job][layout].items()}


def columns(job: Job, layout: str, messages: pa.DataType) -> list[tuple[str, pa.DataType]]:
    """Return those columns with their types; `messages` is that of a list of messages."""
    return [(name, _PARTS[part][1](messages)) for name, part in LAYOUTS[job][layout].items()]


def as_text(value: Any) -> str | None:
    """Return a value of the metadata as the text of a column: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)


def _system(prompt: list[Message]) -> str:
    return str(prompt[0]["content"]) if prompt[0]["role"] == "system" else ""
