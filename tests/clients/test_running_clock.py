"""A process that is stopped for longer than a request may take gives up none of its requests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from rsr_cli.clients.running_clock import RunningClock
from tests.server import ModelServer

DRAWING = """
import asyncio, sys
from tests.samplers.drawing import draw, prompt, sampler

async def main():
    async with sampler(sys.argv[1], timeout=0.6) as backend:
        drawn = await asyncio.gather(*(draw(backend, [0], prompt(id=str(i))) for i in range(8)))
    print([completion.error for [completion] in drawn])

asyncio.run(main())
"""


def test_what_arrives_while_the_process_is_stopped_is_kept(model_server: ModelServer) -> None:
    model_server.scenario.latency = lambda ask: 0.3
    command = [sys.executable, "-c", DRAWING, model_server.base_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while model_server.open < 8:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.2)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.read().strip() == str([None] * 8)
    assert len(model_server.log) == 8


async def test_time_that_passes_while_the_process_runs_counts() -> None:
    clock = RunningClock()
    clock.start()
    began = clock.time()
    with pytest.raises(TimeoutError), clock.watching(asyncio.timeout(0.05)) as deadline:
        async with deadline:
            await asyncio.sleep(5)
    assert clock.time() - began >= 0.05
    clock.stop()


async def test_a_stop_puts_deadlines_off_and_is_no_time() -> None:
    clock = RunningClock()
    clock.start()
    began = clock.time()
    with clock.watching(asyncio.timeout(0.5)) as deadline:
        async with deadline:
            time.sleep(1.0)  # noqa: ASYNC251 - nothing runs meanwhile, as in a stopped process
            await asyncio.sleep(0.05)
    assert clock.time() - began < 1.0
    clock.stop()
