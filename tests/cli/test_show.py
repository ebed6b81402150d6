"""rsr show: why there is no text, what a judge says, colours by the thresholds of the work dir."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from rsr_cli.cli import show
from rsr_cli.cli.terminal import Output
from rsr_cli.types import Verdict
from rsr_cli.words import counted
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply
from tests.work_dirs import sums, write_config, write_rows

CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
ENDS = {
    "(no text: cut at max_tokens, and not kept": Reply("half of", "length"),
    "(no text: held back by the server's content filter)": Reply(None, "content_filter"),
    "(no text: the answer is a call of tools)": Reply(None, "tool_calls", tool_calls=[CALL]),
    "(no text: all of it is thinking)": Reply(None, reasoning="hm, hm"),
}


@pytest.mark.parametrize("told", ENDS)
def test_why_there_is_no_text(told: str, tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = lambda ask: ENDS[told]
    given = write_rows(tmp_path / "in.jsonl", sums(1))
    config = write_config(tmp_path / "c.yaml", given, model_server.base_url, formatter=[{"type": "sft"}])
    rsr("run", config, "-w", tmp_path / "w", "sampling={max_rollouts: 1, max_steps: 1, step_size: 1}")
    assert told in rsr("show", "-w", tmp_path / "w").stdout


def test_rationales_and_colours(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grades of 2 to 9 of 10 with 0.75 as the least that passes and 0.25 as the most that fails."""
    why = "It is plausible, " + "and so on, " * 60 + "but not to the point."

    def reply(ask: Ask) -> Reply:
        if ask.body["model"] != "judge":
            return Reply(f"My reply to {ask.prompt}")
        grade = {"0": 9, "1": 6, "2": 2}[re.findall(r"My reply to What is (\d+)", ask.prompt)[-1]]
        return Reply(json.dumps({"rationale": why, "score": grade}))

    model_server.scenario.reply = reply
    judge = {"type": "llm-judge", "model": "judge", "base_url": model_server.base_url, "scale": [0, 10]}
    config = write_config(
        tmp_path / "c.yaml",
        write_rows(tmp_path / "in.jsonl", sums(3)),
        model_server.base_url,
        sampling={"max_rollouts": 2, "max_steps": 1, "step_size": 2},
        verifier=judge,
        formatter=[{"type": "dpo", "pass_threshold": 0.75, "fail_threshold": 0.25}],
    )
    # Its training file is empty, which is no matter here.
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 3
    assert why in rsr("show", tmp_path / "w", "--full").stdout

    class Coloured(Output):
        def __init__(self) -> None:
            Console.__init__(self, highlight=False, force_terminal=True, color_system="standard", width=200)

    monkeypatch.setattr(show, "Output", Coloured)
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = rsr("show", tmp_path / "w").stdout
    assert re.findall(r"\x1b\[(\d+)m── attempt", text) == ["32"] * 2 + ["33"] * 2 + ["31"] * 2, "green, yellow, red"


def test_every_reason_of_a_composite_is_told_once() -> None:
    parts = {
        "decided_by": "judge",
        "members": {
            "rules": {"score": 0.0, "explanation": "5 is not 6", "details": None},
            "judge": {
                "score": 1.0,
                "explanation": "Both say…",
                "details": {"votes": [{"rationale": "Both say six."}] * 3},
            },
        },
    }
    found = show._rationales(Verdict(1.0, "scored", "6", "Both say…", json.dumps(parts)))
    assert found == ["5 is not 6", "Both say six."]
    assert show._rationales(Verdict(1.0, "scored", None, "plain", None)) == ["plain"]
    assert show._rationales(Verdict(1.0, "scored", None, "plain", "{" * 9)) == ["plain"]


def test_one_is_singular() -> None:
    assert counted(1, "prompts") == "1 prompt" and counted(0, "prompts") == "0 prompts"
    assert counted(1, "completion tokens") == "1 completion token" and counted(1234, "rows") == "1,234 rows"


def test_no_output_of_one_prompt_says_1_prompts(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    config = write_config(
        tmp_path / "c.yaml",
        write_rows(tmp_path / "in.jsonl", sums(1)),
        model_server.base_url,
        formatter=[{"type": "sft"}],
    )
    many = r"\b(?<![\d.,])1 (?:prompt|attempt|rollout|row|prompt token|completion token|shard|verdict|error)s\b"
    one = "sampling={max_rollouts: 1, max_steps: 1, step_size: 1}"
    for command in (
        ("probe", config, "--attempts", 1),
        ("run", config, "-w", tmp_path / "w", one),
        ("status", tmp_path / "w"),
    ):
        outcome = rsr(*command)
        assert not re.findall(many, outcome.stdout + outcome.stderr), outcome
