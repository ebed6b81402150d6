"""status: how far each stage of a work dir is, what is out of date and why. Reads only, and runs no plug-in's code."""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote
from typing import Any, Literal

from rsr_cli.config.load import load_config
from rsr_cli.config.settings import Config
from rsr_cli.errors import RsrError
from rsr_cli.stages.parts import changed, parts
from rsr_cli.store import inventory
from rsr_cli.store.live import Live, read_live
from rsr_cli.store.state import STAGES, StageState, State
from rsr_cli.store.work_dir import WorkDir

Overall = Literal["done", "stale", "unfinished", "running", "unknown"]


@dataclass
class Status:
    work_dir: WorkDir
    stages: dict[str, StageState]
    shards: int
    """Those that prepare made, whether they are there or not."""
    open_shards: int
    has_writer: bool
    live: Live | None
    """What the writer has said last, or said before it was killed."""
    stale: dict[str, list[str]] = field(default_factory=dict)
    """Why a stage that was done is out of date."""
    is_known: bool = True
    """Whether something is out of date can be told: the saved config can be read."""
    is_cut_short: bool = False
    """An import has not come to its end."""
    notes: list[str] = field(default_factory=list)

    @property
    def overall(self) -> Overall:
        if self.has_writer:
            return "running"
        if self.is_cut_short or any(record.status != "done" for record in self.stages.values()):
            return "unfinished"
        if not self.is_known:
            return "unknown"
        return "stale" if self.stale else "done"

    @property
    def next(self) -> list[str]:
        """The stages that `rsr resume` has something to do in: from the first that is not up to date."""
        return [name for name in STAGES if self.stages[name].status != "done" or name in self.stale]

    def as_dict(self) -> dict[str, Any]:
        stages = {
            name: vars(record) | {"up_to_date": record.status == "done" and not reasons, "stale": reasons}
            for name, record in self.stages.items()
            if (reasons := self.stale.get(name, [])) is not None
        }
        return {
            "work_dir": str(self.work_dir.root),
            "status": self.overall,
            "shards": self.shards,
            "open_shards": self.open_shards,
            "live": vars(self.live) if self.live else None,
            "stages": stages,
            "next": [] if self.has_writer else self.next,
            "notes": self.notes,
        }


def status(work_dir: WorkDir) -> Status:
    """Look at a work dir; WorkDirError where it is none."""
    state = work_dir.load_state()
    numbers = work_dir.shards()
    found = Status(
        work_dir,
        state.stages,
        int(state.stages["prepare"].counts.get("shards", len(numbers))),
        len(work_dir.open_shards()),
        work_dir.root.is_locked(),
        read_live(work_dir),
    )
    if found.has_writer:
        return found  # what is being changed is neither up to date nor out of date
    for name, record in found.stages.items():
        if record.status == "running":
            # Its process is gone without a word.
            record.status = "stopped"
            found.notes.append(_killed(name, found))
    if state.importing:
        found.is_cut_short = True
        found.notes.append(str(state.unfinished_import(work_dir.root)))
    try:
        config = load_config(work_dir.config_path, saved=True, only_looks=True).config
    except (RsrError, OSError) as error:
        found.is_known = False
        found.notes.append(f"what is out of date can't be told: {str(error).splitlines()[0]}")
        return found
    found.stale = _stale(config, work_dir, state, numbers)
    return found


def _killed(stage: str, found: Status) -> str:
    """What is said of a stage that was killed, or whose machine went down."""
    live, where = found.live, quote(str(found.work_dir.root))
    far = ""
    if live is not None and live.stage == stage:
        far = f" at {live.done:,}" + (f" of {live.total:,}" if live.total is not None else "") + f" ({live.updated})"
    return f"{stage} was killed{far}; what had arrived is kept, rsr resume -w {where} goes on from there"


def _stale(config: Config, work_dir: WorkDir, state: State, numbers: list[int]) -> dict[str, list[str]]:
    reasons = {}
    for name, record in state.stages.items():
        if record.status != "done":
            continue
        told = changed(record.parts, parts(name, config, work_dir))
        told += _missing(name, config, work_dir, state, numbers)
        if told:
            reasons[name] = told
    return reasons


def _missing(stage: str, config: Config, work_dir: WorkDir, state: State, numbers: list[int]) -> list[str]:
    """What a stage that is done should have left, and is not there."""
    if stage == "prepare":
        expected = int(state.stages["prepare"].counts.get("shards", len(numbers)))
        return [f"{len(numbers)} of {expected} shards are there"] if len(numbers) < expected else []
    if stage == "sample":
        return [str(loss) for loss in inventory.rollout_losses(state, work_dir, numbers)]
    if stage == "verify":
        return [str(loss) for loss in inventory.score_losses(state, work_dir, numbers)]
    if stage == "format":
        paths = [work_dir.train / f"{name}.jsonl" for name in config.formatter_names()]
    else:
        paths = [work_dir.summary / name for name in ("stats.json", "prompts.parquet", "report.html")]
    return [f"{path} is missing" for path in paths if not path.exists()]
