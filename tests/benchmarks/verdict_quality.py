"""How often the rule verifiers err on labelled real answers, per source, in percent.

    python tests/benchmarks/verdict_quality.py [FOLDER]

FOLDER holds math_dev.jsonl, mcq_dev.jsonl and forms_dev.jsonl (by default
../shared/verifier-data beside the project). Beside the
figures stand the best baselines of its README. Nothing to measure is no failure: the data is not part of the project.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.reply import final_reply
from rsr_cli.types import Prompt, Reply

FILES = {"math_dev.jsonl": "math-rlvr", "mcq_dev.jsonl": "mcq-rlvr"}
BASELINES = {
    "math-rlvr": "best baseline (Math-Verify, boxed gold): 94.0 / 4.1 / 7.4",
    "mcq-rlvr": "best baselines: last letter 84.8 / 13.2 / 17.8, last bracketed letter 77.0 / 2.4 / 50.2",
}


def asked(text: str, metadata: dict[str, Any]) -> tuple[Reply, Prompt]:
    """A reply and its prompt, as a verifier gets them."""
    return Reply(text), Prompt("p", [], metadata)


def main(folder: Path) -> None:
    for name, verifier in FILES.items():
        path = folder / name
        if not path.exists():
            print(f"{path} is not here: nothing to measure")
            continue
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        with ProcessPool((verifier, {}), workers=None, time_limit=10, memory_limit_mb=4096) as pool:
            verdicts = pool.map(
                asked(
                    final_reply(record["response"]) or "", {"answer": record["gold"], "options": record.get("options")}
                )
                for record in records
            )
            report(verifier, records, [verdict.score == 1.0 for verdict in verdicts])
    if (forms := folder / "forms_dev.jsonl").exists():
        report_forms(forms)


def report(verifier: str, records: list[dict[str, Any]], accepted: list[bool]) -> None:
    groups: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for record, verdict in zip(records, accepted, strict=True):
        outcome = (bool(record["label"]), verdict)
        groups[record["source"]].append(outcome)
        groups["~all"].append(outcome)
        groups["~of these policy" if record.get("policy") else "~all but policy"].append(outcome)
    print(f"{verifier}: accuracy / false accept / false reject; {BASELINES[verifier]}")
    for name in sorted(groups):
        outcomes = groups[name]
        wrong, right = [v for label, v in outcomes if not label], [v for label, v in outcomes if label]
        good = sum(label == verdict for label, verdict in outcomes)
        print(
            f"  {name.lstrip('~'):24}{len(outcomes):6}{100 * good / len(outcomes):7.1f} "
            f"/ {share(sum(wrong), len(wrong))} / {share(len(right) - sum(right), len(right))}"
        )


def report_forms(path: Path) -> None:
    """The answer forms after public bug reports of graders: false accept / false reject, and the classes that err."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for kind, verifier in (("math", "math-rlvr"), ("mcq", "mcq-rlvr")):
        chosen = [record for record in records if record["kind"] == kind]
        with ProcessPool((verifier, {}), workers=None, time_limit=10, memory_limit_mb=4096) as pool:
            verdicts = list(
                pool.map(
                    asked(final_reply(row["response"]) or "", {"answer": row["gold"], "options": row.get("options")})
                    for row in chosen
                )
            )
        accepted = [verdict.score == 1.0 for verdict in verdicts]
        wrong = [ok for record, ok in zip(chosen, accepted, strict=True) if not record["label"]]
        right = [ok for record, ok in zip(chosen, accepted, strict=True) if record["label"]]
        rejected = len(right) - sum(right)
        print(f"{verifier}, forms: {share(sum(wrong), len(wrong))} / {share(rejected, len(right))}")
        errors = Counter(
            record["class"] for record, ok in zip(chosen, accepted, strict=True) if ok != bool(record["label"])
        )
        for name, count in errors.most_common():
            print(f"  {name:48}{count:4}")


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} ({part})" if whole else "-"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[3] / "shared/verifier-data")
