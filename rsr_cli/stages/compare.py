"""Work dirs side by side: the same prompts paired, what they took, what was set otherwise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from rsr_cli.analysis.pairing import RIGHT, paired
from rsr_cli.config.load import changed_keys
from rsr_cli.config.scalars import load_yaml, resolve_plain
from rsr_cli.errors import InputError, WorkDirError
from rsr_cli.reply import final_reply
from rsr_cli.secrecy import without_secrets
from rsr_cli.store import shards
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group

_RATES = pa.schema([shards.PROMPTS.field(name) for name in ("id", "pass_rate_unbiased", "pass_rate")])
_EXAMPLES = 5
_QUESTION, _ANSWER = 300, 80


def compare(work_dirs: Sequence[WorkDir]) -> dict[str, Any]:
    """Return the figures of each, and of each but the first how it differs from the first. No code that a config names
    is loaded. Raises InputError where there are fewer than two, WorkDirError where one has not been analysed."""
    if len(work_dirs) < 2:
        raise InputError("there is nothing to compare with", "name two work dirs or more: rsr compare W1 W2")
    names = _names(work_dirs)
    rates = [_rates(work_dir) for work_dir in work_dirs]
    first = work_dirs[0]
    return {
        "work_dirs": {name: _figures(item) for name, item in zip(names, work_dirs, strict=True)},
        "against": names[0],
        "pairs": {
            name: _pair(first, rates[0], item, own)
            for name, item, own in zip(names[1:], work_dirs[1:], rates[1:], strict=True)
        },
    }


def _names(work_dirs: Sequence[WorkDir]) -> list[str]:
    """Their last names, or all of them where two are alike."""
    short = [work_dir.root.name for work_dir in work_dirs]
    names = short if len(set(short)) == len(short) else [str(work_dir.root) for work_dir in work_dirs]
    return [name if names.index(name) == place else f"{name} ({place + 1})" for place, name in enumerate(names)]


def _rates(work_dir: WorkDir) -> dict[str, float]:
    """The rate of each prompt that has one: unbiased where there is such a column."""
    path = work_dir.summary / "prompts.parquet"
    state = work_dir.load_state()
    if not path.exists() or state.stages["analyze"].status != "done":
        raise WorkDirError(f"{work_dir.root} has no pass rates yet", f"run rsr analyze -w {work_dir.root} first")
    column = 1 if "pass_rate_unbiased" in shards.columns(path) else 2
    return {row[0]: row[column] for row in shards.read_tuples(path, _RATES) if row[column] is not None}


def _figures(work_dir: WorkDir) -> dict[str, Any]:
    """What it came to; null what an older version has not counted."""
    counts = work_dir.load_state().stages["analyze"].counts

    def at(section: str, name: str) -> Any:
        return (counts.get(section) or {}).get(name)

    return {
        "path": str(work_dir.root),
        "models": list(at("attempts", "models") or ()),
        "prompts": at("prompts", "total"),
        "with_a_pass": at("prompts", "with_a_pass"),
        "attempts": at("attempts", "total"),
        "truncation_rate": at("attempts", "truncation_rate"),
        "errors": at("attempts", "errors"),
        "completion_tokens": at("tokens", "completion"),
        "tokens_per_attempt": (at("tokens", "completion_per_attempt") or {}).get("mean"),
        "cost": at("cost", "total"),
    }


def _pair(first: WorkDir, before: dict[str, float], second: WorkDir, after: dict[str, float]) -> dict[str, Any]:
    common = [key for key in before if key in after]
    result = paired((before[key], after[key]) for key in common)
    flips = {
        "now_right": [key for key in common if before[key] < RIGHT <= after[key]][:_EXAMPLES],
        "now_wrong": [key for key in common if after[key] < RIGHT <= before[key]][:_EXAMPLES],
    }
    wanted = {key for keys in flips.values() for key in keys}
    groups = [dict(_groups(work_dir, wanted)) for work_dir in (first, second)]
    result["only_in_first"], result["only_in_second"] = len(before) - len(common), len(after) - len(common)
    result["asked_otherwise"] = _asked_otherwise(first, second)
    result["examples"] = {
        kind: [_example(key, before[key], after[key], [found.get(key) for found in groups]) for key in keys]
        for kind, keys in flips.items()
    }
    saved = [resolve_plain(load_yaml(item.config_path.read_text(encoding="utf-8"))) for item in (first, second)]
    result["config"] = without_secrets(changed_keys(*saved))
    return result


def _groups(work_dir: WorkDir, wanted: set[str]) -> Iterator[tuple[str, Group]]:
    """The groups of these prompts, read from the shards that hold one."""
    left = set(wanted)
    for shard in work_dir.shards():
        ids = {key for (key,) in shards.read_tuples(work_dir.data(shard), shards.DATA_ID)} if left else set()
        if ids & left:
            for group in read_groups(work_dir, shard):
                if group.prompt.id in left:
                    left.discard(group.prompt.id)
                    yield group.prompt.id, group
                if not ids & left:
                    break


def _asked_otherwise(first: WorkDir, second: WorkDir) -> int:
    """How many prompts of the same id have other messages."""
    asked: dict[str, int] = {}
    for row in _messages(first):
        asked[row[0]] = hash(row[1])
    return sum(row[0] in asked and asked[row[0]] != hash(row[1]) for row in _messages(second))


def _messages(work_dir: WorkDir) -> Iterator[tuple[Any, ...]]:
    schema = pa.schema([shards.DATA.field(name) for name in ("id", "messages")])
    for shard in work_dir.shards():
        yield from shards.read_tuples(work_dir.data(shard), schema)


def _example(key: str, before: float, after: float, groups: Sequence[Group | None]) -> dict[str, Any]:
    group = next((item for item in groups if item is not None), None)
    asked = [message.get("content") for message in group.prompt.messages if message["role"] == "user"] if group else []
    last = asked[-1] if asked else ""
    gold = group.prompt.metadata.get("answer") if group else None
    return {
        "id": key,
        "rates": [before, after],
        "question": _cut(last if isinstance(last, str) else json.dumps(last, ensure_ascii=False), _QUESTION),
        "answer": gold if gold is None else _cut(str(gold), _ANSWER),
        "answers": [_answers(item) for item in groups],
    }


def _answers(group: Group | None) -> list[str]:
    """What was answered, the most frequent first: the extracted answers, or where there are none the ends of texts."""
    found: Counter[str] = Counter()
    for rollout in group.rollouts() if group else ():
        extracted = rollout.verdict.extracted_answer if rollout.verdict else None
        text = extracted if extracted is not None else (final_reply(rollout.response) or "").strip()[-_ANSWER:]
        found[_cut(text, _ANSWER)] += 1
    return [text if count == 1 else f"{text} (x{count})" for text, count in found.most_common(3)]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} …"
