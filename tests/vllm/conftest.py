"""vLLM for real, with the package's tiny model.

Skipped where it is missing; RSR_TEST_REQUIRE=vllm makes that a failure.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rsr_cli

TINY = str(Path(rsr_cli.__file__).parent / "tiny/model")

# What a CPU without a compiler needs; a GPU does not mind.
os.environ |= {"TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}

OFFLINE: dict[str, Any] = {
    "type": "vllm-offline",
    "model_path": TINY,
    "num_gpus": 1,
    "dtype": "float32",
    "max_model_len": 512,
    "max_tokens": 150,
    "temperature": 0.8,
    "engine_params": {"enforce_eager": True, "max_num_seqs": 64, "kv_cache_memory_bytes": 64 << 20},
}
"""The sampler section of a small engine, on a CPU too."""


@pytest.fixture(scope="session", autouse=True)
def needs_vllm() -> None:
    missing = [name for name in ("vllm", "ray") if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("RSR_TEST_REQUIRE") == "vllm":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def descendants(pid: int) -> set[int]:
    """The living processes that this one started, and those that they started."""
    parents = {int(path.name): parent for path in Path("/proc").glob("[0-9]*") if (parent := _parent(path.name))}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pid: int) -> bool:
    return _parent(str(pid)) is not None


def _parent(pid: str) -> int | None:
    """None for a process that is gone, or dead and waits to be buried."""
    try:
        state, parent = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(parent)
