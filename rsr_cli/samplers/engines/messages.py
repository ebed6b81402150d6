"""What the sampler and its engines say to each other, and what an engine is to the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from rsr_cli.types import Message


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine is made from.

    `args` are the fields of vLLM's AsyncEngineArgs; `chat_template` is the template itself; `environment` is set in the
    engine's process before vLLM is imported; `trial` is a draw whose sampling fields are tried once at the start.
    """

    args: dict[str, Any]
    chat_template: str | None
    reasoning_parser: str | None
    environment: dict[str, str]
    trial: DrawRequest


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """One completion to be drawn. `fields` are sampling fields and those of the chat template."""

    messages: list[Message]
    max_tokens: int
    fields: dict[str, Any]
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """One completion: its text with the thinking apart, and how many tokens were read and written."""

    response: str | None
    reasoning: str | None
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The draw can't be done by any engine: its prompt is too long, say."""

    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What an engine says of itself once it has started."""

    max_num_seqs: int
    vllm_version: str


class EngineGone(Exception):
    """The engine died with the draw unfinished; another one can be asked."""


class EngineFailed(Exception):
    """The engine can't be started, or can't be used with these settings; the text says why."""


class Engine(Protocol):
    """A started engine, wherever it lives. Cancelling `draw` takes the request off the engine."""

    facts: Facts

    async def draw(self, draw: DrawRequest) -> Drawn | Refused:
        """Raises EngineGone."""
        ...

    async def steps(self) -> int:
        """How many steps the engine has made: it grows while anything is generated. Raises EngineGone."""
        ...

    def kill(self) -> None:
        """End the engine and every process of it, whatever it is doing."""
        ...
