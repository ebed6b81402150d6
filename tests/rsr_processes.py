"""`rsr` in processes of its own that start in milliseconds: they are forked from one that has loaded everything."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

MARK = "RSR_TEST_STARTED_FOR"
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        __name__,
        "multiprocessing.popen_spawn_posix",
        "multiprocessing.sharedctypes",
        "rsr_cli.cli.app",
        "rsr_cli.formatters.dpo",
        "rsr_cli.formatters.sft",
        "rsr_cli.samplers.openai_compatible_api",
        "rsr_cli.stages.pipeline",
    ]
)


def start_rsr(*arguments: object, output: Path, surroundings: Callable[[], object] | None = None) -> ForkServerProcess:
    """Begin `rsr ARGUMENT...`; what it says goes to the end of the file `output`. `surroundings` is called in the
    process before rsr begins, and may change its streams, signals and environment."""
    process = _CONTEXT.Process(target=_run, args=([str(argument) for argument in arguments], output, surroundings))
    process.start()
    return process


def _run(arguments: list[str], output: Path, surroundings: Callable[[], object] | None) -> None:
    from rsr_cli.cli.app import main

    os.environ[MARK] = str(output)
    sys.argv = ["rsr", *arguments]
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if surroundings is not None:
        surroundings()
    main()


def wait_until_all_have_ended(output: Path, seconds: float = 20.0) -> None:
    """What the processes with this output have started (their workers) goes away by itself."""
    end = time.monotonic() + seconds
    while left := [entry.name for entry in Path("/proc").iterdir() if _bears(entry, output)]:
        assert time.monotonic() < end, f"{left} outlive the process that started them"
        time.sleep(0.02)


def _bears(entry: Path, output: Path) -> bool:
    try:
        return f"{MARK}={output}".encode() in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
