"""Run the test server in a thread of this process, or in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from rsr_cli.clients.batches.folder import responses_beside
from tests.server.app import Application, Served
from tests.server.batches import ServedBatch, run_batch
from tests.server.scenario import Scenario

T = TypeVar("T")

_ROOT = Path(__file__).parents[2]


async def start(application: Application, port: int = 0) -> tuple[web.AppRunner, str]:
    """Serves on loopback; returns the runner, to be cleaned up, and the base URL."""
    # Handlers are cancelled when the client hangs up, as an inference server aborts the generation then.
    runner = web.AppRunner(application.routes(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


class ModelServer:
    """A context: the server in a thread. `scenario` may be changed while it runs, `log` may be read."""

    def __init__(self, scenario: Scenario | None = None, port: int = 0) -> None:
        self.scenario = scenario or Scenario()
        self.base_url = ""
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ModelServer:
        self._thread.start()
        self._application = self._run(self._make())
        self._runner, self.base_url = self._run(start(self._application, self._port))
        return self

    def __exit__(self, *exc: object) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def log(self) -> list[Served]:
        return self._application.log

    @property
    def batches(self) -> list[ServedBatch]:
        """The batches that were submitted, in their order."""
        return self._application.batches.submitted

    def run_batch(self, requests: Path, responses: Path | None = None) -> None:
        """Answer a file of requests as `vllm run-batch` does, into the file where rsr looks for it by default."""
        run_batch(self._application, requests, responses or responses_beside(requests))

    @property
    def peak(self) -> int:
        """The most requests that were open at a time."""
        return self._application.peak

    @property
    def open(self) -> int:
        """The requests that are open now."""
        return self._application.open

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2].partition("/")[0])

    async def _make(self) -> Application:
        return Application(self.scenario)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)


@contextmanager
def model_server_process(*options: object) -> Iterator[str]:
    """The server as `python -m tests.server` with these options; yields its base URL. It ends when its stdin closes."""
    command = [sys.executable, "-m", "tests.server", *map(str, options)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)
