"""A long run does not grow: not in memory, open files, threads or connections, nor in what a flush takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

import pytest

from tests.server import Ask, ModelServer, Reply, arithmetic_reply
from tests.work_dirs import sums, write_config, write_rows

pytestmark = pytest.mark.long

SECONDS = float(os.environ.get("RSR_TEST_SOAK", "20"))
PROMPTS = int(200 * SECONDS)
"""More than can be finished: the end comes by a signal."""
READINGS = 40
# Writes down the seconds that each flush of the journals takes. The window of open groups is made small: it is filled
# soon, and grows no more.
RSR_WITH_TIMED_FLUSHES = """
import sys, time
from rsr_cli.cli.app import main
from rsr_cli.stages import sampling_run
from rsr_cli.store.recorder import Recorder

assert sampling_run._LEAST_WINDOW
sampling_run._LEAST_WINDOW = 1

flush, log = Recorder.flush, open(sys.argv.pop(1), "w", buffering=1)

def timed_flush(recorder):
    began = time.monotonic()
    flush(recorder)
    print(time.monotonic() - began, file=log)

Recorder.flush = timed_flush
main()
"""
VERIFIER = """
class Quick:
    def verify(self, response, metadata):
        return float("{" + metadata["answer"] + "}" in response)
"""


@dataclass(frozen=True)
class Reading:
    resident_mb: float
    files: float
    threads: float
    connections: float
    flush_s: float
    requests: float


def long_reply(ask: Ask) -> Reply:
    """So much text that it shows in the memory where it is not let go."""
    return Reply(f"{ask.k} " * 1600 + str(arithmetic_reply(ask).content))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_long_run_does_not_grow(
    tmp_path: Path, model_server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    model_server.scenario.latency = lambda ask: 0.1 * ask.chance("latency")
    model_server.scenario.reply = long_reply
    (tmp_path / "verifier.py").write_text(VERIFIER)
    config = write_config(
        tmp_path / "config.yaml",
        write_rows(tmp_path / "in.jsonl", sums(PROMPTS)),
        model_server.base_url,
        sampling={"max_rollouts": 4, "step_size": 2},
        sampler={"concurrent_requests": 16},
        verifier={"type": f"{tmp_path}/verifier.py:Quick"},
        shard={"size": PROMPTS // 80},
    )
    flushes = tmp_path / "flushes.txt"
    command = [
        sys.executable,
        "-c",
        RSR_WITH_TIMED_FLUSHES,
        str(flushes),
        "run",
        str(config),
        "-w",
        str(tmp_path / "w"),
    ]
    readings: list[Reading] = []
    # An arena per thread would fill for a long time, whatever is in use.
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not (model_server.log and flushes.read_text()):
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
            began = time.monotonic()
            for number in range(1, READINGS + 1):
                time.sleep(max(0.0, began + number * SECONDS / READINGS - time.monotonic()))
                assert process.poll() is None, "it is done too early to tell"
                readings.append(read(process.pid, model_server, flushes))
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, stderr
    quarter = READINGS // 4
    before, after = medians(readings[quarter : 2 * quarter]), medians(readings[3 * quarter :])
    with capsys.disabled():
        print(f"\n{sum(reading.requests for reading in readings):.0f} requests\n{before}\n{after}")
    assert after.resident_mb < 1.1 * before.resident_mb + 5
    assert after.files < 1.2 * before.files + 8
    assert after.threads <= before.threads + 4
    assert after.connections <= 16
    assert after.flush_s < 10 * before.flush_s + 0.1


def read(pid: int, server: ModelServer, flushes: Path) -> Reading:
    """What a process holds now. Lets the server forget its requests: it must not grow either."""
    process = Path(f"/proc/{pid}")
    server_address = f"0100007F:{server.port:04X}"
    established = [
        line for line in (process / "net/tcp").read_text().splitlines() if line.split()[2:4] == [server_address, "01"]
    ]
    requests = len(server.log)
    del server.log[:requests]
    return Reading(
        resident_mb=int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        connections=len(established),
        flush_s=median(map(float, flushes.read_text().split()[-5:])),
        requests=requests,
    )


def medians(readings: Sequence[Reading]) -> Reading:
    return Reading(*(median(values) for values in zip(*map(astuple, readings), strict=True)))
