"""From input to training row: nothing of a prompt or an answer is lost, and what can't be written costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply
from tests.work_dirs import rows, sums, write_config, write_rows

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
AGENT = [
    {"role": "user", "name": "Ann", "content": "1 + 41?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "I add."},
    {"role": "tool", "tool_call_id": "c1", "content": "42"},
    {"role": "user", "content": "So?", "cache_control": {"type": "ephemeral"}},
]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"properties": {"token": {"type": "string"}}}}}]
VERIFIER = """
class V:
    def verify(self, response, metadata):
        return 0.0 if "wrong" in response else 1.0
"""
ALL = ["sft", {"type": "sft", "name": "pc", "layout": "prompt_completion"}, "dpo", "top_k", "best_of_n",
       {"type": "best_of_n", "name": "pairs", "output": "pairs"}, "rollouts"]  # fmt: skip


def project(tmp_path: Path, base_url: str, items: list[dict[str, Any]], **sections: Any) -> Path:
    (tmp_path / "v.py").write_text(VERIFIER)
    sections = {"verifier": {"type": f"{tmp_path}/v.py:V"}, "shard": {"size": 1}, "formatter": ALL} | sections
    return write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", items), base_url, **sections)


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None or name == "content"}


def lines(work_dir: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (work_dir / f"train/{name}.jsonl").read_text().splitlines()]


def test_tool_calls_names_and_tools_come_into_every_row(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: Reply("wrong" if ask.k % 2 else f"right {ask.k}")
    items = [sums(1)[0], {"id": "agent", "messages": AGENT, "metadata": {"sampling": {"tools": TOOLS}}}]
    config = project(tmp_path, model_server.base_url, items)
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    sent = [*AGENT[:3], AGENT[3] | {"cache_control": '{"type": "ephemeral"}'}]
    for name, column in (("sft", "messages"), ("pc", "prompt"), ("dpo", "prompt"), ("top_k", "messages"),
                         ("best_of_n", "messages"), ("pairs", "prompt")):  # fmt: skip
        files = sorted((tmp_path / f"w/train/{name}").glob("*.parquet"))
        schemas = [pq.read_schema(path).remove_metadata() for path in files]
        assert len(files) == 2 and schemas[0] == schemas[1], name
        for found in (rows(tmp_path / f"w/train/{name}"), lines(tmp_path / "w", name)):
            [row, *_] = [row for row in found if row["id"] == "agent"]
            assert [without_nulls(message) for message in row[column]][:4] == sent, name
            assert json.loads(row["tools"]) == TOOLS
            assert all(row["tools"] is None for row in found if row["id"] != "agent")
    [_, nested] = lines(tmp_path / "w", "rollouts")
    assert nested["prompt"] == AGENT


def test_a_run_without_such_things_has_the_plain_columns(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    assert rsr("run", project(tmp_path, model_server.base_url, sums(1)), "-w", tmp_path / "w").exit_code == 0
    messages = "list<element: struct<role: string, content: string>>"
    for name, column in (("sft", "messages"), ("rollouts", "prompt")):
        schema = pq.read_schema(tmp_path / f"w/train/{name}/shard_0000.parquet")
        assert str(schema.field(column).type) == messages and "tools" not in schema.names


def test_an_answer_that_is_a_call_is_in_the_rows(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    def reply(ask: Ask) -> Reply:
        return Reply(None, "tool_calls", tool_calls=[CALL | {"index": 0}]) if "3 + 7" in ask.prompt else Reply("right")

    model_server.scenario.reply = reply
    items = [item for item in sums(4) if item["id"] in ("sum-2", "sum-3")]
    config = project(tmp_path, model_server.base_url, items, sampler={"extra_params": {"tools": TOOLS}})
    outcome = rsr("run", config, "-w", tmp_path / "w", "formatter=[sft, rollouts]", "guards.identical.stop=null")
    assert outcome.exit_code == 0, outcome.stderr
    text, call = (row["messages"][-1] for row in lines(tmp_path / "w", "sft"))
    assert without_nulls(text) == {"role": "assistant", "content": "right"}
    assert without_nulls(call) == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert all(json.loads(row["tools"]) == TOOLS for row in lines(tmp_path / "w", "sft"))
    assert json.loads(lines(tmp_path / "w", "rollouts")[1]["rollouts"][0]["tool_calls"])[0]["id"] == "c1"


PICTURE = [{"role": "user", "content": [
    {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
]}]  # fmt: skip
SOUND = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]
PREFILL = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "The answer is", "prefix": True}]


@pytest.mark.parametrize(
    ("formatter", "messages", "saying"),
    [
        ("sft", PICTURE, "image_url"),
        ("dpo", SOUND, "input_audio"),
        ("top_k", PREFILL, "ends with a message of the assistant"),
        ("best_of_n", PICTURE, "image_url"),
    ],
)
def test_what_no_row_can_hold_is_refused_before_it_costs_anything(
    formatter: str, messages: Any, saying: str, tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    items = [*sums(2), {"id": "odd", "messages": messages, "metadata": {}}]
    config = project(tmp_path, model_server.base_url, items, formatter=["rollouts"])
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    asked = [f"formatter=[rollouts, {formatter}]"]
    for command in (
        ["run", config, "-w", tmp_path / "v"], ["run", config, "--dry-run"], ["probe", config],
        ["prepare", config, "-w", tmp_path / "u"], ["sample", "-w", tmp_path / "w"], ["probe", "-w", tmp_path / "w"],
    ):  # fmt: skip
        outcome = rsr(*command, *asked)
        assert outcome.exit_code == 2, (command, outcome.stderr)
        assert "prompt 'odd'" in outcome.stderr and saying in outcome.stderr and formatter in outcome.stderr
    assert not (tmp_path / "v").exists() and not model_server.log
    assert rsr("run", "-w", tmp_path / "w").exit_code == 0
    assert lines(tmp_path / "w", "rollouts")[-1]["prompt"] == messages


def test_shards_of_a_formatter_without_a_schema_read_as_one(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    (tmp_path / "f.py").write_text(r"""
class F:
    has_target = False
    def is_satisfied(self, group): return True
    def format(self, group):
        place = int(group.prompt.id[-1])
        extra = [{}, {"late": "x"}, {"late": None, "n": 1.5}, {"n": None}, None][place]
        row = {"id": group.prompt.id, "n": place, "text": "a\u2028b\u2029c\x85d \ud83d e"}
        return [] if extra is None else [row, row | extra]
class Bad(F):
    def format(self, group): return [{"x": 1 if group.prompt.id[-1] == "0" else "one"}]
class Odd(F):
    def format(self, group): return ["row"]
""")
    config = project(tmp_path, model_server.base_url, sums(5), formatter=[{"type": f"{tmp_path}/f.py:F"}])
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    files = sorted((tmp_path / "w/train/F").glob("*.parquet"))
    assert len({str(pq.read_schema(path).remove_metadata()) for path in files}) == 1
    table = pq.read_table(tmp_path / "w/train/F")
    assert table.column("late").to_pylist().count("x") == 1
    assert table.column("n").to_pylist() == [0.0, 0.0, 1.0, 1.0, 2.0, 1.5, 3.0, None]
    found = lines(tmp_path / "w", "F")
    assert found == table.to_pylist() and found[0]["text"] == "a\u2028b\u2029c\x85d \ufffd e"
    assert "up to date" in rsr("format", "-w", tmp_path / "w").stdout
    for name, saying in (("Bad", "incompatible types"), ("Odd", "a row is a str, not a dict")):
        refused = rsr("format", "-w", tmp_path / "w", f"formatter=[{{type: {tmp_path}/f.py:{name}}}]")
        assert refused.exit_code == 2 and f"the formatter {name}" in refused.stderr and saying in refused.stderr


def test_half_a_character_from_a_verifier_is_replaced(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    config = project(tmp_path, model_server.base_url, sums(2), formatter=["sft"])
    (tmp_path / "v.py").write_text(
        "from rsr_cli.types import Verdict\n"
        "class V:\n"
        "    def verify(self, response, metadata):\n"
        "        if metadata['answer'] == '8': raise ValueError('\\ud83d')\n"
        "        return Verdict(1.0, 'scored', 'a\\ud83d', '\\udc00 é', '\\ud83d\\ude00')\n"
    )
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code in (0, 3), outcome.stderr
    first, other = (next(row for row in rows(tmp_path / "w/score") if row["id"] == name) for name in ("sum-0", "sum-1"))
    assert (first["extracted_answer"], first["explanation"], first["details"]) == ("a\ufffd", "\ufffd é", "😀")
    assert other["status"] == "error" and other["explanation"] == "ValueError: \ufffd"
