"""`python -m tests.server`: the test server as a process. Prints its base URL, serves until its stdin closes."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Callable
from statistics import NormalDist

from tests.server.app import Application
from tests.server.faults import random_faults
from tests.server.running import start
from tests.server.scenario import Ask, Scenario


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=float, default=0.0, help="mean seconds of work per request")
    parser.add_argument("--sigma", type=float, default=0.0, help="of a lognormal latency; 0: all the same")
    parser.add_argument("--latency-max", type=float, default=8.0)
    parser.add_argument("--slots", type=int, help="requests worked on at a time")
    parser.add_argument("--faults", type=float, default=0.0, help="the share of requests that fail")
    parser.add_argument("--fault-seed", type=int, default=0)
    parser.add_argument("--hang", type=float, default=3600.0, help="seconds that a hang or a slow answer takes")
    parser.add_argument("--n", choices=["serve", "ignore", "refuse", "double"], default="serve")
    parser.add_argument("--seed", choices=["serve", "refuse"], default="serve")
    parser.add_argument("--api-key")
    options = parser.parse_args()
    scenario = Scenario(
        latency=latency(options.latency, options.sigma, options.latency_max),
        slots=options.slots,
        fault=random_faults(options.faults, options.fault_seed) if options.faults else None,
        hang_s=options.hang,
        n=options.n,
        seed=options.seed,
        api_key=options.api_key,
    )
    asyncio.run(serve(scenario, options.port))


def latency(mean: float, sigma: float, longest: float) -> Callable[[Ask], float] | None:
    """A pure function of the sample, lognormal with this mean."""
    if not mean:
        return None
    location = math.log(mean) - sigma**2 / 2

    def seconds(ask: Ask) -> float:
        quantile = min(max(ask.chance("latency"), 1e-9), 1 - 1e-9)
        return min(longest, math.exp(location + sigma * NormalDist().inv_cdf(quantile)))

    return seconds


async def serve(scenario: Scenario, port: int) -> None:
    runner, base_url = await start(Application(scenario), port)
    print(base_url, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


main()
