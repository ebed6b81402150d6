"""Plug-ins as their authors write them: the example of each contract runs, and what misbehaves is named."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import rsr_cli
from rsr_cli.plugins import contracts
from tests.conftest import Outcome, Rsr
from tests.server.running import ModelServer
from tests.work_dirs import rows, sums, write_config, write_rows

Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, model_server: ModelServer, rsr: Rsr) -> Run:
    """Run a config with overrides in which MINE stands for the last class in `code`."""
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(4)), model_server.base_url)
    limits = ["sampling.max_rollouts=2", "sampling.max_steps=1", "sampling.step_size=2"]

    def run(code: str, *overrides: str) -> Outcome:
        (tmp_path / "mine.py").write_text(code)
        last = re.findall(r"^class (\w+)", code, re.MULTILINE)[-1]
        name = f"{tmp_path}/mine.py:{last}"
        given = [override.replace("MINE", name) for override in overrides]
        return rsr("run", config, "-w", tmp_path / "w", "--json", *limits, *given)

    return run


def example(contract: str) -> str:
    """The code in the docstring of a contract."""
    [block] = re.findall(r"```python\n(.*?)```", inspect.getdoc(getattr(contracts, contract)) or "", re.DOTALL)
    return str(block)


def test_the_sampler_of_the_docs_draws(tmp_path: Path, run: Run) -> None:
    outcome = run(example("Sampler"), "sampler.type=MINE")
    assert outcome.exit_code == 0, outcome.stderr
    drawn = rows(tmp_path / "w/rollout")
    assert {(row["id"], row["response"], row["model"], row["error"]) for row in drawn} == {
        (item["id"], f"\\boxed{{{item['metadata']['answer']}}}", "test-model", None) for item in sums(4)
    }
    assert {row["score"] for row in rows(tmp_path / "w/score")} == {1.0}


def test_the_verifier_of_the_docs_scores(tmp_path: Path, run: Run) -> None:
    outcome = run(example("Verifier"), "verifier=MINE", "formatter=rollouts")
    assert outcome.exit_code == 0, outcome.stderr
    assert {(row["score"], row["status"]) for row in rows(tmp_path / "w/score")} == {(0.0, "scored")}


def test_the_judge_of_the_docs_scores(tmp_path: Path, run: Run) -> None:
    outcome = run(example("Judge"), "verifier={type: 'MINE', word: boxed}", "formatter=rollouts")
    assert outcome.exit_code == 0, outcome.stderr
    assert {(row["score"], row["status"]) for row in rows(tmp_path / "w/score")} == {(1.0, "scored")}


def test_the_formatter_of_the_docs_writes(tmp_path: Path, run: Run) -> None:
    outcome = run(example("Formatter"), "formatter=MINE")
    assert outcome.exit_code == 0, outcome.stderr
    written = [json.loads(line) for line in (tmp_path / "w/train/Shortest.jsonl").read_text().splitlines()]
    assert written and all(row.keys() == {"id", "text"} for row in written)


SAMPLER = "from rsr_cli import Completion\nclass Mine:\n    async def complete(self, prompt, attempt):\n        "
JUDGE = "class Mine:\n    async def verify(self, reply, prompt):\n        "


@pytest.mark.parametrize(
    ("body", "saying"),
    [
        ("raise ValueError('no good')", "the sampler Mine raised ValueError on the prompt 'sum-"),
        ("import sys; sys.exit(0)", "the sampler Mine raised SystemExit on the prompt 'sum-"),
        ("return 'text'", "`complete` returned a str, not a Completion"),
        ("return None", "`complete` returned a NoneType, not a Completion"),
        ("return Completion(response=7)", "Completion.response is a int"),
        ("return Completion(response='x', completion_tokens=True)", "Completion.completion_tokens is a bool"),
        ("return Completion(response='\\ud83d')", "UnicodeEncodeError"),
    ],
)
def test_a_sampler_that_misbehaves_is_named(body: str, saying: str, run: Run) -> None:
    outcome = run(SAMPLER + body, "sampler.type=MINE")
    assert outcome.exit_code == 2 and saying in outcome.stderr and "fault of rsr" not in outcome.stderr


def test_a_sampler_that_hangs_is_an_error_of_that_attempt(tmp_path: Path, run: Run) -> None:
    body = "import asyncio; await asyncio.sleep(0 if prompt.id != 'sum-1' else 60); return Completion(response='7')"
    outcome = run(SAMPLER + body, "sampler.type=MINE", "sampler.timeout=0.3", "formatter=rollouts")
    assert outcome.exit_code == 0, outcome.stderr
    failed = {row["id"]: row["error"] for row in rows(tmp_path / "w/rollout") if row["error"]}
    assert failed == {"sum-1": "the sampler Mine did not answer within 0.3 s (sampler.timeout)"}


def test_a_sampler_may_yield_several_completions_itself(tmp_path: Path, run: Run) -> None:
    """As rsr 0.1 had it: a class of its own, with a `sample` and nothing else."""
    code = (
        "from rsr_cli.types import Completion\n"
        "class Echo:\n"
        "    def __init__(self, settings, run_seed=None):\n        self.mine = settings\n"
        "    async def __aenter__(self):\n        return self\n"
        "    async def __aexit__(self, *exc):\n        pass\n"
        "    async def sample(self, prompt, attempts):\n"
        "        for attempt in attempts:\n"
        "            yield Completion(attempt=attempt, response='7', finish_reason='stop', model=self.mine.model)\n"
    )
    assert run(code, "sampler.type=MINE").exit_code == 0
    assert len(rows(tmp_path / "w/rollout")) == 8


@pytest.mark.parametrize(
    ("body", "saying"),
    [
        ("raise ValueError('no good')", "Mine raised ValueError: no good"),
        ("import sys; sys.exit(0)", "the judge Mine raised SystemExit"),
        ("return 'yes'", "the judge returned 'yes' (str)"),
        ("return float('nan')", "the judge returned the score nan"),
    ],
)
def test_what_a_judge_does_wrong_is_an_unknown_verdict(body: str, saying: str, tmp_path: Path, run: Run) -> None:
    run(JUDGE + body, "verifier=MINE", "formatter=rollouts", "guards.unscored={}")
    scores = rows(tmp_path / "w/score")
    assert {(row["score"], row["status"]) for row in scores} == {(None, "error")}
    assert all(saying in row["explanation"] for row in scores)


def test_a_judge_that_leaves_out_a_reply_leaves_it_unknown(tmp_path: Path, run: Run) -> None:
    code = "class Mine:\n    async def judge(self, prompt, replies):\n        return {min(replies): True}\n"
    run(code, "verifier=MINE", "formatter=rollouts", "sampling.seed=null", "guards.unscored={}")
    assert {row["status"] for row in rows(tmp_path / "w/score")} == {"scored", "error"}


def test_a_verifier_sees_the_thinking_and_the_messages_in_its_process(tmp_path: Path, run: Run) -> None:
    code = (
        "from rsr_cli import Verdict, Verifier\n"
        "class Sees(Verifier):\n"
        "    def verify(self, reply, prompt):\n"
        "        seen = [reply.text, reply.thinking, reply.finish_reason, prompt.id, prompt.messages[0]['role']]\n"
        "        return Verdict(1.0, 'scored', repr(seen))\n"
    )
    sampler = SAMPLER + "return Completion(response='<think>hm</think>7')\n" + code
    outcome = run(sampler, "verifier=MINE", f"sampler.type={tmp_path}/mine.py:Mine")
    assert outcome.exit_code == 0, outcome.stderr
    seen = {row["extracted_answer"] for row in rows(tmp_path / "w/score")}
    assert seen == {repr(["7", "hm", "stop", f"sum-{n}", "user"]) for n in range(4)}


def test_public_names_are_importable() -> None:
    assert all(getattr(rsr_cli, name) is not None for name in rsr_cli.__all__)
    with pytest.raises(AttributeError, match="colour"):
        _ = rsr_cli.colour
