"""The figures of the demo that the README and the documentation show are those of a demo run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Rsr

ROOT = Path(__file__).parents[2]
SHOWN = ("README.md", "docs/getting-started.md", "docs/analysis.md")


@pytest.mark.long
def test_the_figures_of_the_demo_are_those_that_are_shown(tmp_path: Path, rsr: Rsr) -> None:
    """The seed fixes what is needed; how much idle slots draw ahead of it depends on the machine."""
    outcome = rsr("demo", "-w", tmp_path / "w", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    stages = json.loads(outcome.stdout)["stages"]
    sampled, rates, rows = stages["sample"], stages["analyze"]["pass_rate"], stages["format"]["rows"]
    exact = [
        f"sft: {rows['sft']} rows · dpo: {rows['dpo']} rows",
        f"early_stop: {sampled['end_reasons']['early_stop']} · max_rollouts: {sampled['end_reasons']['max_rollouts']}",
        f"{stages['analyze']['prompts']['with_a_pass']}/200 prompts with a pass",
        f"first-step pass rate {100 * rates['mean']:.1f} %",
        f"({100 * rates['first_step_mean_valid']:.1f} % without cut ones)",
    ]
    texts = {name: " ".join((ROOT / name).read_text(encoding="utf-8").split()) for name in SHOWN}
    assert all(figure in texts["README.md"] for figure in exact), exact
    for name, text in texts.items():
        assert exact[2] in text and exact[3] in text, name
        for shown, taken in (
            (r"([\d,]+) attempts saved by early stop", stages["analyze"]["early_stop"]["attempts_saved"]),
            (r"rows · \d shards sample done 200 prompts · ([\d,]+) attempts", sampled["attempts"]),
        ):
            for figure in re.findall(shown, text):
                assert int(figure.replace(",", "")) == pytest.approx(taken, rel=0.25), (name, shown)
