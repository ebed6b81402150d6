"""How full the backend is kept, and how many samples early stop takes, beside other ways to schedule the same draws.

    python tests/benchmarks/utilisation.py [--sizes 100,1000] [--scale 0.25] [--alone 100,1000,10000] [--skip-others]

A server with 64 slots whose work takes a lognormal time (mean 0.4 s, sigma 1.2, at most 8 s; over HTTP all times
are `--scale`d), prompts with pass rates of Beta(0.7, 0.7), up to 16 rollouts each. The k-th sample of a prompt, its
time and its outcome are the same for every client, so the fewest samples that reach a pass are known.

(a) without early stop: busy slot-seconds / (64 x the time from the first request to the last answer).
(b) with early stop at one pass: the time that the fewest samples fill all slots for / the time taken, and the samples
taken / the fewest.

First rsr's loop alone on a virtual clock, the mean of three draws of prompts: the schedule without the machine. Then
real requests to a server in a process of its own: the whole `rsr sample`, and the plainest clients that schedule as
they are named. There the figures hold on an idle machine only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from rsr_cli.sampling.fold import Rules
from rsr_cli.sampling.loop import Loop
from rsr_cli.sampling.queue import OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.types import Completion, Group, Prompt, Verdict
from tests.server.app import Application
from tests.server.running import start
from tests.server.scenario import Ask, Reply, Scenario

SLOTS, ROLLOUTS = 64, 16
ROOT = Path(__file__).parents[2]


def text_of(prompt: int) -> str:
    return f"Prompt {prompt}: what is the number?"


def sample_of(text: str, k: int, scale: float) -> tuple[float, bool]:
    """Seconds and outcome of the k-th sample of a prompt."""
    rate = random.Random(text).betavariate(0.7, 0.7)
    chance = random.Random(f"{text} {k}")
    seconds = min(8.0, chance.lognormvariate(math.log(0.4) - 1.2**2 / 2, 1.2))
    return seconds * scale, chance.random() < rate


async def serve(scale: float) -> None:
    def reply(ask: Ask) -> Reply:
        return Reply(f"\\boxed{{{42 if sample_of(ask.prompt, ask.k, scale)[1] else 41}}} (sample {ask.k})")

    def latency(ask: Ask) -> float:
        # Several choices are one request, which takes as long as the longest of them.
        return max(sample_of(ask.prompt, ask.k + i, scale)[0] for i in range(ask.body.get("n", 1)))

    _, url = await start(Application(Scenario(reply=reply, latency=latency, slots=SLOTS)))
    print(url, flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def server(scale: float) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", "--scale", str(scale)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@dataclass
class Client:
    """What the others are written with: a bounded number of requests, one sample each."""

    url: str
    session: aiohttp.ClientSession
    slots: asyncio.Semaphore

    async def passes(self, prompt: int) -> bool:
        body = {"model": "m", "messages": [{"role": "user", "content": text_of(prompt)}]}
        async with self.slots, self.session.post(f"{self.url}/chat/completions", json=body) as response:
            return "{42}" in (await response.json())["choices"][0]["message"]["content"]

    async def step(self, prompt: int, size: int) -> bool:
        return any(await asyncio.gather(*(self.passes(prompt) for _ in range(size))))


Schedule = Callable[[Client, int, bool], Awaitable[None]]


def by_prompt(size: int) -> Schedule:
    """A coroutine per prompt, in steps of this size."""

    async def schedule(client: Client, prompts: int, early: bool) -> None:
        async def one(prompt: int) -> None:
            for _ in range(ROLLOUTS // size):
                if await client.step(prompt, size) and early:
                    return

        await asyncio.gather(*(one(prompt) for prompt in range(prompts)))

    return schedule


def barrier(shard: int | None) -> Schedule:
    """Steps of 4 over all prompts (of a shard), each waiting for the last answer of the one before."""

    async def schedule(client: Client, prompts: int, early: bool) -> None:
        for begin in range(0, prompts, shard or prompts):
            left = list(range(begin, min(prompts, begin + (shard or prompts))))
            for _ in range(ROLLOUTS // 4):
                passed = await asyncio.gather(*(client.step(prompt, 4) for prompt in left))
                left = [prompt for prompt, done in zip(left, passed, strict=True) if not (done and early)]

    return schedule


OTHERS: dict[str, Schedule] = {
    "barrier per step": barrier(None),
    "barrier per shard of 100": barrier(100),
    "per prompt, steps of 4": by_prompt(4),
    "per prompt, steps of 1": by_prompt(1),
}


async def run_other(schedule: Schedule, url: str, prompts: int, early: bool) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        await schedule(Client(url, session, asyncio.Semaphore(SLOTS)), prompts, early)


def run_rsr(url: str, prompts: int, **sampling: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "in.jsonl"
        with rows.open("w") as file:
            for prompt in range(prompts):
                message = {"role": "user", "content": text_of(prompt)}
                file.write(json.dumps({"id": str(prompt), "messages": [message], "metadata": {"answer": "42"}}) + "\n")
        config = {
            "data": {"input_path": str(rows)},
            "sampling": {"max_rollouts": ROLLOUTS, "step_size": 4, "max_steps": 4, **sampling},
            "sampler": {"base_url": url, "model": "m", "concurrent_requests": SLOTS, "timeout": 60},
            "verifier": {"type": "math-rlvr", "workers": 1},
        }
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        for stage in (["prepare", str(path)], ["sample"]):
            command = [sys.executable, "-m", "rsr_cli", *stage, "-w", f"{folder}/w"]
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


@dataclass
class Measured:
    seconds: float
    busy: float
    samples: int


def measured(url: str) -> Measured:
    """From the server's log; a request that was hung up on was busy until then."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/log", timeout=60) as response:
        log = json.loads(response.read())
    seconds = max(entry["ended"] for entry in log) - min(entry["started"] for entry in log)
    busy = sum(entry["busy_s"] for entry in log)
    return Measured(seconds, busy, sum(entry["n"] for entry in log))


class VirtualClock(asyncio.SelectorEventLoop):
    """An event loop that does not wait: when nothing is ready, its time goes on to what comes next."""

    def __init__(self) -> None:
        super().__init__(_Leaping(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _Leaping(selectors.SelectSelector):
    def __init__(self, loop: VirtualClock) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.now += timeout or 0.0
        return []


class Alone:
    """All that a loop needs, with no server, disk or verifier."""

    capacity = SLOTS
    compares = False

    def __init__(self, draw: int, together: bool) -> None:
        self.draw, self.together = draw, together
        self.samples, self.busy, self.last = 0, 0.0, 0.0

    def sample_of(self, prompt: str, k: int) -> tuple[float, bool]:
        return sample_of(f"{prompt} {self.draw}", k, 1.0)

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        clock = asyncio.get_running_loop()
        began = clock.time()
        self.samples += len(attempts)
        seconds = max(self.sample_of(prompt.id, attempt)[0] for attempt in attempts)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.busy += clock.time() - began
            self.last = clock.time()
        for attempt in attempts:
            yield Completion(attempt=attempt, response="", finish_reason="stop", model="m", latency_s=seconds)

    def owed(self, group: Group) -> list[int]:
        return []

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        return {number: Verdict(float(self.sample_of(group.prompt.id, number)[1])) for number in numbers}

    def attempt(self, *what: object, **more: object) -> None: ...

    verdicts = attempt

    async def run(self, prompts: int, early: bool) -> None:
        async def groups() -> AsyncIterator[OpenGroup]:
            for prompt in range(prompts):
                yield OpenGroup(0, Group(Prompt(str(prompt), [], {})))

        rules = Rules(ROLLOUTS, 4, 4, has_pass if early else None)
        world: Any = self
        await Loop(world, world if early else None, world, rules, watchers=[Watcher()], window=1024).run(groups())

    def fewest(self, prompts: int) -> tuple[int, float]:
        """The fewest samples that reach a pass, or all where there is none, and their seconds."""
        return fewest(prompts, lambda prompt, k: self.sample_of(str(prompt), k))


def has_pass(group: Group) -> bool:
    return any(verdict.score == 1.0 for verdict in group.verdicts.values())


def fewest(prompts: int, sample: Callable[[int, int], tuple[float, bool]]) -> tuple[int, float]:
    samples, seconds = 0, 0.0
    for prompt in range(prompts):
        for k in range(ROLLOUTS):
            took, passes = sample(prompt, k)
            samples, seconds = samples + 1, seconds + took
            if passes:
                break
    return samples, seconds


def measure_alone(prompts: int) -> None:
    for early, together in ((False, False), (False, True), (True, False)):
        found = []
        for draw in range(3 if prompts <= 1000 else 1):
            world, clock = Alone(draw, together), VirtualClock()
            cpu = time.process_time()
            clock.run_until_complete(world.run(prompts, early))
            cpu = (time.process_time() - cpu) / world.samples * 1e6
            clock.close()
            if early:
                samples, seconds = world.fewest(prompts)
                found.append((seconds / SLOTS / world.last, world.samples / samples, cpu))
            else:
                found.append((world.busy / SLOTS / world.last, 1.0, cpu))
        speed, ratio, cpu = (statistics.mean(values) for values in zip(*found, strict=True))
        spread = f"({min(item[0] for item in found):.3f} to {max(item[0] for item in found):.3f})"
        name = f"{prompts} prompts" + (", n = 4 in a request" if together else "")
        what = f"{speed:.3f} of the ideal speed {spread}, {ratio:.3f} x the fewest samples" if early else ""
        what = what or f"{speed:.3f} utilised {spread}"
        print(f"  ({'b' if early else 'a'}) {name:34} {what}, {cpu:.0f} us of CPU a sample", flush=True)


def measure(name: str, run: Callable[[str], None], prompts: int, scale: float, early: bool) -> None:
    with server(scale) as url:
        run(url)
        found = measured(url)
    if not early:
        print(
            f"  (a) {name:34} {found.busy / (SLOTS * found.seconds):.3f} utilised, {found.seconds:6.1f} s", flush=True
        )
        return
    samples, seconds = fewest(prompts, lambda prompt, k: sample_of(text_of(prompt), k, scale))
    ideal = seconds / SLOTS
    print(
        f"  (b) {name:34} {ideal / found.seconds:.3f} of the ideal speed, "
        f"{found.samples / samples:.3f} x the fewest samples, {found.seconds:5.1f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100,1000", help="numbers of prompts")
    parser.add_argument("--alone", default="100,1000,10000", help="numbers of prompts for the loop alone")
    parser.add_argument("--scale", type=float, default=0.25)
    parser.add_argument("--skip-others", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.scale))
        return
    print(f"The loop alone, {SLOTS} slots")
    for prompts in map(int, options.alone.split(",")):
        measure_alone(prompts)
    for prompts in map(int, options.sizes.split(",")):
        print(f"{prompts} prompts, {SLOTS} slots, mean latency {0.4 * options.scale:g} s")
        for early in (False, True):
            for name, schedule in {} if options.skip_others else OTHERS.items():
                measure(
                    name,
                    lambda url: asyncio.run(run_other(schedule, url, prompts, early)),  # noqa: B023
                    prompts,
                    options.scale,
                    early,
                )
            variants: dict[str, dict[str, Any]] = {"rsr": {"seed": 1}, "rsr, n = 4 in a request": {}}
            for name, sampling in variants.items() if not early else [("rsr", {})]:
                measure(
                    name,
                    lambda url: run_rsr(url, prompts, early_stop=early, **sampling),  # noqa: B023
                    prompts,
                    options.scale,
                    early,
                )


if __name__ == "__main__":
    main()
