from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.clients.finish_reasons import judged, meaning_of, word_of

SERVICES = {
    "stop": {
        "OpenAI": "stop", "Together": "eos", "Hugging Face": "eos_token", "Anthropic": "end_turn", "Gemini": "STOP",
        "Cohere": "COMPLETE", "Cohere stop": "STOP_SEQUENCE", "Titan": "FINISH", "AI21": "endoftext",
        "protobuf": "FINISH_REASON_STOP", "Python enum": "FinishReason.STOP", "Aleph Alpha": "end_of_text",
        "Bedrock": "stop_criteria_met", "xAI": "REASON_STOP", "Baidu": "normal", "Fireworks": "stop_token",
    },
    "length": {
        "OpenAI": "length", "Anthropic": "max_tokens", "Gemini": "MAX_TOKENS", "Mistral": "model_length",
        "Responses": "max_output_tokens", "watsonx": "token_limit", "xAI": "REASON_MAX_LEN", "Cohere": "ERROR_LIMIT",
        "Anthropic window": "model_context_window_exceeded", "llama.cpp": "limit", "any": "Max Length",
        "Aleph Alpha": "maximum_tokens", "dash": "max-tokens", "camel": "maxTokens", "Anthropic pause": "pause_turn",
    },
    "content_filter": {
        "OpenAI": "content_filter", "Bedrock": "guardrail_intervened", "Titan": "CONTENT_FILTERED", "Gemini": "SAFETY",
        "Gemini 2": "RECITATION", "Gemini 3": "PROHIBITED_CONTENT", "Gemini 4": "SPII", "Gemini 5": "BLOCKLIST",
        "Zhipu": "sensitive", "Anthropic": "refusal", "Cohere": "ERROR_TOXIC", "Vercel": "content-filter",
    },
    "tool_calls": {"OpenAI": "tool_calls", "old": "function_call", "Anthropic": "tool_use", "Cohere": "TOOL_CALL"},
    "error": {
        "vLLM": "abort", "OpenRouter": "error", "DeepSeek": "insufficient_system_resource", "Zhipu": "network_error",
        "Cohere": "USER_CANCEL", "Cohere error": "ERROR",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "meaning"), [(word, meaning) for meaning, words in SERVICES.items() for word in words.values()]
)
def test_the_words_of_services(word: str, meaning: str) -> None:
    assert meaning_of(word) == meaning_of(f" {word.upper()} ") == meaning_of(word.replace("_", "-")) == meaning


@pytest.mark.parametrize("word", ["other", "FINISH_REASON_UNSPECIFIED", "MALFORMED_FUNCTION_CALL", "reason", "7", ""])
def test_a_word_that_says_nothing_is_unknown(word: str) -> None:
    assert meaning_of(word) is None


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "reason"]), inner),
    )
)
def test_any_reason_has_a_word(reason: Any) -> None:
    for given_reason in (reason, {"type": reason}, [reason]):
        word = word_of(given_reason)
        assert isinstance(word, str) and len(word) <= 60 and word.isprintable()
        assert judged(word, 1, 2)
