"""The nouns of rsr: prompt, completion, attempt, verdict, group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Message = dict[str, Any]
Status = Literal["scored", "no_answer", "timeout", "error"]
REFERENCE = -1
"""Stands for the prompt's reference completion (`metadata.reference`) where attempts are named by number."""
EndReason = Literal["early_stop", "max_rollouts", "max_steps", "budget", "error"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One input row. `messages` is the OpenAI list exactly as it is sent."""

    id: str
    messages: list[Message]
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a backend returned for one attempt, or why it returned nothing.

    `attempt` and `model` are filled in by `Sampler.sample` where `complete` leaves them out. `response` is None where
    there is no usable text: the completion was truncated and dropped, filtered, empty beside its reasoning, or failed
    (`error` then says why). `tool_calls` is the JSON of the model's tool calls, a list in OpenAI's form; without a text
    beside them the response is "". `latency_s` is in seconds. `params` is the JSON of the sampling parameters it was
    drawn with.
    """

    attempt: int = 0
    response: str | None
    finish_reason: str = "stop"
    model: str = ""
    reasoning: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seed: int | None = None
    error: str | None = None
    latency_s: float = 0.0
    params: str = "{}"
    tool_calls: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Completion):
    """A completion in its place: which prompt, which step, and how many attempts that step asked for.

    `source` names the import a completion came from, None where rsr drew it.
    """

    id: str
    step: int
    step_size: int
    source: str | None = None

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length"

    @property
    def valid(self) -> bool:
        """A valid attempt is a rollout: there is a text, it is whole, nothing failed."""
        return self.response is not None and self.error is None and not self.truncated


class Reply(str):
    """What a model says after its thinking, as verifiers get it: the text, with what came beside it.

    `thinking` is None where there was none; `completion_tokens` counts the thinking too, and is None where the backend
    gave no count.
    """

    __slots__ = ("completion_tokens", "finish_reason", "thinking")
    thinking: str | None
    finish_reason: str
    completion_tokens: int | None

    def __new__(
        cls, text: str, thinking: str | None = None, finish_reason: str = "stop", completion_tokens: int | None = None
    ) -> Reply:
        self = super().__new__(cls, text)
        self.thinking, self.finish_reason, self.completion_tokens = thinking, finish_reason, completion_tokens
        return self

    @property
    def text(self) -> str:
        """The text alone, as a plain str."""
        return str(self)

    def __reduce__(self) -> tuple[type[Reply], tuple[Any, ...]]:
        return Reply, (str(self), self.thinking, self.finish_reason, self.completion_tokens)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of one response.

    `score` is None exactly where `status` is timeout or error: a failure of the machinery is never a wrong answer.
    """

    score: float | None
    status: Status = "scored"
    extracted_answer: str | None = None
    explanation: str | None = None
    details: str | None = None
    """JSON of what stands behind it, where there is more: a judge's prompt, votes and tokens, an ensemble's parts."""

    @classmethod
    def no_answer(cls, explanation: str | None = None) -> Verdict:
        return cls(0.0, "no_answer", None, explanation)

    @classmethod
    def unknown(cls, status: Literal["timeout", "error"], explanation: str) -> Verdict:
        return cls(None, status, None, explanation)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A valid attempt and its verdict, None while it has not been scored."""

    attempt: Attempt
    verdict: Verdict | None

    @property
    def response(self) -> str:
        assert self.attempt.response is not None
        return self.attempt.response

    @property
    def score(self) -> float | None:
        return self.verdict.score if self.verdict else None


@dataclass(slots=True)
class Group:
    """One prompt's attempts, by attempt number, and the verdicts on them."""

    prompt: Prompt
    attempts: dict[int, Attempt] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    """Attempts that failed for good and are to be asked for once more."""

    def rollouts(self) -> Iterator[Rollout]:
        """The valid attempts in the order of their numbers."""
        for number in sorted(self.attempts):
            attempt = self.attempts[number]
            if attempt.valid:
                yield Rollout(attempt, self.verdicts.get(number))

    def reference(self) -> Rollout | None:
        """The prompt's reference completion, as a rollout that was not drawn; None where there is none."""
        text = self.prompt.metadata.get("reference")
        if not isinstance(text, str) or not text.strip():
            return None
        attempt = Attempt(
            id=self.prompt.id,
            attempt=REFERENCE,
            step=REFERENCE,
            step_size=0,
            response=text,
            finish_reason="stop",
            model="reference",
        )
        return Rollout(attempt, self.verdicts.get(REFERENCE))

    def scored(self, *, with_reference: bool = False) -> list[tuple[Rollout, float]]:
        """The rollouts whose score is known, the reference first where it is asked for."""
        reference = self.reference() if with_reference else None
        rollouts = [*([reference] if reference else []), *self.rollouts()]
        return [(rollout, rollout.score) for rollout in rollouts if rollout.score is not None]


class Postponed(Exception):
    """Raised by a sampler: the attempts it was asked for are noted, and a later run will get them."""
