"""Write the held-out problems of the quickstart recipe as input rows of rsr.

python recipes/tiny-model/make_problems.py [--seed 2026] [--math 200] [--mcq 60] [--out recipes/quickstart]
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rsr_cli.tiny.problems import Problem, generate

QUICKSTART = Path(__file__).resolve().parents[1] / "quickstart"


def rows(problems: Iterable[Problem], prefix: str) -> Iterable[dict[str, Any]]:
    """Input rows with ids `prefix-0001` onward."""
    for number, problem in enumerate(problems, 1):
        metadata: dict[str, Any] = {"answer": problem.answer, "level": problem.level}
        if problem.options is not None:
            metadata["options"] = problem.options
        messages = [{"role": "user", "content": problem.prompt()}]
        yield {"id": f"{prefix}-{number:04}", "messages": messages, "metadata": metadata}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--math", type=int, default=200, help="number of problems whose answer is a number")
    parser.add_argument("--mcq", type=int, default=60, help="number of multiple-choice problems")
    parser.add_argument("--out", type=Path, default=QUICKSTART)
    options = parser.parse_args()
    files = {
        "problems.jsonl": rows(generate(options.seed, options.math, "math"), "quickstart"),
        "problems_mcq.jsonl": rows(generate(options.seed + 1, options.mcq, "mcq"), "quickstart-mcq"),
    }
    for name, content in files.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in content]
        (options.out / name).write_text("".join(lines), encoding="utf-8")
        print(f"{options.out / name}: {len(lines)} problems")


if __name__ == "__main__":
    main()
