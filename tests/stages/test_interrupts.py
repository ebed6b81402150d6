"""Two signals on each other's heels: what is said to be kept is on the disk."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store.journal import read_journal
from tests.rsr_processes import start_rsr
from tests.server import ModelServer
from tests.work_dirs import sums, write_config, write_rows


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)],
)
def test_what_is_said_to_be_kept_is_on_the_disk(
    first: signal.Signals, second: signal.Signals, tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.scenario.latency = lambda ask: 0.02 + 0.02 * ask.chance("latency")
    inputs = write_rows(tmp_path / "in.jsonl", sums(1000))
    config = write_config(
        tmp_path / "c.yaml", inputs, model_server.base_url, sampling={"early_stop": False}, shard={"size": 10_000}
    )
    work_dir, output = tmp_path / "w", tmp_path / "output.txt"
    process = start_rsr("run", config, "-w", work_dir, output=output)
    journal = work_dir / "rollout/shard_0000.journal"
    end = time.monotonic() + 60
    while not journal.exists() or journal.stat().st_size < 5000:
        assert time.monotonic() < end and process.exitcode is None, output.read_text()
        time.sleep(0.01)
    time.sleep(0.1)  # between two flushes
    assert process.pid is not None
    os.kill(process.pid, first)
    time.sleep(0.01)
    os.kill(process.pid, second)
    process.join(20)
    assert process.exitcode in (128 + first, 128 + second)
    told = re.search(r"stopping: (\d+) attempts that arrived are kept", output.read_text())
    assert told is not None
    assert sum(1 for _ in read_journal(LocalStorage(journal))) >= int(told[1]) > 0
