"""`state.json`: what each stage has done, the parameters sampled with, and how the config changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from rsr_cli import __version__
from rsr_cli.errors import RsrError, WorkDirError
from rsr_cli.store.files import write_text
from rsr_cli.store.locations import Location

VERSION = 1
STAGES = ("prepare", "sample", "verify", "format", "analyze")
StageStatus = Literal["pending", "running", "stopped", "failed", "done"]


@dataclass
class StageState:
    """One stage: times are ISO 8601 in UTC, `seconds` is the time it took when it last ended."""

    status: StageStatus = "pending"
    fingerprint: str | None = None
    shards_done: list[int] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    by_shard: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The counts of each shard that sample closed."""
    retry_errors: bool = False
    """It was to ask again for the attempts that failed for good, and has not come to its end."""
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None


@dataclass
class State:
    stages: dict[str, StageState] = field(default_factory=lambda: {name: StageState() for name in STAGES})
    sampled_with: dict[str, Any] = field(default_factory=dict)
    """The model and sampling parameters of the rollouts so far."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """Each change of the saved config: time, command, and per key the old and the new value."""
    created: str = field(default_factory=lambda: now())
    version: int = VERSION
    rsr_version: str = __version__

    def save(self, path: Location) -> None:
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Location) -> State:
        """The state in `path`; WorkDirError where it is of another version or can't be read."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            version = raw["version"]
            if version != VERSION:
                raise WorkDirError(
                    f"{path}: the work dir is of version {version}, this rsr ({__version__}) reads version {VERSION}",
                    f"use the rsr that made it ({raw.get('rsr_version', 'unknown')}), or a new work dir",
                )
            raw["stages"] = {name: StageState(**raw["stages"].get(name, {})) for name in STAGES}
            return cls(**raw)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, RsrError):
                raise
            raise WorkDirError(
                f"{path} can't be read: {type(error).__name__}: {error}",
                "restore it from a backup, or use a new work dir",
            ) from None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
