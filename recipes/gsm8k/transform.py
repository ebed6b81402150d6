"""GSM8K's own rows as rsr reads them: the questions, and the recorded solutions that come with the dataset."""

from __future__ import annotations

import hashlib
from typing import Any

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def question(item: dict[str, Any]) -> dict[str, Any]:
    """A row of test.jsonl or train.jsonl; the gold answer stands behind ####."""
    return {
        "id": _id(item["question"]),
        "messages": [{"role": "user", "content": item["question"]}],
        "metadata": {"answer": item["answer"].rpartition("####")[2].strip()},
    }


def solutions(item: dict[str, Any]) -> list[dict[str, Any]]:
    """A row of example_model_solutions.jsonl, for `rsr import --transform`: four recorded completions of a question."""
    return [
        {"id": _id(item["question"]), "response": item[model]["solution"], "finish_reason": "stop", "model": model}
        for model in MODELS
    ]


def _id(question: str) -> str:
    """The rows bear no id: the question names itself, so that both files agree."""
    return "gsm8k-" + hashlib.sha256(question.encode()).hexdigest()[:12]
