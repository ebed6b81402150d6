import json
import random
import re
from pathlib import Path

import pytest

from rsr_cli.tiny import problems
from rsr_cli.tiny.problems import LEVELS, generate, make_problem, solution

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart"


def boxed(text: str) -> str:
    found = re.search(r"\\boxed\{(\w+)\}$", text)
    assert found is not None
    return found[1]


def test_same_seed_gives_the_same_problems() -> None:
    assert list(generate(7, 50)) == list(generate(7, 50))
    assert list(generate(7, 50)) != list(generate(8, 50))


def test_held_out_problems_are_never_trained_on() -> None:
    trained_on = {problem.question for problem in generate(1, 1000, held_out=False)}
    assert not trained_on & {problem.question for problem in generate(1, 1000)}


@pytest.mark.parametrize("level", LEVELS)
def test_the_sums_lead_to_the_answer(level: int) -> None:
    rng = random.Random(level)
    for _ in range(200):
        problem = make_problem(rng, level)
        steps = problem.steps()
        assert len(steps) == level
        for step in steps:
            exact = {
                "+": step.left + step.right,
                "-": step.left - step.right,
                "*": step.left * step.right,
                "/": step.left / step.right,
            }[step.op]
            assert step.result == exact > 0
        assert problem.answer == str(steps[-1].result)


def test_a_story_can_be_worked_out_from_its_text() -> None:
    sums = {
        r"gets (\d+) more": lambda x, a: x + a,
        r"loses (\d+) \w+\.": lambda x, a: x - a,
        r"Then \w+ has (\d+) times": lambda x, a: x * a,
        r"into (\d+) equal piles": lambda x, a: x // a,
        r"gives half of the": lambda x: x // 2,
        r"buys (\d+) bags with (\d+)": lambda x, a, b: x + a * b,
        r"gives (\d+) \w+ to each of (\d+)": lambda x, b, a: x - a * b,
        r"A friend who has (\d+) times": lambda x, a: x + a * x,
    }
    understood = 0
    for problem in generate(3, 400, "math"):
        first, *story, _ = problem.question.split(". ")
        amount = int(re.findall(r"\d+", first)[0])
        for sentence in story:
            for pattern, apply in sums.items():
                if match := re.search(pattern, sentence + "."):
                    amount = apply(amount, *map(int, match.groups()))
                    break
            else:
                break
        else:
            understood += 1
            assert problem.answer == str(amount)
    assert understood > 50


def test_multiple_choice_has_one_right_option() -> None:
    for problem in generate(4, 200, "mcq"):
        assert problem.options is not None
        assert len(set(problem.options.values())) == len(problem.options) == 4
        assert problem.options[problem.answer] == str(problem.steps()[-1].result)
        assert all(f"\n{letter}) {text}" in problem.prompt() for letter, text in problem.options.items())


def test_only_careless_solutions_are_wrong() -> None:
    rng = random.Random(5)
    wrong = dict.fromkeys(LEVELS, 0)
    for problem in generate(5, 600):
        for style in ("bare", "terse", "steps", "rambling"):
            assert boxed(solution(problem, style, rng)) == problem.answer
        wrong[problem.level] += boxed(solution(problem, "careless", rng)) != problem.answer
    assert wrong[1] < wrong[3] < wrong[5]


def test_training_pairs_hold_the_question() -> None:
    rng = random.Random(6)
    pairs = [(problem, *problems.training_pair(problem, rng)) for problem in generate(6, 200)]
    assert all(messages[-1]["content"].startswith(problem.prompt()) for problem, messages, _ in pairs)
    assert {message["role"] for _, messages, _ in pairs for message in messages} == {"system", "user"}


@pytest.mark.parametrize(("name", "kind", "seed"), [("problems", "math", 2026), ("problems_mcq", "mcq", 2027)])
def test_the_quickstart_files_are_what_the_recipe_makes(name: str, kind: problems.Kind, seed: int) -> None:
    lines = (QUICKSTART / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for row, problem in zip(rows, generate(seed, len(rows), kind), strict=True):
        assert row["messages"] == [{"role": "user", "content": problem.prompt()}]
        assert row["metadata"]["answer"] == problem.answer
        assert row["metadata"]["level"] == problem.level
        assert row["metadata"].get("options") == problem.options
    assert len({row["id"] for row in rows}) == len(rows)
