"""What lies beside training rows: the files that trainers want, and the card by which `load_dataset` finds the rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow.compute as pc
import yaml

from rsr_cli.formatters.base import ScoredFormatter
from rsr_cli.formatters.trainer_files import LLAMA_FACTORY_INDEX, Written, files_beside, llama_factory_index
from rsr_cli.stages.session import Session
from rsr_cli.stages.training_files import training_shard
from rsr_cli.store import shards
from rsr_cli.store.ownership import is_own_file, remove_own, write_own_text

CARD = "README.md"
_SIDES = ("completion_tokens", "chosen_tokens", "rejected_tokens")


def write_beside_rows(session: Session, numbers: list[int], counts: dict[str, int]) -> None:
    """Write the files beside the rows of all formatters, and remove those that no formatter has any more. A file that
    somebody else has put there, or has changed, stays."""
    written = [
        Written(name, item.job, item.layout, _longest(session, name, numbers), _reward(session))
        for name, item in session.plan.formatters.items()
        if isinstance(item, ScoredFormatter) and counts[name]
    ]
    texts = {name: text for item in written for name, text in files_beside(item).items()}
    if (index := llama_factory_index(written)) is not None:
        texts[LLAMA_FACTORY_INDEX] = index
    if any(counts.values()):
        texts[CARD] = _card(counts)
    train = session.work_dir.train
    for name, text in texts.items():
        path = train / name
        if path.lexists() and not is_own_file(session.work_dir, session.state, path):
            # It is theirs now: rsr does not ask for it any more.
            session.state.written.pop(f"train/{name}", None)
            session.progress.warn(f"{path} is not as rsr wrote it: it stays as it is, and rsr's own is not written")
        else:
            write_own_text(session.work_dir, session.state, path, text)
    known = {key.removeprefix("train/") for key in session.state.written if key.startswith("train/")}
    for name in sorted(known - texts.keys()):
        if not name.endswith(".jsonl"):
            remove_own(session.work_dir, session.state, train / name)
            session.state.written.pop(f"train/{name}")
    session.save_state()


def pair_lengths(session: Session, numbers: list[int], names: Iterable[str]) -> list[str]:
    """Return a line for each of these formatters that has pairs: how long both sides are. Where the chosen one is the
    longer one nearly always, length is what a model learns."""
    return [line for name in names if (line := _pair_lengths(session, name, numbers))]


def _pair_lengths(session: Session, name: str, numbers: list[int]) -> str | None:
    pairs, chosen, rejected, longer = 0, 0, 0, 0
    for number in numbers:
        path = training_shard(session.work_dir, name, number)
        if not {"chosen_tokens", "rejected_tokens"} <= shards.columns(path):
            return None
        for batch in shards.read_batches(path, ["chosen_tokens", "rejected_tokens"]):
            known = batch.filter(pc.and_(pc.is_valid(batch.column(0)), pc.is_valid(batch.column(1))))
            if known.num_rows:
                pairs += known.num_rows
                chosen += pc.sum(known.column(0)).as_py()
                rejected += pc.sum(known.column(1)).as_py()
                longer += pc.sum(pc.greater(known.column(0), known.column(1))).as_py() or 0
    if not pairs:
        return None
    return (
        f"train/{name}: chosen {chosen / pairs:.0f} tokens, rejected {rejected / pairs:.0f} on average; "
        f"the chosen one is longer in {longer / pairs:.0%}"
    )


def _card(counts: dict[str, int]) -> str:
    """Return the card of `train/`: a config per formatter that has rows, so that `load_dataset("w/train")` works."""
    configs: list[dict[str, Any]] = [
        {"config_name": name, "data_files": f"{name}/*.parquet"} for name, count in counts.items() if count
    ]
    configs[0]["default"] = True
    front = yaml.safe_dump({"configs": configs}, sort_keys=False, allow_unicode=True)
    lines = [f"- `{name}`: {count} rows" for name, count in counts.items() if count]
    example = f'load_dataset(".../train", "{configs[0]["config_name"]}", split="train")'
    return (
        f"---\n{front}---\n\nTraining rows, written by rsr.\n\n" + "\n".join(lines) + f"\n\n```python\n{example}\n```\n"
    )


def _longest(session: Session, name: str, numbers: list[int]) -> int | None:
    """The most tokens of a row by the backend's count, None where a row has no count."""
    longest = 0
    for number in numbers:
        path = training_shard(session.work_dir, name, number)
        names = [column for column in ("prompt_tokens", *_SIDES) if column in shards.schema(path).names]
        for batch in shards.read_batches(path, names):
            columns = dict(zip(names, batch.columns, strict=True))
            if columns["prompt_tokens"].null_count or not batch.num_rows:
                if batch.num_rows:
                    return None
                continue
            sides = [column for side, column in columns.items() if side != "prompt_tokens"]
            # A reference has no count; the other side of its pair stands for it.
            total = columns["prompt_tokens"]
            if sides:
                total = pc.add(total, pc.max_element_wise(*sides, skip_nulls=True))
            if total.null_count:
                return None
            longest = max(longest, pc.max(total).as_py())
    return longest or None


def _reward(session: Session) -> tuple[str, dict[str, Any]] | None:
    """The verifier, where a trainer can call it: it scores by rules."""
    verifier = session.plan.verifier
    return (verifier.settings.type, verifier.settings.options) if verifier.runs_in_processes else None
