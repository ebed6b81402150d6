"""An answer that is a tool call: kept as one from the server to the rollouts, and no empty reply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rsr_cli.sampling.guards import missing_reply
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store import shards
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Attempt
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Reply
from tests.work_dirs import rows, sums, write_config, write_rows

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 3, "b": 4}'}}


def calls_in(row: dict[str, Any]) -> Any:
    return json.loads(row["tool_calls"])


def test_a_tool_call_is_kept_and_is_no_empty_reply(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply(None, "stop", tool_calls=[CALL])
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(3)), model_server.base_url)
    work_dir = tmp_path / "w"
    rsr("prepare", config, "-w", work_dir)
    outcome = rsr("sample", "-w", work_dir, "sampling.max_rollouts=2", "sampling.early_stop=false")
    assert outcome.exit_code == 0, outcome.stderr
    rollouts = rows(work_dir / "rollout")
    assert [(row["response"], row["finish_reason"], row["error"]) for row in rollouts] == [("", "stop", None)] * 6
    assert all(calls_in(row) == [CALL] for row in rollouts)
    rsr("verify", "-w", work_dir)
    assert {row["status"] for row in rows(work_dir / "score")} == {"no_answer"}
    rsr("analyze", "-w", work_dir)
    stats = json.loads((work_dir / "summary/stats.json").read_text())
    assert '"empty_replies": 0' in json.dumps(stats)
    assert '"add"' in rsr("show", "-w", work_dir).stdout.replace("\n", "").replace("\\", "")
    [attempt] = [a for group in read_groups(WorkDir(LocalStorage(work_dir)), 0) for a in group.attempts.values()][:1]
    assert missing_reply(attempt) is None


def test_a_shard_without_the_column_reads_as_null(tmp_path: Path) -> None:
    old = shards.ROLLOUT.remove(shards.ROLLOUT.get_field_index("tool_calls"))
    row = {"id": "a", "attempt": 0, "step": 0, "step_size": 1, "response": "x", "finish_reason": "stop", "model": "m"}
    pq.write_table(pa.Table.from_pylist([row], schema=old), tmp_path / "shard.parquet")
    [read] = shards.read_rows(LocalStorage(tmp_path / "shard.parquet"), shards.ROLLOUT)
    assert read["tool_calls"] is None and read["response"] == "x"


def test_tool_calls_are_imported(tmp_path: Path, rsr: Rsr) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(1)), "http://127.0.0.1:1/v1")
    rsr("prepare", config, "-w", tmp_path / "w")
    made = [
        {"id": "sum-0", "response": None, "tool_calls": [CALL], "finish_reason": "tool_calls"},
        {"id": "sum-0", "tool_calls": json.dumps([CALL]), "finish_reason": "tool_calls"},
        {"id": "sum-0", "response": "let me add", "tool_calls": [CALL]},
    ]
    outcome = rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    rollouts = rows(tmp_path / "w/rollout")
    assert [row["response"] for row in rollouts] == ["", "", "let me add"]
    assert all(calls_in(row) == [CALL] for row in rollouts)
    nothing = write_rows(tmp_path / "nothing.jsonl", [{"id": "sum-0", "response": None, "tool_calls": []}])
    assert rsr("import", nothing, "-w", tmp_path / "w").exit_code == 2


def test_an_attempt_without_tool_calls_is_as_before() -> None:
    attempt = Attempt(id="a", attempt=0, step=0, step_size=1, response="", finish_reason="stop", model="m")
    assert missing_reply(attempt) == "it is empty"
