"""A folder with all that the documentation's commands name, and a shell whose `rsr` runs in this process."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.cli.init import transform_of
from rsr_cli.executors.worker import _on_metadata, _score
from rsr_cli.plugins import registry
from rsr_cli.storage.locate import locate
from rsr_cli.store.trust import stamps
from rsr_cli.types import Prompt, Reply, Verdict
from tests.conftest import Rsr
from tests.doc_pages import ROOT
from tests.server import arithmetic_prompt
from tests.work_dirs import write_config, write_rows

PROMPTS, PROBLEMS = 8, 5
_MINE = """\
from rsr_cli import Verifier

class Mine(Verifier):
    def verify(self, reply, prompt):
        return prompt.metadata["answer"] in reply

class MyVerifier(Mine):
    pass
"""


def write_inputs(folder: Path, base_url: str) -> None:
    """A config, a transform, a verifier and data, under the names that the pages give them."""
    questions = [(arithmetic_prompt(number, 7), str(number + 7)) for number in range(PROMPTS)]
    ids = [f"quickstart-{number:04}" for number in range(PROMPTS)]
    write_rows(
        folder / "data.jsonl", [{"id": i, "question": q, "answer": a} for i, (q, a) in zip(ids, questions, strict=True)]
    )
    write_rows(folder / "completions.jsonl", [{"id": i, "response": "\\boxed{7}"} for i in ids])
    write_rows(folder / "generations.jsonl", [{"question_id": i, "samples": ["7", "8"]} for i in ids])
    (folder / "transform.py").write_text(transform_of("math").replace('# "id": str(', '"id": str('), encoding="utf-8")
    (folder / "my_verifier.py").write_text(_MINE, encoding="utf-8")
    data = {"input_path": "data.jsonl", "preprocess": {"transform": "transform.py:transform"}}
    sampling = {"max_rollouts": 4, "step_size": 2, "seed": 1}
    write_config(folder / "config.yaml", "", base_url, data=data, sampling=sampling)
    _write_gsm8k(folder, questions)
    for recipe in ("quickstart", "gsm8k"):
        shutil.copytree(ROOT / "recipes" / recipe, folder / "recipes" / recipe)
    for path in folder.glob("recipes/quickstart/*.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[:PROBLEMS]), encoding="utf-8")


def _write_gsm8k(folder: Path, questions: list[tuple[str, str]]) -> None:
    """The files of GSM8K, in its own format."""
    rows = [{"question": question, "answer": f"It is a sum.\n#### {gold}"} for question, gold in questions]
    for name in ("train.jsonl", "test.jsonl"):
        write_rows(folder / name, rows)
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    solved = [
        {
            "question": question,
            "ground_truth": gold,
            **{model: {"solution": f"It is a sum.\n#### {gold}", "is_correct": True} for model in models},
        }
        for question, gold in questions
    ]
    write_rows(folder / "example_model_solutions.jsonl", solved)


def copy_sandbox(template: Path, folder: Path) -> None:
    """A copy whose work dir is trusted as the one it was copied from."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
    path = folder / "w/state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(state | {"made_here": stamps(locate(str(folder / "w")))}), encoding="utf-8")


class PoolInThisProcess:
    """Scores as a process pool does, without its processes: their starts would take most of the time."""

    def __init__(self, verifier: tuple[str, dict[str, Any]], **limits: Any) -> None:
        verify = registry.build("verifier", *verifier).verify
        self._verify = _on_metadata(verify) if registry.takes_metadata(verify) else verify

    def submit(self, reply: Reply, prompt: Prompt) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        future.set_result(_score(self._verify, pickle.dumps((reply, pickle.dumps(prompt))))[0])
        return future

    def close(self) -> None:
        pass


class Shell:
    """Runs lines of the documentation in the present folder: `rsr` in this process, other commands with bash."""

    def __init__(self, rsr: Rsr, patch: pytest.MonkeyPatch, base_url: str) -> None:
        self.rsr, self.patch, self.base_url = rsr, patch, base_url
        self.servers = {f"http://{host}:8000/v1": base_url for host in ("localhost", "127.0.0.1")}
        """The servers that the pages name, and those in their place here."""
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def run(self, line: str) -> tuple[int, str]:
        """The exit code, and the output."""
        for url, ours in self.servers.items():
            line = line.replace(url, ours)
        variable = re.match(r"(?:export )?(?=\w+=)", line)
        if line.startswith("cd "):
            self.patch.chdir(self._words(line)[1])
        elif variable:
            for word in self._words(line[variable.end() :]):
                self.patch.setenv(*word.split("=", 1))
        elif line.startswith("rsr "):
            return self._rsr(line)
        else:
            return self._bash(line)
        return 0, ""

    def _rsr(self, line: str) -> tuple[int, str]:
        line, _, following = line.partition(" | ")
        words = self._words(line)
        outcome = self.rsr(*words[1:])
        if words[1] == "init":
            self._fill_in(Path(words[2]))
        if following and outcome.exit_code == 0:
            return self._bash(following, outcome.stdout)
        return outcome.exit_code, outcome.stdout + outcome.stderr

    def _fill_in(self, project: Path) -> None:
        """What is left to the reader after `rsr init`: the server and the data."""
        path = project / "config.yaml"
        text = path.read_text(encoding="utf-8").replace("http://localhost:8000/v1", self.base_url)
        path.write_text(text, encoding="utf-8")
        shutil.copy("data.jsonl", project)

    def _words(self, line: str) -> list[str]:
        return self._bash(f"printf '%s\\0' {line}")[1].split("\0")[:-1]

    def _bash(self, line: str, given: str = "") -> tuple[int, str]:
        result = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], input=given, capture_output=True, text=True, check=False
        )
        return result.returncode, result.stdout + result.stderr
