"""What a plug-in's digest covers: its own code, and nothing of its neighbours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsr_cli.plugins import registry

MINE = "class Mine:\n    def verify(self, reply, prompt): ...\n"


def test_a_rule_does_not_depend_on_the_judges() -> None:
    sources = {
        name.rpartition(".")[2]
        for name in registry._sources("rsr_cli.verifiers.math_rlvr", ("rsr_cli.verifiers", "rsr_cli.reply"))
    }
    assert {"math_rlvr", "reply"} < sources
    assert sources.isdisjoint({"llm_judge", "mcq_rlvr", "reward_model", "calls", "ensemble"})


def test_an_installed_plugin_is_its_own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in site-packages does not depend on whatever else is installed there."""
    (tmp_path / "rsr_test_alone.py").write_text("import rsr_test_help.words\n" + MINE)
    (tmp_path / "rsr_test_help").mkdir()
    (tmp_path / "rsr_test_help/__init__.py").write_text("from .words import W\n" + MINE)
    words = tmp_path / "rsr_test_help/words.py"
    words.write_text("W = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Point:
        def __init__(self, name: str, module: str) -> None:
            self.name, self.module = name, module

        def load(self) -> type:
            __import__(self.module)
            return sys.modules[self.module].Mine  # type: ignore[no-any-return]

    points = [Point("alone", "rsr_test_alone"), Point("help", "rsr_test_help")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "rsr.verifiers" else [])
    alone, helped = (registry.code_digest("verifier", name) for name in ("alone", "help"))
    (tmp_path / "another.py").write_text("X = 1\n")
    assert registry.code_digest("verifier", "alone") == alone
    words.write_text("W = 2\n")
    assert registry.code_digest("verifier", "alone") == alone
    assert registry.code_digest("verifier", "help") != helped


def test_names_are_those_of_the_contract() -> None:
    assert {"math-rlvr", "mcq-rlvr", "llm-judge", "ensemble", "reward-model"} <= set(registry.names("verifier"))
    assert {"sft", "dpo", "top_k", "best_of_n", "rollouts"} <= set(registry.names("formatter"))
    assert {"openai-compatible-api", "openai-batch", "vllm-offline"} <= set(registry.names("sampler"))
    assert not {"base", "params", "build", "answers"} & {*registry.names("formatter"), *registry.names("sampler")}
