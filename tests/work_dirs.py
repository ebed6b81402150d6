"""Inputs and work dirs for tests: prompts that the model server knows the answers of, and what came of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from tests.server.scenario import arithmetic_prompt


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def sums(count: int) -> list[dict[str, Any]]:
    """Prompts of sums with their golds; the server's pass rates spread over [0, 1)."""
    return [
        {
            "id": f"sum-{index}",
            "messages": [{"role": "user", "content": arithmetic_prompt(index, 7)}],
            "metadata": {"answer": str(index + 7)},
        }
        for index in range(count)
    ]


def write_config(path: Path, input_path: Path | str, base_url: str, **sections: Any) -> Path:
    config: dict[str, Any] = {
        "data": {"input_path": str(input_path)},
        "sampling": {"max_rollouts": 8, "step_size": 4, "max_steps": 4, "seed": 1},
        "sampler": {"base_url": base_url, "model": "test-model", "concurrent_requests": 32, "timeout": 10},
        "verifier": {"type": "math-rlvr", "workers": 1},
        "formatter": [{"type": "sft"}, {"type": "dpo"}],
        "shard": {"size": 10},
    }
    for name, section in sections.items():
        if isinstance(section, dict) and isinstance(config.get(name), dict):
            config[name] |= section
        else:
            config[name] = section
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of the shards in a folder of a work dir."""
    return [row for path in sorted(folder.glob("shard_*.parquet")) for row in pq.read_table(path).to_pylist()]


def without_times(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "latency_s"} for row in found]


def outcome(work_dir: Path) -> dict[str, object]:
    """All that a run leaves, less what depends on the clock: latencies, and the draws ahead that a pass came before."""
    train = [str(path.relative_to(work_dir)) for path in sorted(work_dir.glob("train/*/"))]
    result: dict[str, object] = {name: rows(work_dir / name) for name in ("data", *train)}
    needed = {row["id"]: math.inf for row in rows(work_dir / "data")}
    for row in rows(work_dir / "score"):
        if row["score"] == 1.0:
            needed[row["id"]] = min(needed[row["id"]], row["attempt"])
    for name in ("rollout", "score"):
        result[name] = [r for r in without_times(rows(work_dir / name)) if r["attempt"] <= needed[r["id"]]]
    return result


def state(work_dir: Path) -> dict[str, Any]:
    return json.loads((work_dir / "state.json").read_text(encoding="utf-8"))


def journals(work_dir: Path) -> list[Path]:
    return sorted(work_dir.glob("*/*.journal"))
