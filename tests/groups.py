"""Groups for tests, written as what each attempt came to."""

from __future__ import annotations

from typing import Any

from rsr_cli.types import Attempt, Group, Prompt, Reply, Verdict


def group(*outcomes: float | str | tuple[float | None, str] | None, reasoning: str | None = None) -> Group:
    """A score per attempt (None: not known), with a text where two should be alike; or `truncated`, `error`."""
    made = Group(Prompt("p", [{"role": "user", "content": "Why?"}], {"answer": "42"}))
    for number, outcome in enumerate(outcomes):
        score, text = outcome if isinstance(outcome, tuple) else (outcome, f"text {number}")
        failed = outcome if isinstance(outcome, str) else None
        made.attempts[number] = Attempt(
            id="p",
            attempt=number,
            step=0,
            step_size=len(outcomes),
            response=None if failed else text,
            reasoning=reasoning,
            finish_reason={"truncated": "length", "error": "error"}.get(failed or "", "stop"),
            error="HTTP 500 after 3 tries" if failed == "error" else None,
            model="m",
            prompt_tokens=0,
            completion_tokens=10,
        )
        if not failed and not isinstance(score, str):
            made.verdicts[number] = Verdict(score, "scored" if score is not None else "timeout")
    return made


def asked(text: str, metadata: dict[str, Any] | None = None) -> tuple[Reply, Prompt]:
    """A reply and its prompt, as a verifier gets them."""
    return Reply(text), Prompt("p", [], metadata or {})
