"""`rsr compare` and `rsr ls`: several work dirs at once, read only."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.analysis.pairing import paired
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply
from tests.work_dirs import sums, write_config, write_rows


def right_from(first: int) -> Any:
    """A model that is right from a prompt on and wrong before."""

    def reply(ask: Ask) -> Reply:
        number = int(ask.prompt.split()[2])
        return Reply(f"Sample {ask.k}: \\boxed{{{number + (7 if number >= first else 8)}}}")

    return reply


@pytest.fixture
def two(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, rsr: Rsr, model_server: ModelServer
) -> tuple[Path, Path]:
    """Two work dirs; they are made once and copied."""
    out = tmp_path / "out"
    if (made_before := tmp_path_factory.getbasetemp() / "compared").exists():
        shutil.copytree(made_before, out)
        return out / "one", out / "two"
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(20)), model_server.base_url)
    for name, first, changes in (("one", 10, ()), ("two", 4, ("sampler.temperature=0.5", "data.limit=18"))):
        model_server.scenario.reply = right_from(first)
        outcome = rsr("run", config, "-w", out / name, "sampling.early_stop=false", *changes)
        assert outcome.exit_code == 0, outcome.stderr
    shutil.copytree(out, made_before)
    return out / "one", out / "two"


def test_prompts_are_paired_and_flips_are_shown(two: tuple[Path, Path], rsr: Rsr) -> None:
    outcome = rsr("compare", *two, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    pair = found["pairs"]["two"]
    assert (pair["prompts"], pair["only_in_first"], pair["only_in_second"]) == (18, 2, 0)
    assert [pair[name]["mean"] for name in ("first", "second")] == pytest.approx([8 / 18, 14 / 18], abs=1e-6)
    assert pair["difference"]["low"] > 0 and (pair["now_right"], pair["now_wrong"]) == (6, 0)
    example = pair["examples"]["now_right"][0]
    assert (example["id"], example["answer"], example["rates"]) == ("sum-4", "11", [0.0, 1.0])
    assert example["answers"] == [["12 (x8)"], ["11 (x8)"]]
    assert pair["config"] == {"data.limit": [None, 18], "sampler.temperature": [0.7, 0.5]}
    assert pair["asked_otherwise"] == 0
    assert found["work_dirs"]["one"]["attempts"] == 160
    told = rsr("compare", *two).stdout
    assert "now right: 6 · now wrong: 0" in told and "sampler.temperature: 0.7 → 0.5" in told
    back = json.loads(rsr("compare", *reversed(two), "--json").stdout)["pairs"]["one"]
    assert (back["now_right"], back["now_wrong"]) == (0, 6)


def test_comparing_reads_and_runs_nothing_of_a_work_dir(two: tuple[Path, Path], rsr: Rsr, tmp_path: Path) -> None:
    saved = two[1] / "config.yaml"
    code = tmp_path / "evil.py"
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass V: pass\n")
    saved.write_text(saved.read_text().replace("math-rlvr", f"{code}:V"))
    before = {path: path.stat().st_mtime_ns for folder in two for path in folder.rglob("*")}
    assert rsr("compare", *two).exit_code == 0 and rsr("ls", two[0].parent).exit_code == 0
    assert not (tmp_path / "ran").exists()
    assert before == {path: path.stat().st_mtime_ns for folder in two for path in folder.rglob("*")}


def test_what_cannot_be_compared_is_refused(two: tuple[Path, Path], rsr: Rsr, tmp_path: Path) -> None:
    assert "name two work dirs" in rsr("compare", two[0]).stderr
    assert "not a work dir" in rsr("compare", two[0], tmp_path).stderr
    (two[1] / "summary/prompts.parquet").unlink()
    outcome = rsr("compare", *two)
    assert outcome.exit_code == 2 and "run rsr analyze" in outcome.stderr


def test_work_dirs_are_listed_damaged_ones_too(two: tuple[Path, Path], rsr: Rsr, tmp_path: Path) -> None:
    broken = tmp_path / "out" / "deep" / "broken"
    broken.mkdir(parents=True)
    (broken / "state.json").write_text("{")
    outcome = rsr("ls", tmp_path / "out", "--json")
    found = {Path(item["path"]).name: item for item in json.loads(outcome.stdout)["work_dirs"]}
    assert list(found) == ["broken", "one", "two"] and "can't be read" in found["broken"]["problem"]
    one = found["one"]
    assert (one["model"], one["prompts"], one["stage"], one["status"]) == ("test-model", 20, "analyze", "done")
    assert one["pass_rate"] == 0.5
    assert "test-model" in rsr("ls", tmp_path / "out").stdout
    assert rsr("ls", tmp_path / "nothing").exit_code == 2


def test_the_interval_holds_the_difference_as_often_as_it_says() -> None:
    chance, held = random.Random(0), 0
    for _ in range(200):
        rates = [(float(chance.random() < 0.4), float(chance.random() < 0.6)) for _ in range(100)]
        change = paired(rates)["difference"]
        held += change["low"] <= 0.2 <= change["high"]
    assert 182 <= held <= 198
    assert paired([])["difference"] is None
