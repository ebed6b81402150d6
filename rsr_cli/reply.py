"""The reply of a response: what the model says after its thinking, and nothing of the thinking."""

from __future__ import annotations

import re

_NAMES = (
    r"(?:think|thinking|thought|thoughts|reasoning|reason|reflection|scratchpad|seed:think|antthinking|thinking_process"
    r"|inner_monologue|internal_monologue|chain_of_thought|cot)"
)
_CLOSE = re.compile(rf"</{_NAMES}\s{{0,3}}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>", re.IGNORECASE)
_OPEN = re.compile(
    rf"<{_NAMES}(?:\s[^<>]{{0,60}})?>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>", re.IGNORECASE
)
_CHANNEL = re.compile(r"<\|channel\|>\s*+(\w++)[^<]{0,80}+(?:<\|constrain\|>[^<]{0,40}+)?+<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_HINTS = (
    *("</", "<|", "[THINK]", "[/THINK]", "[think]", "[/think]", "◁"),
    *(f"<{letter}" for letter in "tTrRsSaAiIcC"),
)
"""One of them stands in every tag; looking for them is far cheaper than the patterns."""
_MARKS = ("<", "◁", "THINK]", "think]")
"""One of them stands in every hint."""
_BARE_ANALYSIS = re.compile(r"analysis(?=[A-Z\"']|\s(?:the user|user|we|i|need|okay)\b)")


def final_reply(response: str) -> str | None:
    """The text after the last closing think tag, or of the final channel; None where the thinking never ends.

    A closing tag with no opening one closes too: many chat templates put the opening tag into the prompt. The text is
    stripped; an empty rest is "". Takes time linear in the length of the response.
    """
    if "<|channel|>" in response:
        return _final_channel(response)
    if _BARE_ANALYSIS.match(response):  # harmony whose special tokens a server has dropped
        _, final, reply = response.rpartition("assistantfinal")
        return reply.strip() if final else None
    if not any(mark in response for mark in _MARKS) or not any(hint in response for hint in _HINTS):
        return response.strip()
    start = 0
    for close in _CLOSE.finditer(response):
        start = close.end()
    if _OPEN.search(response, start):
        return None
    return response[start:].strip()


def split_thinking(response: str) -> tuple[str, str | None]:
    """The thinking, without its tags, and the reply as `final_reply` has it."""
    reply = final_reply(response)
    if "<|channel|>" in response:
        return _other_channels(response), reply
    if bare := _BARE_ANALYSIS.match(response):
        thinking, final, _ = response[bare.end() :].rpartition("assistantfinal")
        return (thinking if final else response[bare.end() :]).strip(), reply
    thinking = response if reply is None else response.strip().removesuffix(reply)
    for mark in (_OPEN, _CLOSE):
        thinking = mark.sub("", thinking)
    return thinking.strip(), reply


def _other_channels(response: str) -> str:
    """The messages of a response in the harmony format that are not on the channel `final`."""
    found = []
    for channel in _CHANNEL.finditer(response):
        end = _CHANNEL_END.search(response, channel.end())
        text = response[channel.end() : end.start() if end else len(response)].strip()
        if channel[1] != "final" and text:
            found.append(text)
    return "\n\n".join(found)


def _final_channel(response: str) -> str | None:
    """The last message on the channel `final` of a response in the harmony format."""
    start = -1
    for channel in _CHANNEL.finditer(response):
        if channel[1] == "final":
            start = channel.end()
    if start < 0:
        return None
    end = _CHANNEL_END.search(response, start)
    return response[start : end.start() if end else len(response)].strip()
