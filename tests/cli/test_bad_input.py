"""Bad input of every kind: the right exit code, one clear message, nothing half written."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import state, sums, write_config, write_rows


@pytest.fixture
def base_url() -> str:
    return "http://127.0.0.1:1/v1"


def refused(rsr: Rsr, tmp_path: Path, config: Path, *overrides: str, saying: list[str]) -> None:
    """`rsr run` refuses this with exit code 2, says all of `saying`, and leaves no work dir."""
    work_dir = tmp_path / "w"
    outcome = rsr("run", config, "-w", work_dir, *overrides)
    assert outcome.exit_code == 2, outcome.stderr
    assert outcome.stderr.startswith("error: ")
    for text in saying:
        assert text in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    assert not work_dir.exists()


def test_missing_file(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    config = write_config(tmp_path / "c.yaml", tmp_path / "nowhere.jsonl", base_url)
    refused(rsr, tmp_path, config, saying=["nowhere.jsonl does not exist", "data.input_path"])


def test_empty_file(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", []), base_url)
    refused(rsr, tmp_path, config, saying=["in.jsonl is empty"])


def test_invalid_json_on_line_17(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    lines = [json.dumps(row) for row in sums(30)]
    lines[16] = '{"id": "x", "messages": ['
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    config = write_config(tmp_path / "c.yaml", tmp_path / "in.jsonl", base_url)
    refused(rsr, tmp_path, config, saying=["1 of 30 rows are invalid", "in.jsonl:17: is not valid JSON"])


def test_all_bad_rows_are_counted_and_ten_shown(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    rows: list[dict[str, Any]] = sums(40)
    for row in rows[:15]:
        del row["messages"]
    rows[20]["id"] = rows[21]["id"]
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", rows), base_url)
    refused(rsr, tmp_path, config, saying=["16 of 40 rows are invalid", "in.jsonl:10: no messages", "and 6 more"])


def test_a_duplicate_id(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(5) + sums(2)), base_url)
    refused(rsr, tmp_path, config, saying=["in.jsonl:6: the id 'sum-0'", "in.jsonl:7: the id 'sum-1'"])


def test_bad_rows_can_be_skipped(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(5) + sums(2)), base_url)
    outcome = rsr("prepare", config, "-w", tmp_path / "w", "data.preprocess.on_invalid=skip", "--json")
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["stages"]["prepare"]["prompts"] == 5
    assert "in.jsonl:6" in outcome.stderr


def test_an_unknown_key_and_a_wrong_type_are_both_shown(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("data: {input_path: in.jsonl}\nsampling:\n  max_rollout: 3\n  step_size: many\n")
    saying = [
        f"{config}:3: sampling.max_rollout: unknown key, did you mean 'max_rollouts'?",
        f"{config}:4: sampling.step_size",
        "'many'",
    ]
    refused(rsr, tmp_path, config, saying=saying)


def test_plugin_options_are_checked_before_anything_runs(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(2)), base_url)
    overrides = ["formatter=[{type: sft, pass_treshold: 1}, {type: dpoo}]", "verifier.type=math-rvlr"]
    saying = ["formatter.0.pass_treshold", "'pass_threshold'", "'dpoo'", "'dpo'", "'math-rvlr'", "'math-rlvr'"]
    refused(rsr, tmp_path, config, *overrides, saying=saying)


@pytest.mark.parametrize(
    ("code", "name", "saying"),
    [
        ("def f(item):\n    return item['missing']\n", "f", ["in.jsonl:1", "KeyError", "missing"]),
        ("def f(item):\n    return 3\n", "f", ["in.jsonl:1", "returned a int"]),
        ("def f(item):\n    return item\n", "g", ["t.py has no 'g'"]),
        ("def f(item)\n", "f", ["t.py can't be loaded", "SyntaxError"]),
        (None, "f", ["there is no file", "t.py"]),
    ],
)
def test_bad_transforms(
    code: str | None, name: str, saying: list[str], tmp_path: Path, rsr: Rsr, base_url: str
) -> None:
    if code is not None:
        (tmp_path / "t.py").write_text(code)
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(2)), base_url)
    refused(rsr, tmp_path, config, f"data.preprocess.transform={tmp_path}/t.py:{name}", saying=saying)


def prepared(tmp_path: Path, rsr: Rsr, base_url: str) -> Path:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(12)), base_url)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    return tmp_path / "w"


def test_a_work_dir_of_another_version(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    work_dir = prepared(tmp_path, rsr, base_url)
    changed = state(work_dir) | {"version": 99}
    (work_dir / "state.json").write_text(json.dumps(changed))
    outcome = rsr("sample", "-w", work_dir)
    assert outcome.exit_code == 2
    assert "version 99" in outcome.stderr
    assert state(work_dir) == changed


def test_a_truncated_shard(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    work_dir = prepared(tmp_path, rsr, model_server.base_url)
    assert rsr("run", "-w", work_dir).exit_code == 0
    shard = work_dir / "rollout/shard_0001.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    before = {path: path.read_bytes() for path in work_dir.rglob("*.parquet")}
    for command in ("verify", "format", "analyze", "resume"):
        outcome = rsr(command, "-w", work_dir, "verifier.time_limit=9")
        assert outcome.exit_code == 2, command
        assert "rollout/shard_0001.parquet is damaged" in outcome.stderr
    assert before == {path: path.read_bytes() for path in work_dir.rglob("*.parquet")}


def test_no_such_work_dir(tmp_path: Path, rsr: Rsr) -> None:
    for command in ("sample", "verify", "format", "analyze", "resume", "status", "show"):
        outcome = rsr(command, "-w", tmp_path / "nowhere")
        assert outcome.exit_code == 2, command
        assert "nowhere" in outcome.stderr
    assert not (tmp_path / "nowhere").exists()


def test_stages_out_of_order(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    work_dir = prepared(tmp_path, rsr, base_url)
    for command in ("verify", "format"):
        outcome = rsr(command, "-w", work_dir)
        assert outcome.exit_code == 2
        assert "no rollouts yet" in outcome.stderr


def test_no_key_where_one_is_wanted_stops_at_once(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.api_key = "sk-right"
    work_dir = prepared(tmp_path, rsr, model_server.base_url)
    outcome = rsr("sample", "-w", work_dir, "sampler.api_key=sk-wrong-key", "sampler.concurrent_requests=2")
    assert outcome.exit_code == 1
    assert "sampler.api_key" in outcome.stderr
    assert "sk-wrong" not in outcome.stderr
    assert len(model_server.log) <= 4
    assert state(work_dir)["stages"]["sample"]["status"] == "failed"


def test_a_server_that_is_not_there_is_said_within_seconds(tmp_path: Path, rsr: Rsr) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    work_dir = prepared(tmp_path, rsr, url)
    began = time.monotonic()
    outcome = rsr("sample", "-w", work_dir)
    assert time.monotonic() - began < 20
    assert outcome.exit_code == 1
    assert url.removeprefix("http://").removesuffix("/v1") in outcome.stderr
    assert not list(work_dir.glob("rollout/*.parquet"))


def test_a_folder_with_other_things_in_it_is_left_as_it_was(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    mine = tmp_path / "mine/data/raw.jsonl"
    mine.parent.mkdir(parents=True)
    mine.write_text("keep me")
    config = write_config(tmp_path / "c.yaml", tmp_path / "nowhere.jsonl", base_url)
    assert rsr("run", config, "-w", tmp_path / "mine").exit_code == 2
    assert sorted(path.name for path in (tmp_path / "mine").rglob("*")) == ["data", "raw.jsonl"]


def test_an_escape_sequence_in_an_error_does_not_reach_the_terminal(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(1) + sums(1)), base_url)
    text = (tmp_path / "in.jsonl").read_text().replace("sum-0", "sum\\u001b[31m")
    (tmp_path / "in.jsonl").write_text(text)
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 2
    assert "\x1b[31m" not in outcome.stderr


def test_a_path_that_is_not_utf8_is_refused_by_name(tmp_path: Path, rsr: Rsr, base_url: str) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(2)), base_url)
    odd.write_text("{}")
    saying = ["data.input_path", "caf\\udce9.jsonl", "rename the file"]
    refused(rsr, tmp_path, config, f"data.input_path={odd}", saying=saying)
