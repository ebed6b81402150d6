from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.types import Prompt, Reply, Verdict

VERIFIERS = '''
import ctypes, os, sys, time
from rsr_cli.types import Verdict

print("printed at import")
bombs = []

class Scripted:
    """Does what the reply says."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def verify(self, response, metadata):
        if response == "hang":
            while True:
                pass
        if response == "hang with the lock":
            return len(str(9 ** 99_999_999))
        if response == "exit":
            os._exit(7)
        if response == "segfault":
            ctypes.string_at(0)
        if response == "memory":
            while True:
                bombs.append(bytearray(64 << 20))
        if response == "raise":
            raise ValueError("no good")
        if response == "sys.exit":
            sys.exit(3)
        if response == "print":
            print("from the verifier")
            os.system("echo from a child")
            return True
        if response == "pid":
            return Verdict(1.0, "scored", str(os.getpid()))
        if response == "sleep":
            time.sleep(metadata["seconds"])
            return 1.0
        if response == "descriptors":
            return Verdict(1.0, "scored", str(len(os.listdir("/proc/self/fd"))))
        if response == "return":
            return eval(metadata["value"])
        return float(response) * self.factor


class Broken:
    def __init__(self):
        raise RuntimeError("no model here")

    def verify(self, reply, prompt):
        return True


class Nothing:
    pass
'''


@pytest.fixture(scope="session")
def verifier_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verifiers") / "scripted.py"
    path.write_text(VERIFIERS)
    return path


class Pool(ProcessPool):
    """Takes the texts and metadata that `Scripted` goes by."""

    def submit(self, response: str, metadata: dict[str, Any]) -> Future[Verdict]:  # type: ignore[override]
        return super().submit(Reply(response), Prompt("p", [], metadata))


@pytest.fixture
def make_pool(verifier_file: Path) -> Iterator[Callable[..., ProcessPool]]:
    pools: list[ProcessPool] = []

    def make(name: str = "Scripted", options: dict[str, Any] | None = None, **limits: Any) -> ProcessPool:
        settings = {"workers": 2, "time_limit": 1.0, "memory_limit_mb": 512, **limits}
        pool = Pool((f"{verifier_file}:{name}", options or {}), **settings)
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close()
