"""Rows of the input: what is wrong with one, and the prompt that it becomes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from rsr_cli.config.settings import Preprocess
from rsr_cli.samplers.params import sampling_problem
from rsr_cli.store.cells import without_fills
from rsr_cli.types import Prompt

_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}


def row_problem(row: Any) -> str | None:
    """What is wrong with a row's shape, None where it is right."""
    if not isinstance(row, dict):
        return f"the transform returned a {type(row).__name__}, not a dict"
    if not isinstance(row.get("id"), str) or not row["id"]:
        return "no id" if row.get("id") in (None, "") else f"the id is a {type(row['id']).__name__}, not a string"
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return "no messages" if not messages else f"messages is a {type(messages).__name__}, not a list"
    for index, message in enumerate(messages):
        if problem := _message_problem(message):
            return f"messages[{index}] {problem}"
    if row.get("metadata") is not None and not isinstance(row["metadata"], dict):
        return f"metadata is a {type(row['metadata']).__name__}, not an object"
    if problem := sampling_problem(without_fills((row.get("metadata") or {}).get("sampling"))):
        return problem
    try:
        json.dumps([row["id"], messages, row.get("metadata")], allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"can't be written as JSON: {error}"
    return None


def _message_problem(message: Any) -> str | None:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        return f"has no role of {', '.join(sorted(_ROLES))}"
    content, calls = message.get("content"), message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        return "has tool_calls that are not a list of objects"
    if not isinstance(content, str | list):
        if content is not None:
            return f"has content that is a {type(content).__name__}, neither text nor a list of parts"
        return None if calls or message.get("function_call") else "has no content"
    for place, part in enumerate(content if isinstance(content, list) else []):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            return f"has a content[{place}] that is no object with a type"
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            return f"has a content[{place}] of the type text without a text"
    return None


def identified(row: Any) -> Any:
    """What a transform returned; where it gives no id, with one that is a digest of the messages."""
    if not isinstance(row, dict) or "id" in row or not isinstance(row.get("messages"), list):
        return row
    text = json.dumps(row["messages"], sort_keys=True, default=str)
    return {"id": hashlib.sha256(text.encode()).hexdigest()[:16], **row}


def as_sent(messages: Any) -> Any:
    """Messages without the null fields that a table fills in, and that a server may refuse."""
    return [_sent(message) for message in messages] if isinstance(messages, list) else messages


def _sent(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    sent = {name: without_fills(value) for name, value in message.items() if value is not None or name == "content"}
    if isinstance(parts := sent.get("content"), list):
        sent["content"] = [
            {name: value for name, value in part.items() if value is not None} if isinstance(part, dict) else part
            for part in parts
        ]
    return sent


def as_prompt(row: dict[str, Any], preprocess: Preprocess) -> Prompt:
    messages = as_sent(row["messages"])
    if preprocess.instruction:
        last = next((message for message in reversed(messages) if message["role"] == "user"), None)
        if last is not None and isinstance(last.get("content"), str):
            last["content"] = f"{last['content']}\n\n{preprocess.instruction}"
        elif last is not None and isinstance(last.get("content"), list):
            last["content"] = [*last["content"], {"type": "text", "text": f"\n\n{preprocess.instruction}"}]
    if preprocess.system_prompt and not any(message["role"] in ("system", "developer") for message in messages):
        messages.insert(0, {"role": "system", "content": preprocess.system_prompt})
    metadata = dict(row.get("metadata") or {})
    # A transform may take a struct of a table over as it is.
    metadata |= {name: without_fills(metadata[name]) for name in ("sampling", "options") if name in metadata}
    return Prompt(row["id"], messages, metadata)
