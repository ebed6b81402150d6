"""The command line: quick, pipeable, documented, and deaf to what a model writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Reply
from tests.work_dirs import rows, sums, write_config, write_rows

HEAVY = "torch transformers vllm ray pyarrow numpy pydantic aiohttp sympy math_verify openai".split()  # noqa: SIM905
COMMANDS = [
    *("prepare", "sample", "verify", "format", "analyze", "run", "resume", "import"),
    *("status", "show", "config", "init", "serve-tiny", "demo"),
]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from rsr_cli.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_command_has_help(rsr: Rsr) -> None:
    listed = rsr("--help").stdout
    for command in COMMANDS:
        assert f"  {command} " in listed
        assert rsr(command, "--help").exit_code == 0
    assert rsr("nonsense").exit_code == 2
    assert rsr("--version").stdout.startswith("rsr ")


@pytest.fixture
def work_dir(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> Path:
    right = model_server.scenario.reply
    model_server.scenario.reply = lambda ask: Reply(
        f"\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>[red]{right(ask).content}[/red]\u202e"
    )
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(12)), model_server.base_url)
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    return tmp_path / "w"


def test_show_filters_and_disarms(work_dir: Path, rsr: Rsr) -> None:
    shown = rsr("show", "-w", work_dir, "-n", 2)
    assert shown.exit_code == 0
    assert "\x1b" not in shown.stdout and "\x07" not in shown.stdout and "\u202e" not in shown.stdout
    assert "\\x1b[2J" in shown.stdout and "[red]" in shown.stdout
    assert "sum-0" in shown.stdout and "sum-1" in shown.stdout and "sum-2" not in shown.stdout
    passed = rsr("show", work_dir, "--passed", "--json", "-n", 100).stdout.splitlines()
    assert passed
    for line in passed:
        assert {attempt["verdict"]["score"] for attempt in json.loads(line)["attempts"]} == {1.0}
    one = json.loads(rsr("show", work_dir, "--id", "sum-3", "--json").stdout)
    assert one["id"] == "sum-3" and one["metadata"] == {"answer": "10"}
    assert rsr("show", work_dir, "--id", "sum-99").exit_code == 2
    assert rsr("show", work_dir, "--truncated").stdout == ""


def test_json_is_one_object(work_dir: Path, rsr: Rsr) -> None:
    for command in ("resume", "status", "verify", "format", "analyze", "sample"):
        outcome = rsr(command, "-w", work_dir, "--json")
        assert outcome.exit_code == 0
        assert len(outcome.stdout.splitlines()) == 1
        assert json.loads(outcome.stdout)["work_dir"] == str(work_dir)


def test_the_report_escapes_what_the_model_wrote(work_dir: Path) -> None:
    page = (work_dir / "summary/report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_stdout_can_be_closed_early(work_dir: Path, rsr_command: list[str]) -> None:
    command = " ".join([*rsr_command, "show", str(work_dir), "--full", "-n", "100", "|", "head", "-1"])
    found = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert found.returncode == 0
    assert found.stderr == ""


def test_what_init_writes_runs(tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert rsr("init", "mine").exit_code == 0
    write_rows(tmp_path / "raw.jsonl", [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(5)])
    outcome = rsr("run", "mine/config.yaml", "data.input_path=raw.jsonl", "--dry-run", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["prompts"] == 5
    again = rsr("init", "mine")
    assert again.exit_code == 2 and "stand already" in again.stderr


def test_config_prints_the_resolved_config_and_its_schema(tmp_path: Path, rsr: Rsr) -> None:
    config = write_config(tmp_path / "c.yaml", "in.jsonl", "http://x/v1")
    printed = rsr("config", config, "sampling.max_rollouts=3").stdout
    assert "max_rollouts: 3" in printed and "api_key: ${OPENAI_API_KEY:-}" in printed
    schema = json.loads(rsr("config", "--schema").stdout)
    assert schema["properties"].keys() >= {"data", "sampling", "sampler", "verifier", "formatter", "shard"}


def test_nothing_is_read_from_the_thinking(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    """The answer stands in the thinking, the reply says another: not one may pass."""
    right = model_server.scenario.reply
    model_server.scenario.reply = lambda ask: Reply(
        f"<think>\\boxed{{{int(ask.prompt.split()[2]) + 7}}} surely. {right(ask).content}</think> It is \\boxed{{-5}}."
    )
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(6)), model_server.base_url)
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 3, "it comes to nothing"
    assert {row["score"] for row in rows(tmp_path / "w/score")} == {0.0}
    assert {row["extracted_answer"] for row in rows(tmp_path / "w/score")} == {"-5"}


def test_a_truncated_answer_is_never_kept(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    right = model_server.scenario.reply
    model_server.scenario.reply = lambda ask: Reply(right(ask).content, "length")
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(3)), model_server.base_url)
    for name, keep in (("dropped", "true"), ("kept", "false")):
        outcome = rsr("run", config, "-w", tmp_path / name, f"sampler.drop_truncated={keep}")
        assert outcome.exit_code == 3, "it comes to nothing"
        assert "100.0 % truncated" in outcome.stdout
        found = rows(tmp_path / name / "rollout")
        assert {row["response"] is None for row in found} == {keep == "true"}
        assert all(row["completion_tokens"] for row in found)
        assert not rows(tmp_path / name / "score") and not rows(tmp_path / name / "train/sft")
