"""How far the writer of a work dir is, in a small file that readers may look at: `logs/progress.json`.

It is there as long as somebody writes; one that has no writer any more is what a killed run has left.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store.state import now
from rsr_cli.store.work_dir import WorkDir

LIVE_FILE = "progress.json"
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Live:
    """How far a task of a stage is; `figures` is what is known of it beside its count."""

    stage: str
    done: int
    total: int | None = None
    rate: float | None = None
    seconds_left: float | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)
    updated: str = field(default_factory=now)


def write_live(path: Path, live: Live) -> None:
    """Replace the file; nothing happens where the disk does not take it."""
    with suppress(OSError), LocalStorage(path).replacing(durable=False) as temporary:
        temporary.write_bytes(json.dumps(asdict(live)).encode())


def read_live(work_dir: WorkDir) -> Live | None:
    """What the writer has said last; None where there is no such file, or nothing that rsr wrote."""
    root = work_dir.root.local_path()
    if root is None:
        return None  # it is written to the disk of the writer
    try:
        descriptor = os.open(root / "logs" / LIVE_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            raw = json.loads(file.read(_MOST_BYTES))
        live = Live(**raw)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return live if _is_sound(live) else None


def _is_sound(live: Live) -> bool:
    numbers = (live.total, live.rate, live.seconds_left)
    return (
        isinstance(live.stage, str)
        and isinstance(live.updated, str)
        and isinstance(live.figures, dict)
        and isinstance(live.done, int)
        and isinstance(live.pid, int)
        and all(value is None or isinstance(value, int | float) for value in numbers)
    )
