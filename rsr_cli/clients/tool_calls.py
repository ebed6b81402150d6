"""The tool calls of an answer, in one form whatever the service's is."""

from __future__ import annotations

import json
from typing import Any


def read_tool_calls(message: Any) -> str | None:
    """Return the JSON of the tool calls in a message, in OpenAI's form; None where it has none.

    Read are `tool_calls`, `function_call`, which came before it, and the `tool_use` parts of Anthropic's content. A
    call that is in OpenAI's form is kept as it came, other keys included.
    """
    if not isinstance(message, dict):
        return None
    calls = message.get("tool_calls") or []
    calls = list(calls) if isinstance(calls, list) else [calls]
    if not calls and isinstance(older := message.get("function_call"), dict):
        calls = [older]
    if isinstance(parts := message.get("content"), list):
        calls += [part for part in parts if isinstance(part, dict) and part.get("type") in ("tool_use", "function")]
    try:
        found = [_in_openai_form(call) for call in calls if isinstance(call, dict)]
        return json.dumps(found, ensure_ascii=False) if found else None
    except RecursionError:
        return None  # nested beyond any call's measure, and the text beside it counts


def _in_openai_form(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, dict):
        name, arguments = call.get("name"), call.get("arguments", call.get("input"))
        call = {"id": call["id"]} if call.get("id") is not None else {}
        function = {"name": name, "arguments": arguments}
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # Ollama and Anthropic send an object, OpenAI its JSON
        arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    found = {**call, "function": {**function, "arguments": arguments}}
    found.setdefault("type", "function")
    return found
