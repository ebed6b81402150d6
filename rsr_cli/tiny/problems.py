"""Arithmetic word problems of five levels, and worked solutions to them in several styles.

A level is a number of reasoning steps: level 1 takes one sum, level 5 takes five, with larger numbers. The tiny model
is trained on these problems, and the quickstart recipe samples problems that it was not trained on. The same seed
gives the same problems on every machine.
"""

import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["math", "mcq"]
Style = Literal["bare", "terse", "steps", "careless", "rambling"]

LEVELS = (1, 2, 3, 4, 5)
LETTERS = ("A", "B", "C", "D")

# How the solutions of the training set are spread. No opening words are as frequent as the bare answer, so a greedy
# model answers without working and errs, while sampling finds the careful solutions: that gap is what a round of
# rejection sampling closes.
STYLE_SHARES: dict[Style, float] = {"bare": 0.30, "terse": 0.25, "steps": 0.25, "careless": 0.20}

# Chance that one step of a careless solution goes wrong, and share of solutions that ramble, by level.
SLIP_CHANCE = {1: 0.03, 2: 0.07, 3: 0.12, 4: 0.20, 5: 0.30}
RAMBLING_SHARE = {1: 0.0, 2: 0.0, 3: 0.01, 4: 0.05, 5: 0.08}

MCQ_SHARE = 0.3

# Instructions that people put around a question. A part of the training set has them, so that they do no harm.
SYSTEM_PROMPTS = ("You are a helpful assistant.", "You are a careful math tutor.")
SUFFIXES = (
    "Put your final answer in \\boxed{}.",
    "Please reason step by step, and put your final answer within \\boxed{}.",
)

_NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Iris", "Jonas", "Lena", "Marco")
_THINGS = ("apples", "books", "cards", "coins", "eggs", "pens", "shells", "stamps", "stickers", "marbles")

# Largest starting amount and largest change of a step, by level.
_START = {1: 20, 2: 40, 3: 60, 4: 90, 5: 150}
_CHANGE = {1: 20, 2: 30, 3: 50, 4: 90, 5: 150}
_LARGEST_TOTAL = {1: 99, 2: 200, 3: 400, 4: 900, 5: 2000}


@dataclass(frozen=True)
class Step:
    """One sum of a solution: `left op right = result`."""

    left: int
    op: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right} = {self.result}"


@dataclass(frozen=True)
class _Event:
    """A sentence of a story and what it does to the amount that the story is about.

    `plan` lists the sums in order. Operands are `x` (the amount before the event), `a` and `b` (numbers in the
    sentence) and `y` (the result of the event's first sum).
    """

    text: str
    plan: tuple[str, ...]


_EVENTS = (
    _Event("{name} gets {a} more {things}.", ("x + a",)),
    _Event("{name} finds {a} {things} on the way home.", ("x + a",)),
    _Event("A friend gives {name} {a} {things}.", ("x + a",)),
    _Event("{name} loses {a} {things}.", ("x - a",)),
    _Event("{name} gives {a} {things} to a friend.", ("x - a",)),
    _Event("{name} sells {a} {things} at the market.", ("x - a",)),
    _Event("Then the number of {things} doubles.", ("x * 2",)),
    _Event("Then {name} has {a} times as many {things}.", ("x * a",)),
    _Event("{name} puts the {things} into {a} equal piles and keeps one pile.", ("x / a",)),
    _Event("{name} gives half of the {things} away.", ("x / 2",)),
    _Event("{name} buys {a} bags with {b} {things} in each bag.", ("a * b", "x + y")),
    _Event("On each of {a} days {name} finds {b} {things}.", ("a * b", "x + y")),
    _Event("{name} fills {a} boxes with {b} {things} each and sends the boxes away.", ("a * b", "x - y")),
    _Event("{name} gives {b} {things} to each of {a} friends.", ("a * b", "x - y")),
    _Event("{name} gets {a} {things} from one friend and {b} from another.", ("a + b", "x + y")),
    _Event("A friend who has {a} times as many {things} adds them all.", ("x * a", "x + y")),
    _Event("{name} loses {a} {things} and then {b} more.", ("a + b", "x - y")),
)

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left // right,
}


@dataclass(frozen=True)
class Problem:
    """A word problem with its answer and the sums that lead there.

    `answer` is a whole number, or a letter of `options` if `kind` is `mcq`. `plan` holds, for each step, the operator
    and where its operands come from (see `_resolve`), so that a slip in one step can be carried through the next ones.
    """

    question: str
    answer: str
    level: int
    kind: Kind
    options: dict[str, str] | None
    plan: tuple[tuple[str, str, str], ...]

    def prompt(self) -> str:
        """The text of the user's message: the question and, for multiple choice, the options."""
        if self.options is None:
            return self.question
        return "\n".join([self.question, *(f"{letter}) {text}" for letter, text in self.options.items())])

    def steps(self) -> list[Step]:
        """The sums of the correct solution, in order."""
        return _work(self.plan, lambda result: result)


def generate(seed: int, count: int, kind: Kind | None = None, *, held_out: bool = True) -> Iterator[Problem]:
    """Yield `count` problems with levels evenly spread; `kind` None mixes both kinds, `MCQ_SHARE` of them mcq.

    The question decides on which side of the split it falls, so whatever the seeds, a held-out problem was never
    trained on.
    """
    rng = random.Random(f"problems-{seed}")
    while count > 0:
        problem = make_problem(rng, rng.choice(LEVELS), kind or ("mcq" if rng.random() < MCQ_SHARE else "math"))
        if (zlib.crc32(problem.question.encode()) % 10 == 0) == held_out:
            count -= 1
            yield problem


def make_problem(rng: random.Random, level: int, kind: Kind = "math") -> Problem:
    """One problem of `level` (1 to 5) steps. Stories whose amounts turn negative, broken or large are drawn again."""
    while True:
        problem = _draw_story(rng, level)
        if problem is not None:
            return problem if kind == "math" else _with_options(rng, problem)


def solution(problem: Problem, style: Style, rng: random.Random) -> str:
    """A worked answer to the problem, which ends in `\\boxed{}`. Only the style `careless` may end in a wrong one."""
    if style == "bare":
        return f"\\boxed{{{problem.answer}}}"
    if style == "careless":
        chance = SLIP_CHANCE[problem.level]
        steps = _work(problem.plan, lambda result: _slip(rng, result) if rng.random() < chance else result)
    else:
        steps = problem.steps()
    if style == "terse":
        working = f"{steps[-1]}."
    elif style == "rambling":
        working = _ramble(steps, rng)
    else:
        working = _spell_out(steps, rng)
    return f"{working} {_conclude(problem, steps[-1].result)}"


def training_pair(problem: Problem, rng: random.Random) -> tuple[list[dict[str, str]], str]:
    """The messages of one training example, some with instructions around the question, and a solution in any style."""
    messages = [{"role": "user", "content": problem.prompt()}]
    if rng.random() < 0.1:
        messages[0]["content"] += rng.choice(("\n", " ", "\n\n")) + rng.choice(SUFFIXES)
    if rng.random() < 0.05:
        messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM_PROMPTS + SUFFIXES)})
    if rng.random() < RAMBLING_SHARE[problem.level]:
        return messages, solution(problem, "rambling", rng)
    style = rng.choices(list(STYLE_SHARES), list(STYLE_SHARES.values()))[0]
    return messages, solution(problem, style, rng)


def _draw_story(rng: random.Random, level: int) -> Problem | None:
    """A story of `level` steps, or None if a draw does not work out in whole numbers of a reasonable size."""
    words = {"name": rng.choice(_NAMES), "things": rng.choice(_THINGS)}
    amount = rng.randint(3, _START[level])
    sentences = [f"{words['name']} has {amount} {words['things']}."]
    plan: list[tuple[str, str, str]] = []
    current = str(amount)
    while len(plan) < level:
        event = rng.choice(_EVENTS)
        if len(plan) + len(event.plan) > level:
            continue
        numbers = _draw_numbers(rng, event, level)
        sentences.append(event.text.format(**words, **numbers))
        operands = {"x": current, "y": f"#{len(plan)}"} | {key: str(value) for key, value in numbers.items()}
        for sum_ in event.plan:
            left, op, right = sum_.split()
            plan.append((operands.get(left, left), op, operands.get(right, right)))
        current = f"#{len(plan) - 1}"
    steps = _work(plan, lambda result: result)
    for step in steps:
        if not 1 <= step.result <= _LARGEST_TOTAL[level] or (step.op == "/" and step.left % step.right):
            return None
    sentences.append(f"How many {words['things']} does {words['name']} have now?")
    return Problem(" ".join(sentences), str(steps[-1].result), level, "math", None, tuple(plan))


def _draw_numbers(rng: random.Random, event: _Event, level: int) -> dict[str, int]:
    """Numbers for the sentence: small ones where they multiply or divide, up to `_CHANGE` where they are added."""
    sums = "".join(event.plan)
    if "a * b" in sums:
        return {"a": rng.randint(2, 5 + level), "b": rng.randint(2, 9 + 2 * level)}
    if "* a" in sums or "/ a" in sums:
        return {"a": rng.randint(2, 3 + level)}
    return {"a": rng.randint(2, _CHANGE[level]), "b": rng.randint(2, _CHANGE[level])}


def _work(plan: Sequence[tuple[str, str, str]], write_down: Callable[[int], int]) -> list[Step]:
    """Carry out the plan; `write_down` turns a step's true result into the one that is written and carried on."""
    steps: list[Step] = []
    for left_source, op, right_source in plan:
        left, right = _resolve(left_source, steps), _resolve(right_source, steps)
        steps.append(Step(left, op, right, write_down(_OPERATIONS[op](left, right))))
    return steps


def _resolve(source: str, steps: list[Step]) -> int:
    """An operand: `#k` is the result of step k, anything else a number of the question."""
    return steps[int(source[1:])].result if source.startswith("#") else int(source)


def _slip(rng: random.Random, result: int) -> int:
    """A near miss of `result`, at least 1."""
    return max(1, result + rng.choice((-10, -2, -1, 1, 2, 10)))


def _with_options(rng: random.Random, problem: Problem) -> Problem:
    """The same problem as multiple choice, with four numbers in a row as options.

    One subtraction then finds the letter. Looking a number up among options in any order is more than a model of this
    size learns.
    """
    right = int(problem.answer)
    first = max(1, right - rng.randrange(len(LETTERS)))
    options = {letter: str(first + offset) for offset, letter in enumerate(LETTERS)}
    return Problem(problem.question, LETTERS[right - first], problem.level, "mcq", options, problem.plan)


def _conclude(problem: Problem, result: int) -> str:
    """The box for a result; for multiple choice the box with the nearest letter, after the sum that finds it."""
    if problem.options is None:
        return f"\\boxed{{{result}}}"
    first = int(problem.options["A"])
    letter = LETTERS[max(0, min(result - first, len(LETTERS) - 1))]
    return f"{result} - {first} = {result - first}. \\boxed{{{letter}}}"


def _spell_out(steps: list[Step], rng: random.Random) -> str:
    """Every sum in its own sentence, with one of a few ways to begin."""
    opening, link = rng.choice(
        (("First,", "Then"), ("We start with", "Next,"), ("Step by step:", "So"), ("Now", "Now"))
    )
    return " ".join(f"{link if index else opening} {step}." for index, step in enumerate(steps))


def _ramble(steps: list[Step], rng: random.Random) -> str:
    """The working with so many second thoughts that it often runs past a limit of 200 tokens."""
    parts = ["Hmm, let me think."]
    for _ in range(rng.randint(3, 6)):
        for step in steps:
            parts.append(f"{step}.")
            if rng.random() < 0.4:
                parts.append(rng.choice(("Wait, let me check that.", "Is that right? I think so.", "Hmm, yes.")))
        parts.append(rng.choice(("Let me check that again from the start.", "Wait, once more to be sure.")))
    parts.extend(f"{step}." for step in steps)
    return " ".join(parts)
