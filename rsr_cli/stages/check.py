"""check: is all that a work dir holds whole, and does it belong together? Only reads, beside a live writer too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rsr_cli.config.load import load_config
from rsr_cli.errors import RsrError
from rsr_cli.stages.training_files import training_shard
from rsr_cli.storage.files import digest_of
from rsr_cli.storage.interface import Storage
from rsr_cli.store import inventory, joins, shards
from rsr_cli.store.state import DamagedState, State
from rsr_cli.store.work_dir import WorkDir

_TRIES = 5
"""A shard that is written while it is looked at is looked at again."""
_FREE = "move it away and run rsr resume: it is made again, and costs nothing but time"
_PAID = "restore it from a backup; else move it away and run rsr resume --redraw, which draws and pays for it again"


@dataclass(frozen=True)
class Problem:
    """A file, what is wrong with it, and what to do."""

    file: str
    problem: str
    fix: str


def check(work_dir: WorkDir, advance: Callable[[], None] = lambda: None) -> list[Problem]:
    """All that is damaged, missing or does not belong together."""
    try:
        state = work_dir.load_state()
    except DamagedState as error:
        return [Problem(str(work_dir.state_path), error.message, error.hint or "restore it from a backup")]
    problems: list[Problem] = []
    names: list[str] = []
    try:
        names = load_config(work_dir.config_path).config.formatter_names()
    except (RsrError, OSError) as error:
        message = error.message if isinstance(error, RsrError) else str(error)
        problems.append(Problem(str(work_dir.config_path), message, "restore it, or give another with --config"))
    prepared = state.stages["prepare"].counts.get("shards", 0) if state.stages["prepare"].status == "done" else 0
    numbers = sorted({*range(prepared), *work_dir.shards()})
    for shard in numbers:
        problems += _settled(work_dir, shard, lambda shard=shard: _shard_problems(work_dir, state, shard))  # type: ignore[misc]
        advance()
    known = {work_dir.data(shard).name.partition(".")[0] for shard in numbers}
    for folder in ("rollout", "score"):
        for path in (work_dir.root / folder).glob("shard_*"):
            if path.name.partition(".")[0] not in known:
                problems.append(Problem(str(path), "belongs to no data shard", "restore data/ from a backup"))
    for name in names:
        problems += _training_problems(work_dir, state, name)
    problems += _written_problems(work_dir, state)
    prompts = work_dir.summary / "prompts.parquet"
    if state.stages["analyze"].status == "done" and (damage := _damage(prompts) if prompts.exists() else "is missing"):
        problems.append(Problem(str(prompts), damage, _FREE))
    return problems


def _settled(work_dir: WorkDir, shard: int, look: Callable[[], Iterator[Problem]]) -> list[Problem]:
    """What `look` finds of a shard that no writer changes meanwhile."""
    found: list[Problem] = []
    for _ in range(_TRIES):
        before = _stamp(work_dir, shard)
        found = list(look())
        if not found or before == _stamp(work_dir, shard):
            break
    return found


def _stamp(work_dir: WorkDir, shard: int) -> tuple[str, str]:
    return work_dir.rollouts_digest(shard), work_dir.scores_digest(shard)


def _shard_problems(work_dir: WorkDir, state: State, shard: int) -> Iterator[Problem]:
    data, rollout, score = work_dir.data(shard), work_dir.rollout(shard), work_dir.score(shard)
    if not data.exists():
        yield Problem(str(data), "is missing", "run rsr prepare: it is made again from the input")
        return
    broken = False
    for path, fix in ((data, "restore it from a backup, or run rsr prepare"), (rollout, _PAID), (score, _FREE)):
        if path.exists() and (damage := _damage(path)):
            broken = True
            yield Problem(str(path), damage, fix)
    for path, fix in (
        (work_dir.rollout_journal(shard), "run rsr resume: it draws again what they held"),
        (work_dir.score_journal(shard), "run rsr resume: it scores again what they held"),
    ):
        if count := joins.damaged_lines(path):
            yield Problem(str(path), f"{count} of its lines are damaged", fix)
    if broken:
        return
    if not inventory.is_as_written(state, data):
        yield Problem(str(data), "is not the file that rsr prepare wrote", "restore it from a backup")
    for loss in inventory.rollout_losses(state, work_dir, [shard]):
        yield Problem(str(loss.path), str(loss).removeprefix(f"{loss.path} "), _PAID)
    for loss in inventory.score_losses(state, work_dir, [shard]):
        yield Problem(str(loss.path), str(loss).removeprefix(f"{loss.path} "), "run rsr verify: it scores them again")
    for problem in joins.rollout_problems(work_dir, shard):
        yield Problem(str(rollout), problem, "restore data/ and rollout/ from one backup")
    if stale := joins.stale_verdicts(work_dir, shard):
        told = f"{stale} of its verdicts are not on the texts that are here"
        yield Problem(str(score), told, "run rsr verify: it scores what is here")


def _damage(path: Storage) -> str | None:
    try:
        return shards.damage(path) if shards.digest(path) else "was not written by rsr"
    except RsrError as error:
        return error.message.removeprefix(f"{path} ")


def _training_problems(work_dir: WorkDir, state: State, name: str) -> Iterator[Problem]:
    """Of the files of a formatter, as far as rsr wrote them."""
    if state.stages["format"].status != "done" or name not in state.stages["format"].counts.get("rows", {}):
        return
    for shard in state.stages["format"].shards_done:
        path = training_shard(work_dir, name, shard)
        problem = _damage(path) if path.exists() else "is missing"
        if problem:
            yield Problem(str(path), problem, _FREE)


def _written_problems(work_dir: WorkDir, state: State) -> Iterator[Problem]:
    """Of the other files that rsr wrote and nobody has reason to change."""
    for name, digests in state.written.items():
        stage = {"train": "format", "summary": "analyze"}.get(name.partition("/")[0])
        if stage is None or state.stages[stage].status != "done" or not digests:
            continue
        path = work_dir.root
        for part in name.split("/"):
            path = path / part
        digest = digest_of(path)
        if digest is None:
            yield Problem(str(path), "is missing", f"run rsr {stage}: it is made again")
        elif digest not in digests:
            yield Problem(str(path), "was changed since rsr wrote it", f"move it away and run rsr {stage}")
