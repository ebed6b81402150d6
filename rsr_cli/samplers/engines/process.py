"""An engine in a process of its own, and how it is spoken to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from itertools import count
from typing import Any

from rsr_cli.samplers.engines.host import STEPS, read_frame, write_frame
from rsr_cli.samplers.engines.messages import Drawn, DrawRequest, EngineFailed, EngineGone, EngineSpec, Facts, Refused


class EngineProcess:
    """An Engine. The process leads a group of its own, so that a signal on the terminal does not reach it and all that
    belongs to it can be killed at once. When this process dies, however it does, so does that group."""

    facts: Facts

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._numbers = count(STEPS + 1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._gone: EngineGone | None = None

    @classmethod
    async def start(cls, spec: EngineSpec) -> EngineProcess:
        """Raises EngineFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            engine = cls(_spawn_host(theirs, spec.environment))
        try:
            await engine._greet(ours, spec)
        except BaseException:
            engine.kill()
            raise
        return engine

    async def draw(self, draw: DrawRequest) -> Drawn | Refused:
        number = next(self._numbers)
        try:
            answer: Drawn | Refused = await self._ask(number, draw)
        except asyncio.CancelledError:
            if self._gone is None:
                write_frame(self._writer, (number, None))
            raise
        return answer

    async def steps(self) -> int:
        steps: int = await self._ask(STEPS, None)
        return steps

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)

    async def _greet(self, connection: socket.socket, spec: EngineSpec) -> None:
        reader, self._writer = await asyncio.open_connection(sock=connection)
        write_frame(self._writer, spec)
        try:
            answer: Facts | EngineFailed = await read_frame(reader)
        except EOFError:
            raise EngineFailed(f"the engine's process {await self._ending()} while it started") from None
        if isinstance(answer, EngineFailed):
            raise answer
        self.facts = answer
        self._listener = asyncio.create_task(self._listen(reader))

    async def _ask(self, number: int, draw: DrawRequest | None) -> Any:
        if self._gone is not None:
            raise EngineGone(str(self._gone))
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            write_frame(self._writer, (number, draw))
            return await future
        finally:
            self._waiting.pop(number, None)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(EOFError):
            while True:
                number, answer = await read_frame(reader)
                future = self._waiting.get(number)
                if future is None or future.done():
                    continue
                if isinstance(answer, EngineGone):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        self._gone = EngineGone(f"the engine's process {await self._ending()}")
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(EngineGone(str(self._gone)))

    async def _ending(self) -> str:
        """How the process ended, in words."""
        try:
            code = await asyncio.to_thread(self._process.wait, 10)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (" (out of memory, perhaps)" if -code == signal.SIGKILL else "")


def _spawn_host(connection: socket.socket, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    descriptor = connection.fileno()
    return subprocess.Popen(
        [sys.executable, "-m", "rsr_cli.samplers.engines.host", str(descriptor), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=2,
        pass_fds=[descriptor],
        start_new_session=True,
        env=os.environ | environment,
    )
