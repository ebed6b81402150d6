"""The process of an engine outside Ray: it reads requests from a socket and writes results to it.

`python -m rsr_cli.samplers.engines.host FD PARENT_PID`, started by process.py. Each frame is a length of four bytes and
a pickle: first the EngineSpec in, and Facts or EngineFailed out; then (number, DrawRequest), or (number, None) to
cancel, in, and (number, Drawn | Refused | EngineGone) out. The number 0 asks for the steps made so far.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pickle
import signal
import socket
import sys
from typing import Any

from rsr_cli.samplers.engines.messages import DrawRequest, EngineFailed, EngineGone
from rsr_cli.samplers.engines.vllm_engine import VllmEngine

_PR_SET_PDEATHSIG = 1
STEPS = 0


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """EOFError where the other side is gone."""
    try:
        size = int.from_bytes(await reader.readexactly(4))
        return pickle.loads(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, OSError) as error:
        raise EOFError from error


def write_frame(writer: asyncio.StreamWriter, content: Any) -> None:
    payload = pickle.dumps(content)
    writer.write(len(payload).to_bytes(4) + payload)


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    spec = await read_frame(reader)
    try:
        engine = VllmEngine(spec)
    except EngineFailed as failure:
        write_frame(writer, failure)
        await writer.drain()
        return
    write_frame(writer, engine.facts)
    tasks: dict[int, asyncio.Task[None]] = {}

    async def answer(number: int, draw: DrawRequest) -> None:
        try:
            write_frame(writer, (number, await engine.draw(draw)))
        except EngineGone as gone:
            write_frame(writer, (number, gone))
        finally:
            del tasks[number]

    while True:
        number, draw = await read_frame(reader)
        if number == STEPS:
            write_frame(writer, (STEPS, await engine.steps()))
        elif draw is not None:
            tasks[number] = asyncio.create_task(answer(number, draw))
        elif number in tasks:
            tasks[number].cancel()


def main() -> None:
    descriptor, parent_pid = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(1)
    with contextlib.suppress(EOFError):
        asyncio.run(_serve(socket.socket(fileno=descriptor)))
    os._exit(0)  # the engine's processes end with this one


if __name__ == "__main__":
    main()
