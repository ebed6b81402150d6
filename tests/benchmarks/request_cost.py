"""What a request costs the client: requests per CPU-second, beside what one would use instead.

    python tests/benchmarks/request_cost.py [--concurrency 50 200 1000 4000] [--requests 16000]

A server in a process of its own does no work but to wait: at n in flight it takes n/4,000 s for each answer, so that
all of them are in flight. Each client runs in a process of its own too; its rate counts the user and system time of
the client alone. `rsr sample` is the whole command: its start, its imports, the journal, the shard and the state are
all in it. Each attempt is a request.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from rsr_cli.clients.open_files import allow_open_files
from rsr_cli.config.settings import SamplerSettings
from rsr_cli.samplers.openai_compatible_api import OpenaiCompatibleApi
from rsr_cli.types import Prompt

MODEL = "zero-work"
MESSAGES = [{"role": "user", "content": "A farmer has 17 sheep and sells 9 of them. How many are left? " * 4}]
REPLY = "He starts with 17 sheep and sells 9 of them, so 17 - 9 of them are left. " * 6 + "\\boxed{8} (%10d)"
DOCUMENT = orjson.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 80, "completion_tokens": 120, "total_tokens": 200},
    }
)
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
RESPONSE = HEAD.format(len(DOCUMENT % 0)).encode() + DOCUMENT

Draw = Callable[[int], Awaitable[object]]
"""Draws the reply with this number, and reads its text."""


class ZeroWork(asyncio.Protocol):
    """Answers every POST, after the seconds that its path begins with, with a text that says which POST it was."""

    numbers = count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) == int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            self._received = b""
            seconds = float(head.split(b"/", 2)[1])
            asyncio.get_running_loop().call_later(seconds, self._transport.write, RESPONSE % next(self.numbers))


async def serve() -> None:
    """Prints its address and serves until its stdin closes."""
    allow_open_files(5_000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(ZeroWork, "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


async def cost(draw: Draw, concurrency: int, requests: int) -> float:
    """Requests per CPU-second of this process."""
    numbers = iter(range(requests))

    async def work() -> None:
        for number in numbers:
            assert await draw(number)

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return requests / (time.process_time() - began)


async def openai_client(base_url: str, concurrency: int, requests: int, **options: Any) -> float:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=base_url, api_key="-", timeout=300, **options) as client:

        async def draw(number: int) -> object:
            answer = await client.chat.completions.create(
                model=MODEL, messages=MESSAGES, temperature=0.7, top_p=1.0, max_tokens=2048, seed=number
            )
            return answer.choices[0].message.content

        return await cost(draw, concurrency, requests)


async def openai_on_aiohttp(base_url: str, concurrency: int, requests: int) -> float:
    from openai import DefaultAioHttpClient

    return await openai_client(base_url, concurrency, requests, http_client=DefaultAioHttpClient())


async def plain_aiohttp(base_url: str, concurrency: int, requests: int, fast_json: bool = False) -> float:
    url = f"{base_url}/chat/completions"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def draw(number: int) -> object:
            body = {"model": MODEL, "messages": MESSAGES, "temperature": 0.7, "top_p": 1.0, "max_tokens": 2048}
            body["seed"] = number
            if fast_json:
                headers = {"Content-Type": "application/json"}
                async with session.post(url, data=orjson.dumps(body), headers=headers) as response:
                    answer = orjson.loads(await response.read())
            else:
                async with session.post(url, json=body) as response:
                    answer = await response.json()
            return answer["choices"][0]["message"]["content"]

        return await cost(draw, concurrency, requests)


async def fast_aiohttp(base_url: str, concurrency: int, requests: int) -> float:
    return await plain_aiohttp(base_url, concurrency, requests, fast_json=True)


async def rsr_sampler(base_url: str, concurrency: int, requests: int) -> float:
    settings = SamplerSettings(base_url=[base_url], model=MODEL, concurrent_requests=concurrency)
    async with OpenaiCompatibleApi(settings, run_seed=1) as sampler:

        async def draw(number: int) -> object:
            async for completion in sampler.sample(Prompt("p", MESSAGES, {}), [number]):
                return completion.response
            return None

        return await cost(draw, concurrency, requests)


def rsr_sample(base_url: str, concurrency: int, requests: int) -> float:
    """The command as a user runs it, on prompts that were prepared before."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "prompts.jsonl"
        attempts = 4
        prompts = requests // attempts
        rows.write_text(
            "".join(json.dumps({"id": f"p{i}", "messages": MESSAGES, "metadata": {}}) + "\n" for i in range(prompts))
        )
        rsr = [sys.executable, "-m", "rsr_cli"]
        settings = [
            f"data.input_path={rows}",
            f"sampler.base_url={base_url}",
            f"sampler.model={MODEL}",
            f"sampler.concurrent_requests={concurrency}",
            f"sampling.max_rollouts={attempts}",
            f"sampling.step_size={attempts}",
            "sampling.early_stop=false",
            "sampling.seed=1",
        ]
        run = ["-w", f"{folder}/work"]
        subprocess.run([*rsr, "prepare", *run, *settings], check=True, capture_output=True)
        before = _cpu_of_children()
        done = subprocess.run([*rsr, "sample", *run, "--json"], check=True, capture_output=True, text=True)
        seconds = _cpu_of_children() - before
        counts = json.loads(done.stdout)
        assert str(attempts * prompts) in json.dumps(counts), counts
        return attempts * prompts / seconds


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# The client, the share of --requests that is enough for it, the packages it needs, and whether it runs on uvloop.
CLIENTS: dict[str, tuple[Callable[[str, int, int], Awaitable[float]], float, tuple[str, ...], bool]] = {
    "openai": (openai_client, 0.05, ("openai",), False),
    "openai, aiohttp": (openai_on_aiohttp, 0.1, ("openai", "aiohttp"), False),
    "aiohttp": (plain_aiohttp, 0.5, (), False),
    "aiohttp, orjson, uvloop": (fast_aiohttp, 0.5, ("uvloop",), True),
    "rsr's sampler": (rsr_sampler, 0.5, (), False),
    "rsr's sampler, uvloop": (rsr_sampler, 0.5, ("uvloop",), True),
}


def run_client(name: str, base_url: str, concurrency: int, requests: int) -> float:
    """In a process of its own, which prints its rate."""
    client, _, _, on_uvloop = CLIENTS[name]
    allow_open_files(concurrency)
    factory = None
    if on_uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(client(base_url, concurrency, requests))


def missing(packages: tuple[str, ...]) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[50, 200, 1_000, 4_000])
    parser.add_argument("--requests", type=int, default=16_000, help="of rsr sample; slower clients send fewer")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    if arguments.client:
        print(run_client(arguments.client, arguments.url, arguments.concurrency[0], arguments.requests))
        return
    with server() as address:
        table(address, arguments.concurrency, arguments.requests)


def base_url(address: str, concurrency: int) -> str:
    return f"{address}/{concurrency / 4_000}/v1"


def table(address: str, concurrencies: list[int], most: int) -> None:
    print("requests per CPU-second of the client, and how many times openai's at the same concurrency")
    print(f"{'in flight':24}" + "".join(f"{concurrency:>16,}" for concurrency in concurrencies))
    first: dict[int, float] = {}
    for name, (_, share, packages, _) in CLIENTS.items():
        if lacking := missing(packages):
            print(f"{name:24}  skipped: {', '.join(lacking)} not installed")
            continue
        print(f"{name:24}", end="", flush=True)
        for concurrency in concurrencies:
            requests = max(int(most * share), concurrency)
            command = [sys.executable, __file__, "--client", name, "--url", base_url(address, concurrency)]
            command += ["--concurrency", str(concurrency), "--requests", str(requests)]
            rate = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            print_rate(rate, first, concurrency)
        print()
    print(f"{'rsr sample, all of it':24}", end="", flush=True)
    for concurrency in concurrencies:
        print_rate(
            rsr_sample(base_url(address, concurrency), concurrency, max(most, 4 * concurrency)), first, concurrency
        )
    print()


def print_rate(rate: float, first: dict[int, float], concurrency: int) -> None:
    ratio = f"{rate / first.setdefault(concurrency, rate):.1f}x"
    print(f"{rate:9,.0f} {ratio:>6}", end="", flush=True)


if __name__ == "__main__":
    main()
