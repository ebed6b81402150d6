"""How fast replies are verified, beside a plain loop over Math-Verify with boxed golds.

    python tests/benchmarks/verify_speed.py [--rows 2000] [--plain-rows 200]

Replies of 500 and 8,000 characters, of each kind of answer, all distinct so that no cache of sympy helps. Half of them
are right. The rates are rows per CPU-second of one process; the pool's are rows per second of wall time on 1, 2, … and
all cores. The verdicts of both are counted against the truth.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import time
from collections.abc import Callable

from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.types import Prompt, Reply
from rsr_cli.verifiers.math_rlvr import MathRlvr

Row = tuple[str, str, bool]
LENGTHS = (500, 8_000)
SENTENCES = [
    "Let us set up the problem carefully before computing anything.",
    "We are given that \\( a_{n+1} = 2a_n + 3 \\), so the next terms follow one by one.",
    "Substituting \\( x = 4 \\) into the equation gives \\[ 3x + 7 = 19. \\]",
    "Adding the two parts, we get $12 + 35 = 47$ and not $48$ as one might think.",
    "Since the triangle is isosceles, its two base angles are equal to each other.",
    "Notice that $\\frac{1}{2} + \\frac{1}{3} = \\frac{5}{6}$, which will be useful later on.",
    "**Step 2:** we divide both sides by the common factor and simplify what is left.",
]


def asked(text: str, metadata: dict[str, str]) -> tuple[Reply, Prompt]:
    """A reply and its prompt, as a verifier gets them."""
    return Reply(text), Prompt("p", [], metadata)


def integer(random: random.Random) -> tuple[str, str, str]:
    """The gold, an equal form and a near miss."""
    number = random.randrange(10**4, 10**9)
    return str(number), f"{number:,}", str(number + 1)


def decimal(random: random.Random) -> tuple[str, str, str]:
    number = random.randrange(10**3, 10**8) / 1000
    return f"{number:.3f}", f"{number:.3f}0", f"{number + 0.1:.3f}"


def fraction_or_root(random: random.Random) -> tuple[str, str, str]:
    top, bottom = random.randrange(1, 10**5), random.randrange(2, 10**4)
    if random.random() < 0.5:
        return f"\\frac{{{top}}}{{{bottom}}}", f"{top}/{bottom}", f"\\frac{{{top + 1}}}{{{bottom}}}"
    return f"{top}\\sqrt{{{bottom}}}", f"\\sqrt{{{bottom}}}\\cdot {top}", f"{top}\\sqrt{{{bottom + 1}}}"


def expression(random: random.Random) -> tuple[str, str, str]:
    a, b, c = (random.randrange(2, 500) for _ in range(3))
    return f"{a}x^2 + {a * b + c}x + {b * c}", f"{b * c} + ({a * b + c})x + {a}x^2", f"{a}x^2 + {a * b + c}x - {b * c}"


def tuple_or_set(random: random.Random) -> tuple[str, str, str]:
    a, b, c = random.sample(range(1, 10**4), 3)
    if random.random() < 0.5:
        return f"({a}, \\frac{{{b}}}{{7}}, {c})", f"({a}, {b}/7, {c})", f"({c}, \\frac{{{b}}}{{7}}, {a})"
    return f"\\{{{a}, {b}, {c}\\}}", f"\\{{{c}, {a}, {b}\\}}", f"\\{{{a}, {b}, {c + 1}\\}}"


KINDS: dict[str, Callable[[random.Random], tuple[str, str, str]]] = {
    "integers": integer,
    "decimals": decimal,
    "fractions and roots": fraction_or_root,
    "expressions": expression,
    "tuples and sets": tuple_or_set,
}


def rows(kind: str, length: int, count: int) -> list[Row]:
    """`count` replies of about `length` characters that end in a boxed answer, their gold and whether it is right."""
    noise = random.Random(f"{kind} {length}")
    result: list[Row] = []
    for number in range(count):
        gold, equal, miss = KINDS[kind](noise)
        right = number % 2 == 0
        text = ""
        while len(text) < length - 60:
            text += noise.choice(SENTENCES) + noise.choice([" ", " ", "\n\n"])
        result.append((f"{text}\nTherefore, the answer is $\\boxed{{{equal if right else miss}}}$.", gold, right))
    return result


def plain_loop(rows: list[Row]) -> list[bool]:
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    return [
        bool(
            verify(
                parse(f"\\boxed{{{gold}}}", parsing_timeout=None),
                parse(response, parsing_timeout=None),
                timeout_seconds=None,
            )
        )
        for response, gold, _ in rows
    ]


def in_process(rows: list[Row]) -> list[bool]:
    verifier = MathRlvr()
    return [verifier.verify(response, {"answer": gold}).score == 1.0 for response, gold, _ in rows]


def rate(check: Callable[[list[Row]], list[bool]], rows: list[Row]) -> tuple[float, float]:
    """Rows per CPU-second, and the share of verdicts that are true."""
    start = time.process_time()
    verdicts = check(rows)
    seconds = time.process_time() - start
    return len(rows) / seconds, sum(
        verdict == right for verdict, (_, _, right) in zip(verdicts, rows, strict=True)
    ) / len(rows)


def pool_rate(rows: list[Row], workers: int) -> float:
    """Rows per second of wall time once the workers are up."""
    with ProcessPool(("math-rlvr", {}), workers=workers, time_limit=10, memory_limit_mb=2048) as pool:
        list(pool.map([asked("\\boxed{1}", {"answer": "1"})] * 20 * workers))
        time.sleep(2)
        start = time.perf_counter()
        for _ in pool.map(asked(response, {"answer": gold}) for response, gold, _ in rows):
            pass
        return len(rows) / (time.perf_counter() - start)


def _line(length: int, kind: str, plain: float, plain_true: str, ours: float, ours_true: str) -> str:
    return f"{length:10}  {kind:20} {plain:9.0f} {plain_true:>6} {ours:9.0f} {ours_true:>6} {ours / plain:6.0f}x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000, help="replies of each kind and length")
    parser.add_argument("--plain-rows", type=int, default=200, help="of those, for the plain loop")
    arguments = parser.parse_args()
    MathRlvr().warm_up()
    print(f"{'characters':>10}  {'kind':20} {'plain/s':>9} {'true':>6} {'rsr/s':>9} {'true':>6} {'ratio':>7}")
    mix: list[Row] = []
    for length in LENGTHS:
        plain_seconds = our_seconds = 0.0
        for kind in KINDS:
            data = rows(kind, length, arguments.rows)
            mix += data
            plain, plain_true = rate(plain_loop, data[: arguments.plain_rows])
            ours, ours_true = rate(in_process, data)
            plain_seconds += 1 / plain
            our_seconds += 1 / ours
            print(_line(length, kind, plain, f"{plain_true:.1%}", ours, f"{ours_true:.1%}"))
        count = len(KINDS)
        print(_line(length, "the mix", count / plain_seconds, "", count / our_seconds, ""))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    random.Random(0).shuffle(mix)
    alone = pool_rate(mix, 1)
    print(f"the pool, 1 worker: {alone:.0f} rows a second")
    for workers in sorted({2, cores // 2, cores} - {0, 1}):
        several = pool_rate(mix, workers)
        print(f"the pool, {workers} workers: {several:.0f} rows a second, {several / alone:.2f} times one worker")


if __name__ == "__main__":
    main()
