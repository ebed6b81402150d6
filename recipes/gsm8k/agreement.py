"""Compare the verdicts in a work dir with the is_correct labels of GSM8K's recorded solutions.

    python recipes/gsm8k/agreement.py WORK_DIR example_model_solutions.jsonl

Prints the agreement per model and every disagreement.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow.dataset as ds

sys.path.insert(0, str(Path(__file__).parent))
from transform import MODELS, solutions


def main(work_dir: Path, recorded: Path) -> None:
    labels: dict[tuple[str, str], tuple[bool, str]] = {}
    with recorded.open(encoding="utf-8") as file:
        for line in file:
            item = json.loads(line)
            for model, row in zip(MODELS, solutions(item), strict=True):
                labels[row["id"], model] = (item[model]["is_correct"], row["response"])
    models = {
        (row["id"], row["attempt"]): row["model"]
        for row in ds.dataset(work_dir / "rollout", format="parquet", exclude_invalid_files=True).to_table().to_pylist()
    }
    golds = {
        row["id"]: json.loads(row["metadata"])["answer"]
        for row in ds.dataset(work_dir / "data", format="parquet").to_table().to_pylist()
    }
    agree: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in ds.dataset(work_dir / "score", format="parquet").to_table().to_pylist():
        model = models[row["id"], row["attempt"]]
        label, response = labels[row["id"], model]
        total[model] += 1
        agree[model] += (row["score"] == 1.0) == label
        if (row["score"] == 1.0) != label:
            print(
                f"{row['id']} {model}: label {label}, gold {golds[row['id']]!r}, "
                f"{row['status']} {row['score']}, extracted {row['extracted_answer']!r}, ends {response[-60:]!r}"
            )
    for model in MODELS:
        print(f"{model}: {agree[model]}/{total[model]}")
    print(f"agreement: {agree.total()}/{total.total()} = {100 * agree.total() / total.total():.3f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
