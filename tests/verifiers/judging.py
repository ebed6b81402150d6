"""Judges that ask the test server, with waits that a test can afford, and the replies that a judge may give."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.llm_judge import LlmJudge
from rsr_cli.verifiers.math_llm_as_judge import MathLlmAsJudge
from rsr_cli.verifiers.mcq_llm_as_judge import McqLlmAsJudge
from rsr_cli.verifiers.rubric import Rubric
from tests.samplers.drawing import QUICK
from tests.server import Ask, Reply

KEY = "sk-test-0123456789abcdef"


def prompt(text: str = "Why is the sky blue?", **metadata: Any) -> Prompt:
    return Prompt("sky", [{"role": "user", "content": text}], metadata)


def grade(score: Any, rationale: str = "It is clear.") -> str:
    return json.dumps({"rationale": rationale, "score": score})


def winner(choice: str) -> str:
    return json.dumps({"rationale": f"I prefer {choice}.", "winner": choice})


def says(*contents: str) -> Callable[[Ask], Reply]:
    """The judge's replies to requests one after the other; the last one from then on."""
    left = list(contents)
    return lambda _: Reply(left.pop(0) if len(left) > 1 else left[0])


async def verdicts(
    kind: type[LlmJudge | McqLlmAsJudge | MathLlmAsJudge | Rubric],
    base_url: str,
    replies: Iterable[str],
    of: Prompt | None = None,
    cache: Path | None = None,
    **options: Any,
) -> list[Verdict]:
    """The verdicts on these replies, by a judge that is made, entered and left."""
    judge = kind(**{"model": "judge", "base_url": base_url, "api_key": KEY, "timeout": 5.0, **options})
    policy = {**QUICK, "max_retries": options.get("max_retries", 2)}
    judge._retry_policy = RetryPolicy(**policy)
    if cache is not None:
        judge.cache_in(cache)
    async with judge:
        found = await judge.judge(of or prompt(), dict(enumerate(replies)))
    return [found[number] for number in sorted(found)]


def details(verdict: Verdict) -> dict[str, Any]:
    assert verdict.details is not None
    return dict(json.loads(verdict.details))
