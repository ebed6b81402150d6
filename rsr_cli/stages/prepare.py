"""prepare: raw input through a transform and a format check into `data/`."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsr_cli import fingerprints
from rsr_cli.config.settings import Config, Data, Input
from rsr_cli.errors import InputError, PluginError
from rsr_cli.formatters.messages import Seen
from rsr_cli.plan import Plan
from rsr_cli.plugins import registry
from rsr_cli.stages.placing import place_prompts
from rsr_cli.stages.progress import Task
from rsr_cli.stages.rows import as_prompt, identified, row_problem
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.stages.writable import SEEN_KEY, refuse_unwritable
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store import inventory, shards
from rsr_cli.store.inputs import BadRow, Row, read_input
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Prompt
from rsr_cli.words import counted

_SHOWN = 10


@dataclass
class Counts:
    rows: int = 0
    skipped: int = 0
    invalid: int = 0
    prompts: int = 0
    without_answer: int = 0
    unscorable: int = 0
    """Prompts that the verifier says it can't score; `no_gold` are those of them without an answer."""
    no_gold: int = 0
    why: str = ""
    """Its reason for the first of them."""
    shown: list[str] = field(default_factory=list)
    keys: str = ""
    """Those of the first row."""

    def reject(self, where: str, why: str) -> None:
        self.invalid += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{where}: {why}")

    def summary(self) -> str:
        more = f"\n  … and {self.invalid - len(self.shown)} more" if self.invalid > len(self.shown) else ""
        return "\n  ".join([f"{self.invalid} of {counted(self.rows, 'rows')} are invalid", *self.shown]) + more


def prepare(session: Session) -> StageResult:
    """Write the data shards, all or none; nothing where the input, the transform and the options are as they were."""
    config = session.config
    try:
        mark = _fingerprint(config)
    except InputError:
        # The prompts stand here already: that their source is out of reach is no reason to stop.
        if session.state.stages["prepare"].status != "done" or session.changes("data"):
            raise
        session.progress.warn("the input or its transform can't be read any more: data/ is taken as it is")
        return StageResult("prepare", skipped=True, counts=session.state.stages["prepare"].counts)
    numbers = session.work_dir.shards()
    expected = session.state.stages["prepare"].counts.get("shards", 0)
    if session.is_done("prepare", mark) and (missing := sorted(set(range(expected)) - set(numbers))):
        session.progress.warn(f"{session.work_dir.data(missing[0])} is missing: data/ is made again from the input")
    elif session.is_done("prepare", mark) and len(numbers) == expected:
        return session.up_to_date("prepare")
    began = time.monotonic()
    counts = Counts()
    try:
        with session.progress.task("prepare") as task:
            session.work_dir.clear_staging()
            seen = Seen()
            written = _stage_shards(session.work_dir.staging(), session.plan, counts, seen, task)
        refuse_unwritable(session.plan, seen)
        for shard in session.work_dir.shards():
            shards.require_own(session.work_dir.data(shard))
        written, left_out = place_prompts(session.work_dir, written, config.shard.size, config.data.limit)
        with session.running("prepare", mark, began) as result:
            _install(session.work_dir, written)
            session.state.stages["prepare"].shards_done = list(range(written))
            for shard in range(written):
                inventory.note(session.state, session.work_dir.data(shard))
            result.counts = {
                "prompts": counts.prompts,
                "rows": counts.rows,
                "skipped": counts.skipped,
                "invalid": counts.invalid,
                "without_answer": counts.without_answer,
                "shards": written,
                **({"left_out": left_out} if left_out else {}),
            }
    finally:
        session.work_dir.clear_staging()
    for line in counts.shown:
        session.progress.warn(f"skipped: {line}")
    if left_out:
        session.progress.warn(
            f"{counted(left_out, 'prompts')} that have rollouts here are not in the input any more: they are left out, "
            "their rollouts are kept and count again once they are back"
        )
    if counts.unscorable:
        lack = (
            "have no metadata.answer: a rule verifier can't score them"
            if counts.unscorable == counts.no_gold
            else f"can't be scored by the verifier {config.verifier.type}; the first: {counts.why}"
        )
        session.progress.warn(f"{counts.unscorable} of {counted(counts.prompts, 'prompts')} {lack}")
    return result


def _fingerprint(config: Config) -> str:
    """Raises InputError where the input or the transform cannot be read."""
    transform = config.data.preprocess.transform
    if transform and not Path(transform.rpartition(":")[0]).is_file():
        raise InputError(f"there is no file {transform.rpartition(':')[0]}", "check data.preprocess.transform")
    return fingerprints.of_prompts(config, _transform(config.data) is not None)


def read_dataset(plan: Plan, counts: Counts) -> Iterator[Prompt]:
    """The prompts of a config's input, checked. Bad rows are counted; where they may not be skipped, the end of the
    input raises an InputError that shows the first of them."""
    config = plan.config
    preprocess = config.data.preprocess
    transform = _transform(config.data)
    seen: set[bytes] = set()
    for where, row in _mixed(config.data):
        counts.rows += 1
        if isinstance(row, BadRow):
            counts.reject(where, row)
            continue
        counts.keys = counts.keys or ", ".join(row)[:300]
        if transform is not None:
            try:
                transformed = transform(row)
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"{where}: the transform {preprocess.transform} raised {type(error).__name__}: {error}",
                    "RSR_DEBUG=1 shows the traceback; a transform returns None to skip a row",
                ) from error
            if transformed is None:
                counts.skipped += 1
                continue
            row = identified(transformed)
        problem = row_problem(row)
        if problem:
            counts.reject(where, problem)
            continue
        prompt = as_prompt(row, preprocess)
        key = hashlib.blake2b(prompt.id.encode(), digest_size=16).digest()
        if key in seen:
            counts.reject(where, f"the id {prompt.id!r} stands in an earlier row too")
            continue
        seen.add(key)
        if config.data.limit is not None and counts.prompts == config.data.limit:
            break
        counts.prompts += 1
        without_answer = prompt.metadata.get("answer") in (None, "", [])
        counts.without_answer += without_answer
        if (why := plan.verifier.cannot_score(prompt)) is not None:
            counts.unscorable += 1
            counts.no_gold += without_answer
            counts.why = counts.why or f"{prompt.id!r}: {why}"
        yield prompt
    there = f"; the keys of the first row: {counts.keys}" if counts.keys and not counts.prompts else ""
    if counts.invalid and preprocess.on_invalid == "fail":
        raise InputError(
            counts.summary() + there, "correct them, or set data.preprocess.on_invalid=skip to leave them out"
        )
    if not counts.prompts:
        raise InputError(
            f"no prompt is left of {counted(counts.rows, 'rows')} ({counts.skipped} skipped by the transform){there}"
        )


def _stage_shards(staging: LocalStorage, plan: Plan, counts: Counts, all_seen: Seen, task: Task) -> int:
    """Write the shards beside their place; how many."""
    prompts = read_dataset(plan, counts)
    shard = 0
    prompt = next(prompts, None)
    while prompt is not None:
        footer: dict[str, str] = {}
        seen = Seen()
        with shards.writing_shard(staging / f"shard_{shard:04d}.parquet", shards.DATA, footer) as writer:
            while prompt is not None and writer.count < plan.config.shard.size:
                writer.write(
                    {
                        "id": prompt.id,
                        "messages": json.dumps(prompt.messages, ensure_ascii=False),
                        "metadata": json.dumps(prompt.metadata, ensure_ascii=False),
                    }
                )
                seen.add(prompt)
                task.advance()
                prompt = next(prompts, None)
            footer[SEEN_KEY] = seen.to_json()
        all_seen.merge(seen)
        shard += 1
    return shard


def _install(work_dir: WorkDir, count: int) -> None:
    for shard in range(count):
        work_dir.data(shard).install(work_dir.staging() / work_dir.data(shard).name)
    while work_dir.data(count).exists():
        work_dir.data(count).remove()
        count += 1


def _transform(data: Data) -> Callable[[dict[str, Any]], dict[str, Any] | None] | None:
    spec = data.preprocess.transform
    if spec is None:
        return None
    function = registry.load_object(spec)
    if not callable(function):
        raise PluginError(f"data.preprocess.transform: {spec} is not a function")
    return function  # type: ignore[no-any-return]


def _mixed(data: Data) -> Iterator[Row]:
    """The rows of all inputs, each cut down to its count or fraction, interleaved where there are several."""
    # A transform may want any column, the check of rows that are right already only these.
    columns = None if data.preprocess.transform else ("id", "messages", "metadata")
    if len(data.input_path) == 1 and data.input_path[0].count is None and data.input_path[0].fraction is None:
        yield from read_input(data.input_path[0].path, columns)
        return
    chance = random.Random(data.seed)
    wanted = [_wanted(item, chance) for item in data.input_path]
    streams = [_taken(item.path, columns, places) for item, places in zip(data.input_path, wanted, strict=True)]
    left = [len(rows) for rows in wanted]
    while any(left):
        [source] = chance.choices(range(len(left)), weights=left)
        left[source] -= 1
        yield next(streams[source])


def _taken(path: str, columns: Collection[str] | None, places: Container[int]) -> Iterator[Row]:
    return (row for place, row in enumerate(read_input(path, columns)) if place in places)


def _wanted(item: Input, chance: random.Random) -> set[int] | range:
    """The places of the rows to take of an input."""
    total = sum(1 for _ in read_input(item.path, ("id", "messages")))
    if item.count is not None and item.count > total:
        raise InputError(
            f"data.input_path: {item.path} holds {counted(total, 'rows')}, not the {item.count} that count asks for"
        )
    count = item.count if item.count is not None else round(total * (1.0 if item.fraction is None else item.fraction))
    return range(total) if count == total else set(chance.sample(range(total), count))
