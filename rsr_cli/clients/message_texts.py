"""The text and the thinking in a message, in whatever shape a service sends them."""

from __future__ import annotations

from typing import Any

from rsr_cli.clients.failures import Failure, Fault

_THINKING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_THINKING_PARTS = ("thinking", "reasoning", "reasoning_content", "reasoning.text", "reasoning.summary", "thought")
_TEXTS = ("text", "content", "thinking", "reasoning", "reasoning_content", "summary", "refusal", "value")
_DEPTH = 4


def read_texts(message: dict[str, Any]) -> tuple[str | None, str | None]:
    """The text, None where there is none, and the thinking, None where it is empty or not apart.

    Raises a Failure where the content is there but no text.
    """
    thinking = next((text for name in _THINKING if (text := _joined(message.get(name)))), None)
    content = message.get("content")
    if content is None:
        refusal = message.get("refusal")  # the model's own answer, in a field of its own
        return (refusal if isinstance(refusal, str) and refusal.strip() else None), thinking
    if isinstance(content, str):
        return content, thinking
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, str | dict) for part in parts):
        raise Failure(Fault.SERVER, "the content is no text", paid=True)
    thoughts = [part for part in parts if _is_thought(part)]
    texts = [text for part in parts if not _is_thought(part) and (text := _joined(part)) is not None]
    if not texts and not thoughts and not all(_has_type(part) for part in parts):
        raise Failure(Fault.SERVER, "the content is no text", paid=True)
    return ("".join(texts) if texts else None), thinking or _joined(thoughts) or None


def _is_thought(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(kind := part.get("type"), str) and kind in _THINKING_PARTS


def _has_type(part: Any) -> bool:
    """It is a part of a known form, such as a tool call, though it holds no text."""
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def _joined(value: Any, depth: int = _DEPTH) -> str | None:
    """The texts in a value of any shape, None where it holds none."""
    if isinstance(value, str):
        return value
    if depth and isinstance(value, list):
        texts = [text for item in value if (text := _joined(item, depth - 1)) is not None]
        return "".join(texts) if texts else None
    if depth and isinstance(value, dict):
        return next((text for name in _TEXTS if (text := _joined(value.get(name), depth - 1)) is not None), None)
    return None
