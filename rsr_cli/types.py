"""The nouns of rsr: prompt, completion, attempt, verdict, group."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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

    `response` is None where there is no usable text: the completion was truncated and dropped, filtered, empty
    beside its reasoning, or failed (`error` then says why). `tool_calls` is the JSON of the model's tool calls, a list
    in OpenAI's form; without a text beside them the response is "". `latency_s` is in seconds. `params` is the JSON of
    the sampling parameters it was drawn with.
    """

    attempt: int
    response: str | None
    finish_reason: str
    model: str
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


class Sampler(Protocol):
    """A backend. Entered as an async context; `sample` yields one completion per attempt, in order of arrival.

    It retries what is worth a retry. What fails for good for this prompt alone comes as a completion with `error`;
    what stops the whole run (a bad key, a dead server) is raised as a `BackendError`.

    `capacity` is how many calls of `sample` it can keep busy now, which may change from call to call. Where `together`
    is true a call with several attempts is one request, else each attempt is best a call of its own. A class that says
    `whole_steps = True` takes so long over a request that a step is better asked for as a whole.
    """

    @property
    def capacity(self) -> int: ...

    @property
    def together(self) -> bool: ...

    async def __aenter__(self) -> Sampler: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]: ...


class Verifier(Protocol):
    """Scores one reply. Runs in a worker process that may be killed: it keeps no state that matters.

    `response` is the reply alone, its thinking taken off; `metadata` is the prompt's. A bool or a float may be
    returned in place of a `Verdict`.
    """

    def verify(self, response: str, metadata: dict[str, Any]) -> Verdict | float | bool: ...


class Judge(Protocol):
    """A verifier that asks a model. It runs in our own process and is entered as an async context.

    `judge` gets the replies to score by attempt number and returns a verdict for each of them; it never raises for
    one reply, whose verdict is then unknown. Where `compares` is true a verdict depends on the other replies of the
    group, and all of them are handed in together.
    """

    compares: bool

    async def __aenter__(self) -> Judge: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def judge(self, prompt: Prompt, replies: Mapping[int, str]) -> dict[int, Verdict]: ...


class Formatter(Protocol):
    """Turns a group into training rows, and says when a group holds all it needs."""

    def is_satisfied(self, group: Group) -> bool: ...

    def format(self, group: Group) -> list[dict[str, Any]]: ...
