"""The text of a reply that can be read: plain characters, no tags and end tokens, no politeness behind the answer."""

from __future__ import annotations

import re
import unicodedata

from rsr_cli.verifiers.reading.phrases import CHATTER, REMARKS, any_of
from rsr_cli.verifiers.reading.run_on import before_run_on
from rsr_cli.verifiers.reading.stance import supposes

_INVISIBLE = dict.fromkeys(
    [0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xFEFF, 0x180E, 0x034F,
     *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080)]
)  # fmt: skip
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: " ",
    0x3010: "【",
    0x2028: "\n",
    0x2029: "\n",
}
_CHARACTERS = _INVISIBLE | _WIDE
_SIMPLIFIED = str.maketrans("選為對錯應項確結論綜誤個該題", "选为对错应项确结论综误个该题")
_KANA = re.compile("[\u3040-\u30ff]")
_STYLED = re.compile(r"[\U0001D400-\U0001D7FF\u2474-\u24FF\U0001F100-\U0001F1FF\u2150-\u215F]")
_TOKEN = re.compile(
    r"<[|｜](?!(?:begin|end)_of_box)[^<>|｜\n]{1,40}[|｜]>"
    r"|</?s>|</?(?:eo[sahmtpd]|eoh|bos|pad|unk|sep|cls|eot|eom|end|im_end|im_start|endoftext|start_of_turn"
    r"|end_of_turn"
    r"|end_of_utterance|end_of_text|human|bot|assistant|user|system|reserved_\d{1,4})>"
    r"|\[/?(?:INST|SYS|EOS|BOS|PAD|SEP|UNK|END|TOOL_CALLS|AVAILABLE_TOOLS|/s)\]|<</?SYS>>",
    re.IGNORECASE,
)
_BRACKET_TOKEN = re.compile(r"\[(?:/|INST|SYS|EOS|BOS|PAD|SEP|UNK|END|TOOL|AVAIL)")
_ROLE = re.compile(r"\s*(?:assistant|model|bot|gpt|final)\s*\n", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:[bipu]|(?i:strong|em|br|hr|span|center|div|code|pre|small|big|mark|font|sub|li|ul|ol|blockquote"
    r"|response|output|reply|text|message|content|document|body|html|h[1-6]))(?:\s[^<>]{0,80})?/?>"
)
"""Tags of one letter in lower case only: <B> is an option."""
_HIDING_COMMAND = re.compile(r"\\(?:[hv]?phantom|(?:text)?color|iffalse|begin\{comment)")
_BLOCK_TAG = re.compile(
    r"</?(?:p|br|hr|div|li|ul|ol|h[1-6]|pre|response|output|reply|message|blockquote)\b", re.IGNORECASE
)
_CHATTER = re.compile(rf"\W*(?:{any_of(CHATTER)})", re.IGNORECASE | re.DOTALL)
_ENDED = re.compile(r"[.!?。！？।)\]\"'*]\s*$")
_REMARK = re.compile(rf"\W*(?:{any_of(REMARKS)})", re.IGNORECASE)
_RUNS_INTO = re.compile(
    r"[ \t](?=[A-ZÀ-Þ])(?:(?<=[\d)\]}$*%][ \t])|(?<=[\s(_][A-J][ \t]))"
    rf"(?=(?i:{any_of(REMARKS)}|i(?:'m| am| hope)|let me|please|thanks?|hope|feel free)\b)"
    r"|[ \t](?=[A-Z])(?<=[\w)][ \t])(?=(?:Some (?:people|students)|A common (?:mistake|error)"
    r"|If you|Good luck|Confidence:|Check:|Be careful|I hope|Let me know|Note that|Remember|For comparison"
    r"|This (?:answer|result|is|took)|We can (?:check|verify))\b)"
)
_SENTENCES = re.compile(r"[.!?。！？]\s+|[。！？]|\n+")
"""What ends where a sentence begins."""
_HIDDEN = re.compile(
    r"<!--.{0,4000}?-->|<(?P<tag>del|s|strike|script|style|template)(?:\s[^<>]{0,80})?>.{0,2000}?</(?P=tag)>|~~[^~\n]{1,400}~~"
    r"|<(?P<box>span|div|p|font)\s[^<>]{0,80}(?:display\s?:\s?none|visibility\s?:\s?hidden|\bhidden\b|font-size\s?:\s?0|color\s?:\s?(?:white|transparent|#fff))"
    r"[^<>]{0,80}>.{0,2000}?</(?P=box)>"
    r"|\\(?:[hv]?phantom|(?:text)?color\s*\{white\})\s*\{(?:[^{}]|\{[^{}]{0,200}\}){0,400}\}"
    r"|\\iffalse\b.{0,2000}?\\fi\b|\\begin\{comment\}.{0,2000}?\\end\{comment\}"
    r"|^%[ \t%\\][^\n]{0,2000}$|^\[//\]:\s?\#[^\n]{0,400}$",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
"""What a reader of the rendered reply does not see, or sees struck out."""
_RULE = re.compile("[\\s\\-*_=~]{3,}|[\\s!.\U0001f300-\U0001faff\u263a\u2728\u2764\ufe0f]+")
"""A sentence of no words: a line across, emoji."""
_MOST_CHATTER = 8
"""Sentences that are looked at from the end."""


def readable(reply: str) -> str:
    """The reply as it is read: up to its end of turn, in plain characters, without tags, run-on and politeness."""
    text = plain_characters(reply)
    if "<" in text or _BRACKET_TOKEN.search(text):
        text = _first_turn(text)
    if (
        "<" in text
        or text[:1] in "%["
        or "~~" in text
        or "\n%" in text
        or "\n[//" in text
        or _HIDING_COMMAND.search(text)
    ):
        text = _HIDDEN.sub(" ", text)
    if "<" in text:
        text = _TAG.sub(lambda tag: "\n" if _BLOCK_TAG.match(tag[0]) else "", text)
    return _remarks_apart(without_chatter(before_run_on(text))).strip()


def _remarks_apart(text: str) -> str:
    """With a line of its own for each remark of the end that stands behind a value without a full stop between."""
    return text[:-1_000] + _RUNS_INTO.sub("\n", text[-1_000:])


def plain_characters(text: str) -> str:
    """Without invisible characters; wide, styled and circled ones as plain ones."""
    if text.isascii():
        return text
    text = text.translate(_CHARACTERS)
    if not _KANA.search(text):
        text = text.translate(_SIMPLIFIED)
    return _STYLED.sub(_plain_character, text)


def _plain_character(char: re.Match[str]) -> str:
    """A styled, circled or squared character as the plain one."""
    plain = unicodedata.normalize("NFKC", char[0])
    return chr(ord("A") + (ord(plain) - 0x1F130) % 32) if len(plain) == 1 and 0x1F130 <= ord(plain) < 0x1F18A else plain


def _first_turn(text: str) -> str:
    """What stands before the first token that ends a turn, tokens before any text left out."""
    start = 0
    for token in _TOKEN.finditer(text):
        if text[start : token.start()].strip():
            return text[start : token.start()]
        start = token.end()
        if role := _ROLE.match(text, start):
            start = role.end()
    return text[start:]


def without_remarks(text: str) -> str:
    """The text without the sentences that only remark on what was stated before them."""
    tail_at = max(0, len(text) - 1_000)
    tail = text[tail_at:]
    if not _ENDED.search(tail):
        return text  # cut off: what comes before is not the last word
    starts = [0, *(gap.end() for gap in _SENTENCES.finditer(tail))]
    end = len(tail)
    for start in reversed(starts[1:][-_MOST_CHATTER:]):
        sentence = tail[start:end].strip()
        said_more = sentence and not _RULE.fullmatch(sentence) and not _CHATTER.fullmatch(sentence)
        if said_more and not _REMARK.match(sentence) and not supposes(sentence, 0):
            break
        end = start
    kept = text[: tail_at + end].rstrip()
    return kept or text


def without_chatter(text: str) -> str:
    """The text without the sentences of politeness that it ends in."""
    tail_at = max(0, len(text) - 600)
    tail = text[tail_at:]
    starts = [0, *(gap.end() for gap in _SENTENCES.finditer(tail))]
    end = len(tail)
    for start in reversed(starts[-_MOST_CHATTER:]):
        sentence = tail[start:end].strip()
        if sentence and not _RULE.fullmatch(sentence) and not _CHATTER.fullmatch(sentence):
            break
        if start == 0:  # all of the tail: where its first sentence begins is not known
            break
        end = start
    return text[: tail_at + end].rstrip() if end < len(tail) else text
