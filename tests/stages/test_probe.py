"""probe: a canary that leaves nothing behind, tells what would go wrong, and foretells the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.stages.probe import spread
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Ask, Reply, arithmetic_reply
from tests.work_dirs import rows, sums, write_config, write_rows


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    inputs = write_rows(tmp_path / "in.jsonl", sums(60))
    return write_config(
        tmp_path / "c.yaml", inputs, model_server.base_url,
        formatter=[{"type": "sft"}], sampler={"price": {"completion": 1000.0}}, shard={"size": 100},
    )  # fmt: skip


def probed(rsr: Rsr, *arguments: object, exit_code: int = 0) -> dict[str, Any]:
    outcome = rsr("probe", *arguments, "--json")
    assert outcome.exit_code == exit_code, outcome.stderr
    report: dict[str, Any] = json.loads(outcome.stdout)["probe"]
    return report


def lights(report: dict[str, Any]) -> dict[str, str]:
    return {finding["name"]: finding["light"] for finding in report["findings"]}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_healthy_probe_is_green_and_leaves_nothing_behind(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    before = files(tmp_path)
    report = probed(rsr, config)
    assert set(lights(report).values()) == {"green"} and report["light"] == "green"
    assert files(tmp_path) == before
    assert (report["spent"]["prompts"], report["spent"]["attempts"]) == (20, 80)
    asked = [int(served.prompt.split()[2]) for served in model_server.log]
    assert sorted(set(asked)) == list(range(1, 60, 3)), "spread over all of the input"


def test_what_it_foretells_is_near_what_the_run_takes(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    foretold = probed(rsr, config, "--prompts", 60)["forecast"]
    assert foretold["prompts"] == 60
    outcome = rsr("run", config, "-w", tmp_path / "w", "--json")
    stats = json.loads(outcome.stdout)["stages"]["analyze"]
    assert foretold["attempts"] == pytest.approx(stats["attempts"]["total"], rel=0.3)
    assert foretold["completion_tokens"] == pytest.approx(stats["tokens"]["completion"], rel=0.3)
    assert foretold["cost"] == pytest.approx(stats["cost"]["total"], rel=0.3)
    assert 0 < foretold["seconds"][0] <= foretold["seconds"][1]


def test_a_budget_bounds_what_is_foretold(config: Path, rsr: Rsr) -> None:
    report = probed(rsr, config, "sampling.token_budget=500")
    assert report["forecast"]["prompt_tokens"] + report["forecast"]["completion_tokens"] == pytest.approx(500, abs=2)
    assert report["spent"]["attempts"] == 80


def test_a_prepared_work_dir_is_only_read(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    work_dir = tmp_path / "w"
    assert rsr("prepare", config, "-w", work_dir).exit_code == 0
    (tmp_path / "in.jsonl").unlink()
    before = files(work_dir)
    assert probed(rsr, "-w", work_dir)["forecast"]["prompts"] == 60
    assert files(work_dir) == before


def no_room(ask: Ask) -> Reply:
    return Reply(None, "length", "Let me see.", ask.body["max_tokens"])


def unclosed(ask: Ask) -> Reply:
    return Reply(f"<think>\nFirst I add the two numbers. {arithmetic_reply(ask).content} And yet")


def partly_parsed(ask: Ask) -> Reply:
    said = f"Sample {ask.k} thinks."
    inside = f"<think>{said}</think>{arithmetic_reply(ask).content}"
    return Reply(inside) if ask.chance("parsed") < 0.5 else Reply(arithmetic_reply(ask).content, reasoning=said)


def always_alike(ask: Ask) -> Reply:
    return Reply(f"{ask.prompt} That makes \\boxed{{{int(ask.prompt.split()[2]) + 7}}}")


@pytest.mark.parametrize(
    ("reply", "name", "light", "change"),
    [
        (no_room, "truncation", "red", "sampler.max_tokens=8192"),
        (unclosed, "no reply", "red", "--reasoning-parser"),
        (lambda ask: Reply(""), "no reply", "red", "sampler.max_tokens=2048"),
        (lambda ask: Reply(None, reasoning="So it is \\boxed{7}"), "no reply", "red", "--reasoning-parser"),
        (partly_parsed, "thinking", "yellow", "reasoning parser of this very model"),
        (lambda ask: Reply("Hello! How may I help you today, dear user?"), "distinct", "red", "chat template"),
        (always_alike, "distinct", "yellow", "sampler.temperature"),
        (lambda ask: Reply("I leave that open" + " for now" * (ask.k % 99)), "no answer", "red", "instruction"),
        (lambda ask: Reply(f"Sample {ask.k} says \\boxed{{-1}}"), "pass rate", "red", "nothing passes"),
        (
            lambda ask: Reply(arithmetic_reply(ask).content, "stop", None, 1900),
            "length",
            "yellow",
            "sampler.max_tokens",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_change(
    config: Path,
    rsr: Rsr,
    model_server: ModelServer,
    reply: Callable[[Ask], Reply],
    name: str,
    light: str,
    change: str,
) -> None:
    model_server.scenario.reply = reply
    report = probed(rsr, config, exit_code=0 if light == "yellow" else 3)
    [finding] = [finding for finding in report["findings"] if finding["name"] == name]
    assert finding["light"] == light
    assert change in finding["change"]


def test_rules_that_mostly_lack_a_gold_make_it_red(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    prompts = [row | {"metadata": {}} for row in sums(19)] + sums(20)[19:]
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), model_server.base_url)
    assert lights(probed(rsr, config, exit_code=3))["unscored"] == "red"


def test_errors_are_counted_and_named(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    prompts = sums(20)
    for index, prompt in enumerate(prompts):
        prompt["messages"][0]["content"] += " Take your time." * 20 * (index % 4 > 0)
    model_server.scenario.context_chars = 200
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", prompts), model_server.base_url)
    outcome = rsr("probe", config)
    assert outcome.exit_code == 3, outcome.stderr
    assert "60 of 80 (75%)" in outcome.stdout and "maximum context length" in outcome.stdout
    assert "the probe is red: errors" in outcome.stderr


def test_the_table_tells_lights_costs_and_changes(config: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = no_room
    outcome = rsr("probe", config)
    assert outcome.exit_code == 3
    lines = outcome.stdout.splitlines()
    assert any(line.split()[:2] == ["truncation", "red"] for line in lines)
    assert any(line.startswith("full run") and "60 prompts" in line for line in lines)
    assert any("cost 163.84" in line and "nothing of it is kept" in line for line in lines), "80 x 2048 tokens"
    assert any(line.startswith("truncation: set sampler.max_tokens=8192") for line in lines)
    assert "\x1b" not in outcome.stdout


def test_run_with_probe_stops_on_red_and_writes_nothing(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    model_server.scenario.reply = unclosed
    before = files(tmp_path)
    outcome = rsr("run", config, "-w", tmp_path / "w", "--probe", "--json")
    assert outcome.exit_code == 3
    assert "the probe is red" in outcome.stderr and list(json.loads(outcome.stdout)) == ["error"]
    assert files(tmp_path) == before and not (tmp_path / "w").exists()
    assert len(model_server.log) == 80


def test_run_with_probe_goes_on_where_it_is_not_red(tmp_path: Path, config: Path, rsr: Rsr) -> None:
    outcome = rsr("run", config, "-w", tmp_path / "w", "--probe", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert set(json.loads(outcome.stdout)["stages"]) >= {"prepare", "sample", "analyze"}
    assert "full run" in outcome.stderr
    assert rows(tmp_path / "w/train/sft")


def test_a_config_that_is_wrong_costs_no_request(
    tmp_path: Path, config: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    assert rsr("probe", config, "verifier.type=math-rlv").exit_code == 2
    assert rsr("probe", config, "data.input_path=gone.jsonl").exit_code == 2
    assert rsr("probe", "-w", tmp_path / "nothing").exit_code == 2
    assert not model_server.log


@pytest.mark.parametrize(("total", "wanted"), [(1, 20), (20, 20), (21, 20), (1000, 20), (12345, 7), (5, 1)])
def test_the_sample_is_spread_evenly(total: int, wanted: int) -> None:
    kept, counted = spread(range(total), wanted)
    assert counted == total and len(kept) == min(total, wanted) == len(set(kept))
    gaps = [after - before for before, after in pairwise(kept)]
    assert all(gap <= 2 * total / wanted + 1 for gap in gaps)
    assert kept[0] <= total / wanted and kept[-1] >= total - 2 * total / wanted - 1
