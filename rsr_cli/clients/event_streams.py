"""An answer that comes as an event stream though none was asked for: some servers can do nothing else."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_FIELDS = ("data:", "event:", "id:", "retry:")
_BLANKS = "\ufeff \t\r\n"


@dataclass(slots=True)
class _Pieces:
    """The pieces of a message or of a tool call. Texts are joined at the end: adding each to the text before it would
    take time with the square of their number."""

    texts: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    lists: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    others: dict[str, Any] = field(default_factory=dict)

    def add(self, piece: dict[str, Any]) -> None:
        for name, value in piece.items():
            if isinstance(value, str) and name not in ("role", "id", "type"):
                self.texts[name].append(value)
            elif isinstance(value, list):
                self.lists[name] += value
            elif value is not None:
                self.others[name] = value

    def whole(self) -> dict[str, Any]:
        return {**self.others, **self.lists, **{name: "".join(texts) for name, texts in self.texts.items()}}


@dataclass(slots=True)
class _Choice:
    fields: dict[str, Any] = field(default_factory=dict)
    message: _Pieces = field(default_factory=_Pieces)
    calls: dict[int, tuple[_Pieces, _Pieces]] = field(default_factory=dict)
    """Each tool call and its function, by the index that tells it from the others."""

    def add(self, part: dict[str, Any]) -> None:
        self.fields |= {name: value for name, value in part.items() if value is not None}
        delta = part.get("delta") or part.get("message")
        if not isinstance(delta, dict):
            return
        calls = delta.pop("tool_calls", None)
        self.message.add(delta)
        for piece in calls if isinstance(calls, list) else ():
            if isinstance(piece, dict):
                index, function = piece.pop("index", None), piece.pop("function", None)
                index = index if isinstance(index, int) else len(self.calls)
                call, of_function = self.calls.setdefault(index, (_Pieces(), _Pieces()))
                call.add(piece)
                of_function.add(function if isinstance(function, dict) else {})

    def whole(self) -> dict[str, Any]:
        message = self.message.whole()
        if self.calls:
            message["tool_calls"] = [call.whole() | {"function": made.whole()} for call, made in self.calls.values()]
        return {name: value for name, value in self.fields.items() if name != "delta"} | {"message": message}


def without_comments(text: str) -> str:
    """The text without the blank lines and the comments that a server sends ahead while a request waits."""
    start = 0
    while True:
        while text[start : start + 1] in _BLANKS and start < len(text):
            start += 1
        if text[start : start + 1] != ":":
            return text[start:]
        start = text.find("\n", start) + 1 or len(text)


def is_event_stream(text: str) -> bool:
    return text.startswith(_FIELDS)


def assembled(text: str) -> dict[str, Any]:
    """The chat completion whose pieces a stream holds. Raises ValueError where it is not whole.

    An error among the pieces is all there is to say, so it is the document.
    """
    whole: dict[str, Any] = {}
    choices: dict[int, _Choice] = {}
    ended = False
    for data in _events(text):
        if data.strip() == "[DONE]":
            ended = True
            break
        piece = json.loads(data, strict=False)
        if not isinstance(piece, dict):
            continue
        if piece.get("error"):
            return {"error": piece["error"]}
        parts = piece.pop("choices", None)
        whole |= {name: value for name, value in piece.items() if value is not None}
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                index = part.get("index")
                choices.setdefault(index if isinstance(index, int) else 0, _Choice()).add(part)
    if not ended and not (choices and all(choice.fields.get("finish_reason") for choice in choices.values())):
        raise ValueError("the stream has no end")
    return whole | {"choices": [choices[index].whole() for index in sorted(choices)]}


def _events(text: str) -> Iterator[str]:
    """The data of each event."""
    data: list[str] = []
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].removesuffix("\r")
        start = end + 1
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)
