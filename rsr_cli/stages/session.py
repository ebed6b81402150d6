"""A session: one command's hold on a work dir, with its config, its state and its progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any, Literal, TypeVar

from rsr_cli import __version__
from rsr_cli.config.load import ConfigFile, LoadedConfig, changed_keys, load_config
from rsr_cli.config.references import saved_url
from rsr_cli.config.scalars import load_yaml, resolve_plain
from rsr_cli.config.settings import Config
from rsr_cli.errors import GuardStop, InputError, WorkDirError
from rsr_cli.executors import local, ray_shards
from rsr_cli.plan import Plan, resolve
from rsr_cli.secrecy import names_secret, redact_all, without_secrets
from rsr_cli.stages.parts import parts
from rsr_cli.stages.progress import Progress
from rsr_cli.storage.files import set_aside
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.locate import locate
from rsr_cli.store import inventory
from rsr_cli.store.ownership import holds_own_data, refuse_foreign_folder, write_own_text
from rsr_cli.store.state import DamagedState, State, now
from rsr_cli.store.trust import code_in, is_trusted, require_trusted, stamps
from rsr_cli.store.work_dir import WorkDir, new_work_dir

_log = logging.getLogger(__name__)
S = TypeVar("S")
T = TypeVar("T")


@dataclass
class StageResult:
    """What a stage did: `skipped` where it was up to date, else what it counted."""

    stage: str
    skipped: bool = False
    postponed: bool = False
    """It has come as far as it can for now: something is to be done elsewhere before it goes on."""
    counts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Lines for people: what changed, what to look at."""


@dataclass
class Session:
    work_dir: WorkDir
    loaded: LoadedConfig
    plan: Plan
    state: State
    progress: Progress
    command: str
    executor: Literal["local", "ray"] = "local"
    """Where whole shards are worked on."""

    @property
    def config(self) -> Config:
        return self.plan.config

    def save_state(self) -> None:
        self.state.save(self.work_dir.state_path)

    def write(self, path: Storage, text: str) -> None:
        """Write a text file of the work dir; what somebody else has put in its place is set aside."""
        write_own_text(self.work_dir, self.state, path, text)

    def require_trusted(self, named: Any) -> None:
        """WorkDirError where code that a command names lies in a work dir that was not made here."""
        require_trusted(code_in(named), (), self.work_dir.root)

    def changes(self, section: str = "") -> dict[str, list[Any]]:
        """The keys (of a section) whose value is not the saved one, with the old and the new value."""
        if not self.work_dir.config_path.exists():
            return {}
        saved = resolve_plain(load_yaml(self.work_dir.config_path.read_text(encoding="utf-8")))
        changed = changed_keys(saved, self.loaded.saved_in(self.work_dir.root.local_path()))
        return {key: values for key, values in changed.items() if key.startswith(section)}

    def save_config(self) -> None:
        """Save the config if it has changed, and what changed in the history."""
        changed = self.changes()
        if changed or not self.work_dir.config_path.exists():
            if changed:
                changed = {key: [_as_saved(key, value) for value in values] for key, values in changed.items()}
                self.state.changes.append({"time": now(), "command": self.command, "changed": changed})
            self.write(self.work_dir.config_path, self.loaded.to_yaml(self.work_dir.root.local_path()))
        self.progress.log_to(self.work_dir.logs())

    @contextmanager
    def running(self, stage: str, mark: str, began: float | None = None) -> Iterator[StageResult]:
        """Mark the stage as running, then as done with its counts, or as stopped or failed.

        What the stage may refuse it refuses before: from here on the config is saved. `began` is the monotonic time
        at which its work began, where that is earlier.
        """
        self.save_config()
        self.progress.log(f"rsr {__version__} {self.command}: {stage} begins")
        record = self.state.stages[stage]
        record.status, record.started, record.finished, record.fingerprint = "running", now(), None, mark
        record.parts = parts(stage, self.config, self.work_dir)
        self.save_state()
        began = time.monotonic() if began is None else began
        result = StageResult(stage)
        status = "failed"
        try:
            yield result
            status = "stopped" if result.postponed else "done"
        except (KeyboardInterrupt, SystemExit, GeneratorExit, GuardStop):
            status = "stopped"
            raise
        finally:
            record.status = status  # type: ignore[assignment]
            record.finished, record.seconds = now(), round(time.monotonic() - began, 3)
            record.counts = result.counts
            self.save_state()
            self.progress.log(f"{stage}: {status} after {record.seconds} s")

    def over_shards(self, work: Callable[[S], T], of_shards: Sequence[S], *, rows: int, cpus: int = 1) -> Iterator[T]:
        """What `work` gives for each shard, in their order, made where the command says.

        `of_shards` holds what it must know of each, `rows` is how many they hold together, `cpus` the cores that one
        takes on a cluster.
        """
        try:
            if self.executor == "ray":
                yield from ray_shards.over_shards(work, of_shards, cpus)
            else:
                yield from local.over_shards(work, of_shards, rows)
        finally:
            self.work_dir.root.refresh()

    def up_to_date(self, stage: str) -> StageResult:
        """Return the result of a stage that has nothing to do; what it depends on is then as it should be."""
        record, present = self.state.stages[stage], parts(stage, self.config, self.work_dir)
        if record.parts != present:
            record.parts = present
            self.save_state()
        return StageResult(stage, skipped=True, counts=record.counts)

    def is_done(self, stage: str, fingerprint: str) -> bool:
        record = self.state.stages[stage]
        return record.status == "done" and record.fingerprint == fingerprint

    def require_data(self) -> list[int]:
        """The data shards; WorkDirError where there are none yet."""
        shards = self.work_dir.shards()
        record = self.state.stages["prepare"]
        if record.status != "done":
            raise WorkDirError(f"{self.work_dir.root} has no data yet", "run rsr prepare first")
        if missing := sorted(set(range(record.counts["shards"])) - set(shards)):
            raise WorkDirError(
                f"{self.work_dir.data(missing[0])} is missing", f"rsr prepare -w {self.work_dir.root} makes it again"
            )
        for shard in shards:
            self.work_dir.require_own_shards(shard)
            if not inventory.is_as_written(self.state, self.work_dir.data(shard)):
                raise WorkDirError(
                    f"{self.work_dir.data(shard)} is not the file that rsr prepare wrote",
                    f"restore it from a backup, or move it away: rsr prepare -w {self.work_dir.root} makes it again",
                )
        return shards

    def require_rollouts(self, *, scored: bool = False) -> list[int]:
        """The shards that have rollouts; WorkDirError where none has, and as `require_whole` raises it."""
        numbers = self.require_data()
        self.require_whole(numbers, scored=scored)
        shards = [shard for shard in numbers if self.work_dir.has_rollouts(shard)]
        if not shards:
            raise WorkDirError(f"{self.work_dir.root} has no rollouts yet", "run rsr sample or rsr import first")
        return shards

    def require_whole(self, numbers: list[int], *, scored: bool = False) -> None:
        """WorkDirError where some of what was recorded in these shards is lost: of the rollouts, or (`scored`) of their
        verdicts."""
        root = self.work_dir.root
        if losses := inventory.rollout_losses(self.state, self.work_dir, numbers):
            raise WorkDirError(
                inventory.told(losses),
                f"restore it from a backup, or draw it again and pay for it again: rsr resume {root} --redraw. "
                f"rsr check {root} lists all that is damaged",
            )
        if scored and (losses := inventory.score_losses(self.state, self.work_dir, numbers)):
            raise WorkDirError(inventory.told(losses), f"rsr verify -w {root} scores its rollouts again")


def _as_saved(key: str, value: Any) -> Any:
    """The value of a key for the history: that of an earlier version may still be a secret."""
    if isinstance(value, str) and "${" in value:
        return saved_url(value)
    return "***" if names_secret(key) and value else redact_all(without_secrets(value))


@contextmanager
def open_session(
    command: str,
    progress: Progress,
    *,
    work_dir: Storage | None = None,
    config_path: Path | None = None,
    overrides: Sequence[str] = (),
    may_create: bool = False,
    trust: bool = False,
) -> Iterator[Session]:
    """Open (or with `may_create` make) the work dir as its one writer, and settle its config. `trust`: code in it may
    run though it was made elsewhere, from now on.

    The saved config is used where no other is given; overrides and changes are saved, with their history. Nothing is
    written before the config is known to be right, and a work dir made here goes away again if nothing came into it.
    """
    loaded, root = settle(work_dir, config_path, overrides, may_create, trust=trust)
    if root is not None and not may_create and not (root / "state.json").exists():
        raise WorkDirError(f"{root} is not a work dir: it has no state.json", f"rsr prepare -w {root} makes one")
    plan = resolve(loaded.config)
    stood = root is not None and root.exists()
    target = WorkDir(root) if root is not None else new_work_dir()
    if root is None:
        progress.say(f"work dir: {target.root}")
    try:
        with target.root.lock():
            made = not target.state_path.exists()
            try:
                session = Session(target, loaded, plan, _opened_state(target, command), progress, command)
                if session.state.importing and command != "import":
                    raise session.state.unfinished_import(target.root)
                session.state.thresholds = list(plan.thresholds)
                if trust and not is_trusted(target.root, asdict(session.state)):
                    session.state.made_here = stamps(target.root)
                    session.save_state()
                    if not session.state.made_here:
                        progress.warn("that it is trusted can't be remembered: no key can be kept in ~/.local/state")
                yield session
                session.save_config()
            except BaseException as error:
                progress.log(f"{type(error).__name__}: {error}")
                if made and not target.config_path.exists():
                    target.take_back(whole=not stood)
                else:
                    error.add_note(f"what arrived is kept, rsr resume -w {quote(str(target.root))} goes on from there")
                raise
    finally:
        progress.close()


def _opened_state(work_dir: WorkDir, command: str) -> State:
    """The state of a work dir, or a new one, which is saved before anything else: by it the folder is rsr's own."""
    if work_dir.state_path.exists():
        try:
            return work_dir.load_state()
        except DamagedState as damaged:
            if command != "prepare" or not holds_own_data(work_dir):
                raise
            _log.warning("%s: it is kept as %s and made anew", damaged.message, set_aside(work_dir.state_path).name)
    refuse_foreign_folder(work_dir.root)
    state = State()
    if not holds_own_data(work_dir):
        state.made_here = stamps(work_dir.root)
    state.save(work_dir.state_path)
    return state


def settle(
    work_dir: Storage | None,
    config_path: Path | None,
    overrides: Sequence[str],
    may_create: bool,
    *,
    trust: bool = False,
) -> tuple[LoadedConfig, Storage | None]:
    """The config, and the work dir by flag or by config (None: a new one). No code that it names has run yet; without
    `trust` a WorkDirError where that is somebody else's."""
    if work_dir is not None:
        WorkDir(work_dir).require_no_links()
    saved = work_dir / "config.yaml" if work_dir is not None else None
    config_file: ConfigFile | None = config_path
    if config_path is None and saved is not None and saved.exists():
        config_file = saved
    if config_file is None and not may_create and work_dir is not None:
        hint = "rsr prepare makes one" if work_dir.exists() else "give one that was prepared, or run rsr prepare -w"
        raise WorkDirError(f"{work_dir} is not a work dir: it has no config.yaml", hint)
    if (
        config_file is None
        and not may_create
        and work_dir is None
        and not any(o.startswith("work_dir=") for o in overrides)
    ):
        raise InputError("no work dir is given", "name it with --work-dir (-w)")
    loaded = load_config(config_file, overrides, saved=config_path is None)
    if work_dir is None and loaded.config.work_dir is not None:
        work_dir = locate(loaded.config.work_dir)
    if work_dir is None and not may_create:
        raise InputError("no work dir is given", "name it with --work-dir (-w)")
    if work_dir is not None and (may_create or (work_dir / "state.json").exists()):
        WorkDir(work_dir).require_no_links()
        refuse_foreign_folder(work_dir)
    if not trust:
        require_trusted(code_in(loaded.config.model_dump()), loaded.loose, work_dir)
    return loaded, work_dir
