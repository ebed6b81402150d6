"""A third of all requests fail, in every way that servers are known for: the run ends as it would without."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.samplers import openai_compatible_api
from tests.conftest import Rsr
from tests.server import Ask, ModelServer, Reply, arithmetic_reply, random_faults
from tests.server.faults import PASSING
from tests.work_dirs import outcome, rows, state, sums, without_times, write_config, write_rows

pytestmark = pytest.mark.long

MAX_STEPS, STEP_SIZE = 3, 2
VERIFIER = """
class Quick:
    def verify(self, response, metadata):
        return float("{" + metadata["answer"] + "}" in response)
"""


def sometimes_cut(ask: Ask) -> Reply:
    """Truncated replies have to be made up for: some prompts need all of their steps, some have too few."""
    return Reply(arithmetic_reply(ask).content, "length" if ask.chance("cut") < 0.4 else "stop")


@pytest.mark.parametrize("early_stop", [True, False])
def test_every_prompt_ends_as_without_faults(
    early_stop: bool, tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(RetryPolicy, first_wait=0.005, longest_wait=0.05)
    monkeypatch.setattr(openai_compatible_api, "RetryPolicy", quick)
    (tmp_path / "verifier.py").write_text(VERIFIER)
    model_server.scenario.reply = sometimes_cut
    config = write_config(
        tmp_path / "config.yaml",
        write_rows(tmp_path / "in.jsonl", sums(60)),
        model_server.base_url,
        sampling={"early_stop": early_stop, "max_rollouts": 4, "step_size": STEP_SIZE, "max_steps": MAX_STEPS},
        # On a busy machine an answer may come too late for reasons of its own.
        sampler={"timeout": 0.5, "max_retries": 50, "concurrent_requests": 48},
        verifier={"type": f"{tmp_path}/verifier.py:Quick"},
        guards={"truncation": {"stop": None}},
        shard={"size": 25},
    )
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    assert rsr("run", config, "-w", calm).exit_code == 0
    model_server.log.clear()
    model_server.scenario.hang_s = 2.0
    model_server.scenario.fault = random_faults(0.3, seed=3)
    result = rsr("run", config, "-w", stormy)
    assert result.exit_code == 0, result.stderr
    assert {served.fault for served in model_server.log} == {None, *PASSING}
    assert outcome(stormy) == outcome(calm)
    assert end_reasons(stormy) == end_reasons(calm)
    assert set(end_reasons(calm).values()) >= {"max_steps", "max_rollouts"}, "both limits are put to the test"
    attempts = rows(stormy / "rollout")
    if not early_stop:
        assert without_times(attempts) == without_times(rows(calm / "rollout"))
        assert rows(stormy / "score") == rows(calm / "score")
    assert not any(row["error"] for row in attempts)
    places = {(row["id"], row["attempt"]) for row in attempts}
    assert len(attempts) == len(places) == state(stormy)["stages"]["sample"]["counts"]["attempts"]
    assert max(attempt for _, attempt in places) < MAX_STEPS * STEP_SIZE, "no retry counts as an attempt"
    handed_out = {served.seed for served in model_server.log if served.ks}
    assert {row["seed"] for row in attempts if row["response"]} <= handed_out


def end_reasons(work_dir: Path) -> dict[str, str]:
    return {row["id"]: row["end_reason"] for row in pq.read_table(work_dir / "summary/prompts.parquet").to_pylist()}
