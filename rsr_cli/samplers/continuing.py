"""An attempt that goes on after a cut: what the model is given to go on from, and how the pieces become one completion.

A chat template may rewrite the thinking of an assistant message; what the model then goes on from is out of our hands.
"""

from __future__ import annotations

from dataclasses import replace

from rsr_cli.reply import split_thinking
from rsr_cli.types import Completion, Message

CONTINUING_FIELDS = {"add_generation_prompt": False, "continue_final_message": True}
"""With them vLLM and SGLang leave the last message open, and the reply is what comes after it."""


def open_message(cut: Completion) -> Message:
    """The assistant message to be gone on with."""
    return {"role": "assistant", "content": prefix(cut)}


def prefix(cut: Completion) -> str:
    """All that the model has written up to the cut, its thinking in tags. Empty where no text came.

    It has no space at its end: templates take it off, and the next token brings its own.
    """
    response = (cut.response or "").rstrip()
    if not cut.reasoning:
        return response
    thinking = f"<think>\n{cut.reasoning.strip()}"
    return f"{thinking}\n</think>\n\n{response}" if response else thinking


def continued(cut: Completion, more: Completion) -> Completion:
    """A cut completion and what came after it, as one.

    A server tells thinking from reply by what it has just generated, so it may take the rest of a reply for thinking,
    or the rest of the thinking for a reply: on which side of the border the cut was decides.
    """
    response, reasoning = (cut.response or "").rstrip(), (cut.reasoning or "").rstrip()
    text, thinking = more.response or "", more.reasoning or ""
    reply: str | None
    if response:
        reply, reasoning = response + (text or thinking), cut.reasoning or ""
    elif thinking:
        reply, reasoning = text, reasoning + thinking
    else:
        reasoning, reply = split_thinking(f"<think>{reasoning}{text}")
    return redrawn(cut, replace(more, response=reply or None, reasoning=reasoning or None))


def redrawn(cut: Completion, more: Completion) -> Completion:
    """`more` in the place of a cut completion, which stays on its bill: its tokens and its time are added."""
    return replace(
        more,
        prompt_tokens=_sum(cut.prompt_tokens, more.prompt_tokens),
        completion_tokens=_sum(cut.completion_tokens, more.completion_tokens),
        latency_s=cut.latency_s + more.latency_s,
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)
