"""Prompts satisfied per 1,000 tokens, by allocation, over prompts of which many are easy and a long tail is hard.

    python tests/benchmarks/allocation.py [--prompts 1000] [--seeds 3] [--skip-tiny] [--plot docs/allocation.svg]

The first part drives the loop as `rsr sample` does on a budget, with a scripted model: six of ten prompts have pass
rates of Beta(6, 1.5), two of Beta(2, 3), and two are spread evenly in the logarithm from 0.1 down to 0.001. Answers
have lognormal lengths whose mean goes from 300 tokens (never fails) to 1,500 (never passes), times a factor of each
prompt's own; 8,192 cuts them. The k-th draw of a prompt is the same whatever the allocation.

The second part is the whole of rsr with the embedded tiny model on its own problems, levels 1 to 5.

A prompt is satisfied when it has the target of passes, whatever the allocation itself was content with.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import subprocess
import sys
import tempfile
from bisect import bisect
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow.parquet as pq

from rsr_cli.sampling.allocation import Passes
from rsr_cli.sampling.budget import Budget, next_round
from rsr_cli.sampling.fold import Rules
from rsr_cli.sampling.loop import Loop
from rsr_cli.sampling.queue import Ending, OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.types import Attempt, Completion, Group, Prompt, Verdict
from tests.line_plot import Panel, write_plot

ROOT = Path(__file__).parents[2]
STEP, STEPS, ROLLOUTS, MAX_TOKENS, WINDOW = 4, 32, 128, 8192, 1024
ALLOCATIONS = ("fixed", "uniform", "prop2diff", "adaptive")
Curve = list[tuple[float, int]]
"""Tokens spent, prompts satisfied."""


@dataclass(frozen=True)
class Difficulty:
    pass_rate: float
    mean_tokens: float


def real_shaped(count: int, seed: int) -> list[Difficulty]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        kind = chance.random()
        easy, middling = chance.betavariate(6, 1.5), chance.betavariate(2, 3)
        rate = easy if kind < 0.6 else middling if kind < 0.8 else 10 ** chance.uniform(-3, -1)
        found.append(Difficulty(rate, 300 * (1 + 4 * (1 - rate)) * chance.lognormvariate(0, 0.4)))
    return found


@dataclass
class World(Watcher):
    """A sampler, scorer, recorder and watcher in one."""

    prompts: list[Difficulty]
    seed: int
    target: int
    budget: Budget
    capacity: int = 32
    together: bool = False
    compares: bool = False
    curve: Curve = field(default_factory=list)
    passes: Counter[str] = field(default_factory=Counter)
    satisfied: int = 0
    parked: list[Group] = field(default_factory=list)

    async def __aenter__(self) -> World:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        difficulty = self.prompts[int(prompt.id)]
        for number in attempts:
            chance = random.Random(f"{self.seed} {prompt.id} {number}")
            tokens = int(chance.lognormvariate(math.log(difficulty.mean_tokens) - 0.6**2 / 2, 0.6))
            passes = chance.random() < difficulty.pass_rate
            await asyncio.sleep(tokens * 1e-6)  # the longer answer takes longer
            yield Completion(
                attempt=number,
                response="right" if passes else "wrong",
                finish_reason="stop" if tokens < MAX_TOKENS else "length",
                model="scripted",
                prompt_tokens=100,
                completion_tokens=min(tokens, MAX_TOKENS),
            )

    def owed(self, group: Group) -> list[int]:
        return []

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        return {number: Verdict(float(group.attempts[number].response == "right")) for number in numbers}

    def attempt(self, shard: int, attempt: Attempt) -> None:
        pass

    def verdicts(self, shard: int, group: Group, verdicts: Mapping[int, Verdict], *, compared: bool) -> None:
        pass

    def judged(self, attempt: Attempt, verdict: Verdict) -> None:
        if verdict.score == 1.0:
            self.passes[attempt.id] += 1
            self.satisfied += self.passes[attempt.id] == self.target
        self.curve.append((self.budget.spent_tokens, self.satisfied))

    def ended(self, opened: OpenGroup, reason: Ending) -> None:
        if reason == "budget":
            self.parked.append(opened.group)


def rules_of(allocation: str, target: int) -> Rules:
    passes = Passes(lambda score: score >= 1.0, target, STEP)
    return Rules(
        ROLLOUTS,
        STEP,
        STEPS,
        {"fixed": None, "prop2diff": passes.prop2diff}.get(allocation, passes.uniform),
        whole_first_step=allocation == "prop2diff",
        worth=passes.worth if allocation == "adaptive" else None,
    )


async def simulate(prompts: list[Difficulty], seed: int, allocation: str, target: int, tokens: int) -> Curve:
    """The rounds of a run on a budget, as `rsr sample` has them."""
    budget = Budget(tokens, None, (0.0, 0.0), MAX_TOKENS)
    world = World(prompts, seed, target, budget)
    rules = rules_of(allocation, target)
    rules = replace(rules, max_attempts=rules.size_of(0))
    groups = [Group(Prompt(str(number), [], {})) for number in range(len(prompts))]
    while groups and not budget.exhausted:

        async def feed(groups: list[Group] = groups) -> AsyncIterator[OpenGroup]:
            for group in groups:
                yield OpenGroup(0, group)

        world.parked = []
        await Loop(world, world, world, rules, watchers=[world], window=WINDOW, budget=budget).run(feed())
        groups = sorted(world.parked, key=lambda group: int(group.prompt.id))
        rules = next_round(rules, max((rules.worth(group, 0) for group in groups), default=0.0) if rules.worth else 0.0)
    return world.curve


def satisfied_at(curve: Curve, tokens: float) -> int:
    place = bisect(curve, (tokens, sys.maxsize))
    return curve[place - 1][1] if place else 0


def table(title: str, budgets: Sequence[int], found: dict[str, list[float]], prompts: int) -> None:
    """As Markdown: prompts satisfied, and in brackets how many per 1,000 tokens."""
    print(f"\n{title}; {prompts} prompts\n")
    print("| allocation | " + " | ".join(f"{tokens:,} tokens" for tokens in budgets) + " |")
    print("|---|" + "---:|" * len(budgets))
    for name, counts in found.items():
        cells = [f"{count:.0f} ({count / tokens * 1000:.3f})" for count, tokens in zip(counts, budgets, strict=True)]
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def panel(title: str, budgets: Sequence[float], found: dict[str, list[float]], prompts: int, unit: int) -> Panel:
    scale, word = (1e6, "million tokens") if unit == 1_000_000 else (1e3, "thousand tokens")
    lines = {
        name: [(0.0, 0.0), *zip([b / scale for b in budgets], counts, strict=True)] for name, counts in found.items()
    }
    return Panel(title, f"{word} spent", "prompts satisfied", lines, budgets[-1] / scale, prompts)


def simulation(prompts: int, seeds: int, target: int, budgets: Sequence[int]) -> Panel:
    points = [budgets[-1] * step / 60 for step in range(1, 61)]
    counts: dict[str, list[float]] = {}
    curves: dict[str, list[float]] = {}
    for allocation in ALLOCATIONS:
        runs = [
            asyncio.run(simulate(real_shaped(prompts, seed), seed, allocation, target, budgets[-1] + 50_000))
            for seed in range(seeds)
        ]
        counts[allocation] = [sum(satisfied_at(run, tokens) for run in runs) / seeds for tokens in budgets]
        curves[allocation] = [sum(satisfied_at(run, tokens) for run in runs) / seeds for tokens in points]
        spread = [satisfied_at(run, budgets[-1]) for run in runs]
        print(f"  {allocation}: {min(spread)} to {max(spread)} at the end, over {seeds} seeds", file=sys.stderr)
    title = f"simulated, {target} pass{'es' if target > 1 else ''} each"
    table(title, budgets, counts, prompts)
    return panel(title, points, curves, prompts, 1_000_000)


def tiny_model(target: int, budgets: Sequence[int]) -> Panel:
    """Each budget is spent in the work dir of the one before."""
    recipe = ROOT / "recipes/quickstart"
    found: dict[str, list[float]] = {}
    for allocation in ALLOCATIONS:
        with tempfile.TemporaryDirectory() as folder:
            work_dir = Path(folder) / "w"
            options = [
                "sampling.max_rollouts=32", "sampling.max_steps=10", f"sampling.target_passes={target}",
                f"sampling.allocation={allocation}", f"sampling.early_stop={str(allocation != 'fixed').lower()}",
                "sampler.concurrent_requests=16",
            ]  # fmt: skip
            rsr("prepare", recipe / "config.yaml", "-w", work_dir, *options)
            found[allocation] = []
            for tokens in budgets:
                rsr("sample", "-w", work_dir, f"sampling.token_budget={tokens}")
                if allocation == "fixed":
                    rsr("verify", "-w", work_dir)
                found[allocation].append(count_satisfied(work_dir, target))
    title = f"tiny model, {target} passes each"
    table(title, budgets, found, 200)
    return panel(title, budgets, found, 200, 1000)


def rsr(*arguments: object) -> None:
    command = [sys.executable, "-m", "rsr_cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def count_satisfied(work_dir: Path, target: int) -> int:
    rows = [row for path in sorted(work_dir.glob("score/*.parquet")) for row in pq.read_table(path).to_pylist()]
    passes = Counter(row["id"] for row in rows if row["score"] == 1.0)
    return sum(count >= target for count in passes.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--skip-tiny", action="store_true")
    parser.add_argument("--plot", type=Path, help="write the curves there, as SVG")
    options = parser.parse_args()
    prompts = options.prompts
    panels = [
        simulation(prompts, options.seeds, target, [prompts * tokens for tokens in budgets])
        for target, budgets in ((1, (500, 1000, 2000, 4000)), (4, (2000, 4000, 6000, 8000)))
    ]
    if not options.skip_tiny:
        panels.append(tiny_model(4, (40_000, 80_000, 120_000, 160_000)))
    if options.plot:
        write_plot(options.plot, panels)


if __name__ == "__main__":
    main()
