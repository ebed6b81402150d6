"""Measure a tiny model on held-out problems: greedy, pass@1, pass@k and truncation by level.

    python recipes/tiny-model/evaluate.py [--model rsr_cli/tiny/model] [--seeds 1 2 3] [--problems 300]

Runs on the embedded engine, so it needs numpy only. Each cell is the mean over the seeds, with the lowest and the
highest seed beside it.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rsr_cli.tiny import problems
from rsr_cli.tiny.engine import Completion, Engine, SamplingParams
from rsr_cli.tiny.tokenizer import MODEL_DIR

TEMPERATURE = 0.8


def is_right(completion: Completion, problem: problems.Problem) -> bool:
    """Whether the last box holds the answer. A truncated completion is wrong."""
    _, _, boxed = completion.text.rpartition("\\boxed{")
    return completion.finish_reason == "stop" and boxed == problem.answer + "}"


def evaluate(engine: Engine, seed: int, count: int, attempts: int, max_tokens: int) -> dict[int, list[float]]:
    """Percentages for each level, and for all levels under the key 0: greedy, pass@1, pass@`attempts`, truncated."""
    questions = list(problems.generate(seed, count))
    sampled = SamplingParams(temperature=TEMPERATURE, max_tokens=max_tokens, seed=seed)
    futures = []
    for problem in questions:
        prompt = engine.tokenizer.encode_chat([{"role": "user", "content": problem.prompt()}])
        streams = [SamplingParams(**(vars(sampled) | {"stream": stream})) for stream in range(attempts)]
        greedy = SamplingParams(temperature=0.0, max_tokens=max_tokens)
        futures.append([engine.submit(prompt, params) for params in (greedy, *streams)])
    rows: dict[int, list[tuple[float, float, float, float]]] = {level: [] for level in (0, *problems.LEVELS)}
    for problem, group in zip(questions, futures, strict=True):
        greedy_completion, *completions = (future.result() for future in group)
        passed = [is_right(completion, problem) for completion in completions]
        truncated = sum(completion.finish_reason == "length" for completion in completions)
        greedy_passed = is_right(greedy_completion, problem)
        row = (float(greedy_passed), sum(passed) / attempts, float(any(passed)), truncated / attempts)
        rows[problem.level].append(row)
        rows[0].append(row)
    return {level: [100 * _mean(column) for column in zip(*of_level, strict=True)] for level, of_level in rows.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL_DIR, help="folder of the model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one set of problems for each")
    parser.add_argument("--problems", type=int, default=300, help="problems for each seed")
    parser.add_argument("--attempts", type=int, default=16, help="samples for each problem, the k of pass@k")
    parser.add_argument("--max-tokens", type=int, default=200, help="longer answers are truncated")
    options = parser.parse_args()
    with Engine(options.model) as engine:
        started = time.monotonic()
        results = [
            evaluate(engine, seed, options.problems, options.attempts, options.max_tokens) for seed in options.seeds
        ]
        seconds = time.monotonic() - started
    titles = ["greedy", "pass@1", f"pass@{options.attempts}", "truncated"]
    print("level" + "".join(f"{title:>20}" for title in titles))
    for level in (*problems.LEVELS, 0):
        columns = zip(*(result[level] for result in results), strict=True)
        cells = [f"{_mean(column):.1f} ({min(column):.1f}-{max(column):.1f})" for column in columns]
        print(f"{level or 'all':<5}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"{seconds:.0f} s for {len(options.seeds)} x {options.problems} problems")


if __name__ == "__main__":
    main()
