"""Answers in fields: JSON, XML, the arguments of a tool call, the box tokens of GLM."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_KEYS = (
    r"(?:the_?|my_?)?(?:final|correct|best|chosen|selected|predicted)?[_\- ]?(?:answers?|choice|option"
    r"|response_letter|letter|selection|prediction|solution|result)"
    r"(?:[_\- ]?(?:choice|letter|option|key|value|text|index|label))?|答案|正确答案|最终答案"
)
_KEY = re.compile(_KEYS, re.IGNORECASE)
_INNER_KEY = re.compile(rf"{_KEYS}|value|text|label|id|key|content", re.IGNORECASE)
_ENTRY = re.compile(
    rf"[\"'\\]{{1,3}}(?P<key>{_KEYS})[\"'\\]{{1,3}}\s{{0,6}}:\s{{0,6}}"
    r"(?P<value>\\?\"(?:[^\"\\]|\\.){0,2000}\"|'[^'\n]{0,400}'|-?\d[\d,._]*(?:[eE][-+]?\d+)?%?"
    r"|\[[^\]]{0,500}\]|null|true|false|\{[^{}]{0,300}\})",
    re.IGNORECASE,
)
_TAGS = r"(?:final[_-]?|correct[_-]?)?(?:answer|choice|option|result|solution)|ans|final"
_TAGGED = re.compile(rf"<({_TAGS})>(?P<value>(?:(?!</?(?:{_TAGS})>)[\s\S]){{0,4000}}?)</\1>", re.IGNORECASE)
_BRACKETED = re.compile(r"\[(ANSWER|FINAL ANSWER|ANS)\](?P<value>[^\[\]]{0,400})\[/\1\]", re.IGNORECASE)
_TABLE = re.compile(
    r"^[ \t]*\|(?P<head>[^\n]{1,300})\|[ \t]*\n[ \t]*\|[-:| \t]{3,200}\|[ \t]*"
    r"(?P<rows>(?:\n[ \t]*\|[^\n]{1,300}){1,30})",
    re.MULTILINE,
)
_OPTIONS_HEAD = re.compile(r"options?|choices?|letters?|answers?(?: choices?| options?)?", re.IGNORECASE)
"""Over a column of several rows: the options one by one, none of them chosen."""
_BOXED_TOKENS = re.compile(r"<\|begin_of_box\|>(?P<value>.{0,2000}?)<\|end_of_box\|>", re.DOTALL)
_CALL = re.compile(
    r"\b(?:submit|final_?answer|answer|finish|respond|submit_answer|return_answer)\s?\(\s?(?:\w{1,20}\s?=\s?)?"
    r"(?P<value>\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|-?\d[\d.,/]{0,40}|\[[^\]\n]{0,200}\])\s?\)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\A```\w{0,20}\s*\n?|\n?\s*```\s*\Z")
_MOST_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Field:
    """`value` is "" where the field is there and holds nothing."""

    start: int
    end: int
    value: str


def fields(text: str, start: int = 0) -> list[Field]:
    """The answer fields of a text from a place on, in order."""
    found: list[Field] = []
    if ":" in text and ('"' in text or "'" in text):
        found += [_field(match, _plain(match["value"])) for match in _ENTRY.finditer(text, start)]
    if "</" in text:
        found += [_field(match, match["value"].strip()) for match in _TAGGED.finditer(text, start)]
    if "[/" in text:
        found += [_field(match, match["value"].strip()) for match in _BRACKETED.finditer(text, start)]
    if "|-" in text or "| -" in text or "|:" in text:
        found += [_field(match, cell) for match in _TABLE.finditer(text, start) if (cell := _answer_cell(match))]
    if "<|b" in text:
        found += [_field(match, match["value"].strip()) for match in _BOXED_TOKENS.finditer(text, start)]
    if "(" in text and ("(a" in text or '("' in text or "('" in text or _CALL.search(text, start)):
        found += [_field(match, _plain(match["value"])) for match in _CALL.finditer(text, start)]
    return sorted(found, key=lambda field: field.start)


def _answer_cell(table: re.Match[str]) -> str | None:
    """The last cell of the column that is named as the answer."""
    heads = [head.strip(" *_").lower() for head in table["head"].split("|")]
    last = [cell.strip(" *_`") for cell in table["rows"].rstrip().rsplit("\n", 1)[-1].strip().strip("|").split("|")]
    column = next((place for place, head in enumerate(heads) if _KEY.fullmatch(head)), None)
    if column is None:  # the answer has a row instead of a column
        return last[1] if len(last) == 2 and _KEY.fullmatch(last[0]) else None
    if "\n" in table["rows"].strip() and _OPTIONS_HEAD.fullmatch(heads[column]):
        return None
    return last[column] if column < len(last) else None


def _field(match: re.Match[str], value: str) -> Field:
    return Field(match.start(), match.end(), value)


def whole_object(text: str) -> tuple[str | None, str] | None:
    """What a reply that is one JSON object holds: its answer field, None without one, and its last text.

    None where the reply is no JSON object.
    """
    text = text.strip()
    if not text.endswith(("}", "```", "]")) or not text.startswith(("{", "```", "[")):
        return None
    source = _FENCE.sub("", text).strip()
    if not source.startswith(("{", "[")):
        return None
    try:
        value = json.loads(source, strict=False)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    texts = [item for item in value.values() if isinstance(item, str) and item.strip()]
    return _answer_in(value, _KEY, 0), texts[-1] if texts else ""


def _answer_in(value: dict[str, Any], key: re.Pattern[str], depth: int) -> str | None:
    """The last of the fields that are named as answers, on the outermost level that has one."""
    named = [item for name, item in value.items() if key.fullmatch(str(name))]
    for item in reversed(named):
        text = _as_text(item, depth)
        if text is not None:
            return text
    if value and all(isinstance(item, bool) for item in value.values()):
        return ", ".join(str(name) for name, item in value.items() if item)
    if depth < _MOST_DEPTH:
        for item in reversed(value.values()):
            if isinstance(item, dict) and (text := _answer_in(item, key, depth + 1)) is not None:
                return text
    return None


def _as_text(value: Any, depth: int) -> str | None:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        if len(value) == 1 and len(name := str(next(iter(value)))) == 1:
            return name
        return _answer_in(value, _INNER_KEY, depth + 1) if depth < _MOST_DEPTH else None
    if isinstance(value, list):
        return ", ".join(_as_text(item, depth + 1) or "" for item in value[:200])
    return str(value)


def _plain(source: str) -> str:
    """A JSON value as text. Broken escapes, as LaTeX has them, are left as they are."""
    source = source.replace('\\"', '"') if source.startswith("\\") else source
    if source.startswith("["):
        return ", ".join(part.strip(" \"'") for part in source[1:-1].split(","))
    if source.startswith("{"):
        try:
            return _as_text(json.loads(source, strict=False), 0) or ""
        except ValueError:
            return ""
    if source.lower() in ("true", "false", "null"):
        return {"true": "yes", "false": "no", "null": ""}[source.lower()]
    if not source.startswith('"'):
        return source.strip("'")
    try:
        return str(json.loads(source, strict=False))
    except ValueError:
        return source[1:-1]
