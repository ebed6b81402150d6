"""The work dirs under a folder: what each is, how far it is, how often it passes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsr_cli.errors import InputError, RsrError
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store.live import read_live
from rsr_cli.store.state import STAGES, State
from rsr_cli.store.work_dir import WorkDir

_DEEPEST = 3


@dataclass(frozen=True)
class Listed:
    """`problem` says why nothing more is known of it."""

    path: str
    created: str | None = None
    model: str | None = None
    prompts: int | None = None
    stage: str | None = None
    """The last stage that has begun."""
    status: str | None = None
    done: int | None = None
    """Of the prompts, how many the stage under way has done."""
    pass_rate: float | None = None
    problem: str | None = None


def work_dirs_under(folder: Path) -> list[Listed]:
    """Return the work dirs in a folder, not deeper than three levels, the oldest first. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", "name one that holds work dirs; the default is output/")
    found = [_listed(WorkDir(LocalStorage(path))) for path in _found(folder, 0)]
    return sorted(found, key=lambda item: (item.created or "", item.path))


def _found(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / "state.json").is_file():
        yield folder
        return
    if depth == _DEEPEST:
        return
    try:
        with os.scandir(folder) as entries:
            inner = sorted(e.path for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    except PermissionError:
        return
    for path in inner:
        yield from _found(Path(path), depth + 1)


def _listed(work_dir: WorkDir) -> Listed:
    path = str(work_dir.root)
    try:
        state = work_dir.load_state()
        is_written = work_dir.root.is_locked()
    except (RsrError, OSError) as error:
        return Listed(path, problem=str(error))
    begun = [name for name in STAGES if state.stages[name].started]
    stage = begun[-1] if begun else None
    status = state.stages[stage].status if stage else "pending"
    live = read_live(work_dir) if is_written else None
    if live is not None:
        stage, status = live.stage, "running"
    elif status == "running" and not is_written:
        status = "stopped"
    prompts, rate = state.stages["prepare"].counts.get("prompts"), _at(state, "pass_rate", "mean")
    return Listed(
        path=path,
        created=state.created,
        model=_model(state),
        prompts=prompts if isinstance(prompts, int) else None,
        stage=stage,
        status=status,
        done=live.done if live else None,
        pass_rate=rate if isinstance(rate, int | float) else None,
    )


def _model(state: State) -> str | None:
    models = _at(state, "attempts", "models")
    if isinstance(models, dict) and models:
        return ", ".join(map(str, models))
    model = state.sampled_with.get("model")
    return None if model is None else str(model)


def _at(state: State, *path: str) -> Any:
    value: Any = state.stages["analyze"].counts
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
