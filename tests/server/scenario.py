"""What the test server answers and how it behaves: the part that a test sets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Ask:
    """One sample that is asked for. `k` is the request's seed, or how often this prompt was sampled before."""

    prompt: str
    k: int
    body: dict[str, Any]

    def chance(self, salt: str = "") -> float:
        """A number in [0, 1) that depends on the prompt and k alone."""
        return uniform(f"{salt}\0{self.prompt}\0{self.k}")


@dataclass(frozen=True, slots=True)
class Reply:
    content: str | None
    finish_reason: Any = "stop"
    reasoning: str | None = None
    completion_tokens: int | None = None
    """None: one per word."""
    tool_calls: list[dict[str, Any]] | None = None


@dataclass(slots=True)
class Scenario:
    """All of it may be changed while the server runs."""

    reply: Callable[[Ask], Reply] = field(default_factory=lambda: arithmetic_reply)
    latency: Callable[[Ask], float] | None = None
    """Seconds of work for a request, given its first sample."""
    slots: int | None = None
    """How many requests are worked on at a time, the others queue; fixed at the start. None: all."""
    fault: Callable[[int], str | None] | None = None
    """The fault of the request with this number, None for none."""
    hang_s: float = 3600.0
    """How long a hang hangs, and how long a slow answer takes."""
    model: str = "test-model"
    api_key: str | None = None
    """The only key that is let in."""
    n: Literal["serve", "ignore", "refuse", "double"] = "serve"
    seed: Literal["serve", "refuse"] = "serve"
    continuing: Literal["serve", "refuse"] = "serve"
    """Whether a request may leave its last message open."""
    limit_field: Literal["both", "max_completion_tokens"] = "both"
    temperature: Literal["serve", "refuse"] = "serve"
    context_chars: int | None = None
    """Prompts of more characters than this are refused as too long."""
    only_model: bool = False
    """Answer 404 for any other model name."""
    reasoning_field: str = "reasoning_content"
    keep_alive_blanks: int = 0
    """Blank lines sent ahead of the answer."""
    usage: bool = True
    batch_fate: Callable[[int], str] = field(default_factory=lambda: lambda number: "completed")
    """What becomes of the batch with this number, from 0: completed, expired, cancelled (both half done), failed."""
    batch_document: Callable[[dict[str, Any]], Any] = field(default_factory=lambda: lambda document: document)
    """What the server says of a batch, in another dialect."""
    batch_file_pending: int = 0
    """How often a batch is refused because its file is not processed yet."""
    batch_answers: Callable[[bytes], bytes] = field(default_factory=lambda: lambda content: content)
    """A file of answers, in another dialect."""
    batch_looks: int = 1
    """How often a batch is looked at in vain."""


def arithmetic_prompt(a: int, b: int, tag: str = "") -> str:
    """A prompt that `arithmetic_reply` knows the answer of; the tag tells equal sums apart."""
    return f"{tag}What is {a} + {b}?"


def arithmetic_reply(ask: Ask) -> Reply:
    """The right sum with the prompt's own pass rate, spread over [0, 1) from prompt to prompt; else one too many."""
    numbers = re.search(r"What is (-?\d+) \+ (-?\d+)", ask.prompt)
    total = int(numbers[1]) + int(numbers[2]) if numbers else 42
    if ask.chance("passes") >= pass_rate(ask.prompt):
        total += 1
    return Reply(f"Sample {ask.k} says that the sum is \\boxed{{{total}}}")


def written_out(text: str, reasoning: str | None = None, *, parser: bool = True) -> Callable[[Ask], Reply]:
    """The same long reply to everything, a token per word: cut at max_tokens, gone on with where the last message is
    left open. A reasoning parser tells thinking from reply as servers do, by what was just generated; without one the
    thinking stays in the text.
    """
    whole = f"<think>\n{reasoning}\n</think>\n\n{text}" if reasoning else text

    def reply(ask: Ask) -> Reply:
        body = ask.body
        start = body["messages"][-1]["content"] if body.get("continue_final_message") else ""
        assert whole.startswith(start), f"{start!r} was never written"
        tokens = re.findall(r"\s*\S+", whole[len(start) :])
        limit = body.get("max_tokens") or body["max_completion_tokens"]
        said = "".join(tokens[:limit])
        end = "stop" if len(tokens) <= limit else "length"
        count = min(len(tokens), limit)
        if not (reasoning and parser):
            return Reply(said, end, completion_tokens=count)
        thinking, closed, rest = said.removeprefix("<think>\n").partition("\n</think>")
        return Reply(rest.removeprefix("\n\n") if closed else None, end, thinking, count)

    return reply


def pass_rate(prompt: str) -> float:
    return uniform(f"pass rate\0{prompt}")


def uniform(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48
