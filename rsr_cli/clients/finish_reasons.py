"""Why a completion ended, in the words of every service: one table for answers, batches, engines and imports.

A word is read without regard to case, spaces, underscores and dashes. docs/services.md says who sends which.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

STOP, LENGTH, FILTERED, TOOL_CALLS, FAILED = "stop", "length", "content_filter", "tool_calls", "error"
UNKNOWN = "unknown"
"""Stands in the column where a service gives no word at all."""

_WORDS = {
    STOP: """
        stop stopped end ended eos eos_token eos_token_id end_turn end_of_turn end_of_text end_of_sequence end_token
        eot eot_id endoftext finish finished complete completed completion done success succeeded successful normal
        natural stop_sequence stop_sequence_reached stop_token stop_tokens stop_string stop_str stop_word word
        stop_words stop_criteria stop_criteria_met stop_phrase matched_stop model_stop model_finished
    """,
    LENGTH: """
        length max_tokens max_token max_length max_len max_new_tokens max_output_tokens max_completion_tokens
        max_tokens_reached max_length_reached max_tokens_exceeded maximum_tokens maximum_length output_length
        length_limit length_capped length_exceeded token_limit token_limit_reached token_limit_exceeded tokens_limit
        output_limit output_token_limit limit limit_reached error_limit model_length model_max_length
        model_context_window_exceeded context_window_exceeded context_length context_length_exceeded context_limit
        context_full max_context max_context_length max_model_len max_model_length exceeded_context
        max_time time_limit time_limit_reached truncated truncation cut cut_off cutoff incomplete not_finished
        unfinished partial pause_turn compaction repetition
    """,
    FILTERED: """
        content_filter content_filtered content_filtering filter filtered safety unsafe
        safety_filter recitation blocklist blocked block prohibited_content prohibited spii sensitive
        sensitive_content language image_safety image_prohibited_content image_recitation image_other refusal refused
        guardrail guardrails guardrail_intervened guardrails_intervened error_toxic toxic toxicity moderation moderated
        content_moderation flagged policy policy_violation content_policy content_policy_violation responsible_ai
        data_inspection_failed inspection_failed jailbreak model_armor escalation censored
    """,
    TOOL_CALLS: """
        tool_calls tool_call tool tools tool_use tool_use_invoked tool_used function_call function_calls function
        functions function_calling call_tool
    """,
    FAILED: """
        error errored err failed failure fail abort aborted exception crash cancel cancelled canceled user_cancel
        user_cancelled interrupted timeout timed_out network_error server_error internal_error internal_server_error
        model_error engine_error engine_failure provider_error upstream_error api_error system_error runtime_error
        connection_error disconnected insufficient_system_resource insufficient_resources out_of_memory oom overloaded
        preempted rate_limit rate_limited load unload shutdown
    """,
}
_PREFIXES = ("finishreason", "stopreason", "donereason", "reason")
_NO_WORDS = frozenset({"", "null", "none", "nil", "undefined", "nan"})
_NAMES_OF_AN_OBJECT = ("type", "reason", "name", "finish_reason", "stop_reason", "value", "kind")
_LONGEST_WORD = 60


def _squeezed(word: str) -> str:
    return "".join(char for char in word.lower() if char.isalnum())


_MEANINGS = {_squeezed(word): meaning for meaning, words in _WORDS.items() for word in words.split()}


def word_of(reason: Any) -> str:
    """The word in a finish reason of any shape, "" where there is none: SGLang and TGI have objects for some."""
    for _ in range(4):
        if isinstance(reason, dict):
            reason = next((reason[name] for name in _NAMES_OF_AN_OBJECT if reason.get(name)), None)
        elif isinstance(reason, list | tuple):
            reason = reason[0] if reason else None
        else:
            break
    if isinstance(reason, str):
        return _shown(reason[:200])
    is_code = isinstance(reason, int) and not isinstance(reason, bool) and abs(reason) < 1000
    return str(reason) if is_code else ""


@lru_cache(maxsize=1024)
def _shown(text: str) -> str:
    word = " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_LONGEST_WORD]
    return "" if _squeezed(word) in _NO_WORDS else word


@lru_cache(maxsize=1024)
def meaning_of(word: str) -> str | None:
    """`stop`, `length`, `content_filter`, `tool_calls` or `error`; None where no service is known to say this."""
    squeezed = _squeezed(word)
    for prefix in _PREFIXES:
        if squeezed not in _MEANINGS:
            squeezed = squeezed.removeprefix(prefix)
    return _MEANINGS.get(squeezed)


def judged(word: str, tokens: int | None, max_tokens: int | None) -> str:
    """What stands in the column `finish_reason` for a completion with a text: the meaning of a known word; of an
    unknown one `length` where the tokens reached the limit, else the word as it came."""
    meaning = meaning_of(word)
    if meaning is not None:
        return meaning
    return LENGTH if tokens is not None and max_tokens is not None and tokens >= max_tokens else word or UNKNOWN
