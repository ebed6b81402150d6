"""`state.json`: what each stage has done, the parameters sampled with, and how the config changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from shlex import quote
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from rsr_cli import __version__
from rsr_cli.errors import RsrError, WorkDirError
from rsr_cli.storage.files import write_text
from rsr_cli.storage.interface import Storage

VERSION = 1
_REBUILD = (
    "check who may read it, or restore it from a backup; if it is lost, rsr prepare makes it anew from what lies in "
    "the work dir: nothing is sampled again"
)
STAGES = ("prepare", "sample", "verify", "format", "analyze")
StageStatus = Literal["pending", "running", "stopped", "failed", "done"]


class DamagedState(WorkDirError):
    """There is a state.json, and it can't be used."""


@dataclass
class StageState:
    """One stage: times are ISO 8601 in UTC, `seconds` is the time it took when it last ended."""

    status: StageStatus = "pending"
    fingerprint: str | None = None
    shards_done: list[int] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    by_shard: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The counts of each shard that sample closed."""
    parts: dict[str, str] = field(default_factory=dict)
    """A digest of each thing that the fingerprint is made of."""
    retry_errors: bool = False
    """It was to ask again for the attempts that failed for good, and has not come to its end."""
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None


@dataclass
class Closed:
    """The rows of a shard and their digest, or the lines of a journal that was left for a later run."""

    rows: int
    digest: str = ""


@dataclass
class State:
    stages: dict[str, StageState] = field(default_factory=lambda: {name: StageState() for name in STAGES})
    sampled_with: dict[str, Any] = field(default_factory=dict)
    """The model and sampling parameters of the rollouts so far."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """Each change of the saved config: time, command, and per key the old and the new value."""
    written: dict[str, list[str]] = field(default_factory=dict)
    """Of each file that people may change as well, by its path in the work dir: the digests of what rsr wrote."""
    made_here: list[str] = field(default_factory=list)
    """What proves to the machine that made it that this work dir was made there: see `trust`."""
    closed: dict[str, Closed] = field(default_factory=dict)
    """What each shard held when it was last closed, by its path in the work dir; see `inventory`."""
    thresholds: list[float] = field(default_factory=list)
    """From which score on a rollout passes, and up to which it fails, for readers without the formatters' code."""
    importing: dict[str, str] = field(default_factory=dict)
    """The `file` whose completions are being brought in, and its `digest`; empty once all of them are here."""
    created: str = field(default_factory=lambda: now())
    version: int = VERSION
    rsr_version: str = __version__

    def unfinished_import(self, root: Storage) -> WorkDirError:
        """That an import into the work dir `root` was cut short, and how it is finished."""
        file = self.importing.get("file", "FILE")
        return WorkDirError(
            f"the import of {file} into {root} has not come to its end: only a part of its completions is here",
            f"import the same file again, which adds the rest: rsr import {quote(file)} -w {quote(str(root))}",
        )

    def save(self, path: Storage) -> None:
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Storage) -> State:
        """The state in `path`; WorkDirError where it is of another version, DamagedState where it can't be used."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if isinstance(error, RsrError):
                raise
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DamagedState(f"{path} can't be read: {reason}", _REBUILD) from None
        version = raw.get("version") if isinstance(raw, dict) else None
        if not isinstance(version, int) or isinstance(version, bool):
            raise DamagedState(f"{path} is not the state of a work dir: it has no version", _REBUILD)
        if version != VERSION:
            raise WorkDirError(
                f"{path}: the work dir is of version {version}, this rsr ({__version__}) reads version {VERSION}",
                f"use the rsr that made it ({raw.get('rsr_version', 'unknown')}), or a new work dir",
            )
        try:
            state = TypeAdapter(cls).validate_python(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DamagedState(f"{path} is damaged: {where}: {first['msg']}", _REBUILD) from None
        state.stages = {name: state.stages.get(name, StageState()) for name in STAGES}
        prepared = state.stages["prepare"]
        if prepared.status == "done" and not isinstance(prepared.counts.get("shards"), int):
            raise DamagedState(f"{path} is damaged: stages.prepare.counts.shards is not there", _REBUILD)
        return state


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
