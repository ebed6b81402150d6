"""The text of a chat message, one way for judges, templates, training rows, estimates and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message: its content, or the texts of its parts one after the other.

    A part of another kind is named in brackets, such as `[image_url]`; a message without content is "".
    """
    content = message.get("content")
    if content is None:
        return ""
    if not isinstance(content, list):
        return str(content)
    return "".join(_part(part) for part in content)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    text = part.get("text")
    return str(text) if text is not None else f"[{part.get('type', 'part')}]"
