"""Answers as services send them, cut to what is read. One service a name, as in docs/services.md."""

from __future__ import annotations

from typing import Any

Expected = tuple[str | None, str | None, str, tuple[int | None, int | None]]
"""The text, the thinking, the finish reason, the tokens of the prompt and of the completion."""


def _plain(reason: Any, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "The answer is 42."}, "finish_reason": reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 6, "total_tokens": 17}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice | fields], "usage": usage}


def _message(message: dict[str, Any], reason: Any = "stop") -> dict[str, Any]:
    return _plain(reason, message={"role": "assistant", **message})


_WHOLE: Expected = ("The answer is 42.", None, "stop", (11, 6))
_THOUGHT: Expected = ("The answer is 42.", "6 times 7", "stop", (11, 6))

ANSWERS: dict[str, list[tuple[dict[str, Any], Expected]]] = {
    "OpenAI, Azure, Groq": [
        (_message({"content": "The answer is 42.", "refusal": None, "annotations": []}), _WHOLE),
        (_message({"content": None, "refusal": "I can't."}), ("I can't.", None, "stop", (11, 6))),
        (_plain("content_filter", content_filter_results={"hate": {"filtered": True}}),
         (None, None, "content_filter", (11, 6))),
        (_plain("stop") | {"usage": None, "x_groq": {"usage": {"prompt_tokens": 11, "completion_tokens": 6}}}, _WHOLE),
    ],
    "Anthropic": [
        (_message({"content": [{"type": "thinking", "thinking": "6 times 7", "signature": "s"},
                               {"type": "text", "text": "The answer is 42."}]}, "end_turn")
         | {"usage": {"input_tokens": 1, "cache_read_input_tokens": 10, "output_tokens": 6}}, _THOUGHT),
    ],
    "Gemini, Vertex": [
        (_plain("STOP") | {"usage": {"promptTokenCount": 11, "candidatesTokenCount": 4, "thoughtsTokenCount": 2}},
         _WHOLE),
        (_plain("MAX_TOKENS", message={"role": "assistant"}), (None, None, "length", (11, 6))),
        (_plain("SAFETY", message={"role": "assistant", "content": None}), (None, None, "content_filter", (11, 6))),
    ],
    "Mistral": [
        (_message({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "6 times 7"}]},
                               {"type": "text", "text": "The answer is 42."}], "tool_calls": None}), _THOUGHT),
        (_plain("model_length"), ("The answer is 42.", None, "length", (11, 6))),
    ],
    "Cohere": [
        (_message({"content": [{"type": "text", "text": "The answer is 42."}]}, "COMPLETE")
         | {"usage": {"billed_units": {"input_tokens": 3, "output_tokens": 6},
                      "tokens": {"input_tokens": 11.0, "output_tokens": 6.0}}}, _WHOLE),
    ],
    "Together, Fireworks": [(_plain("eos", text="", logprobs=None, seed=5), _WHOLE),
                            (_plain(""), ("The answer is 42.", None, "unknown", (11, 6)))],
    "DeepSeek": [(_message({"content": "The answer is 42.", "reasoning_content": "6 times 7"}), _THOUGHT)],
    "DashScope": [(_plain("null"), ("The answer is 42.", None, "unknown", (11, 6)))],
    "Zhipu": [(_plain("sensitive"), (None, None, "content_filter", (11, 6)))],
    "Bedrock": [(_plain("FINISH") | {"usage": {"inputTokens": 11, "outputTokens": 6, "totalTokens": 17}}, _WHOLE)],
    "watsonx": [(_plain("eos_token"), _WHOLE)],
    "OpenRouter": [
        (_plain("stop", native_finish_reason="STOP", error=None), _WHOLE),
        (_message({"content": "The answer is 42.", "reasoning": None,
                   "reasoning_details": [{"type": "reasoning.text", "text": "6 times 7", "index": 0}]}), _THOUGHT),
    ],
    "Hugging Face TGI": [(_plain("eos_token"), _WHOLE)],
    "vLLM": [(_message({"content": "The answer is 42.", "reasoning": "6 times 7", "tool_calls": []}), _THOUGHT)],
    "SGLang": [(_plain({"type": "stop", "matched": 2}, matched_stop=2), _WHOLE)],
    "llama.cpp": [(_plain("stop") | {"timings": {"prompt_n": 11, "predicted_n": 6}}, _WHOLE)],
    "Ollama": [(_message({"content": "The answer is 42.", "reasoning": "6 times 7"}), _THOUGHT)],
}  # fmt: skip
