"""The values that are never written nor shown: each is kept here once it is known, and taken out of every text.

A secret is what a config has by a `${…}` reference, whatever its key is called; what it has under a key that names a
secret (`api_key`, `user_token`, headers); the user-info of a URL and those parts of its query that name a secret; and
what the environment holds under such a name. It is by value that texts are cleaned, since a server may give back what
it was sent, and an exception may quote what it failed on.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "[secret]"
_SECRET_NAME = re.compile(
    r"((^|[_.-])(api[_-]?keys?|(access|auth|account|secret|private|subscription)[_-]?key|token|secrets?|passwords?|passwd|"
    r"pwd|authorization|credentials?|headers)|(?-i:[a-z](Key|Token|Secret|Password)))$",
    re.IGNORECASE,
)
_SECRET_PART = re.compile(
    r"((^|[_.-])(key|code|auth|pass|sig|signature|credential)|(?-i:[a-z]Sig(nature)?))$", re.IGNORECASE
)
_NO_SECRETS = {
    "true", "false", "null", "none", "empty", "auto", "dummy", "test", "local", "token", "vllm", "sglang", "ollama",
    "embedded",
}  # fmt: skip
_SHORTEST, _LONG = 4, 8
_WORD = r"[\w/.-]"
_LONGEST_PLAIN_NUMBER = 5
_USER_INFO = re.compile(r"(?<=://)[^/?#\s\"'@]+(?:@[^/?#\s\"'@]+)*@(?=[^\s\"'])")
_QUERY = re.compile(r"(?<=[?&])([\w.-]{1,60})=([^&\s\"'#]+)")

_values: set[str] = set()
_pattern: re.Pattern[str] | None = None


class Referenced(str):
    """A text that came from a `${…}` reference, and how that was written."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, text: str, written: str) -> Referenced:
        made = super().__new__(cls, text)
        made.written = written
        return made

    def __reduce__(self) -> tuple[type[Referenced], tuple[str, str]]:
        return Referenced, (str(self), self.written)


class ReferencedNumber(int):
    """The same for a whole number of many digits, as an account has."""

    written: str

    def __new__(cls, text: str, written: str) -> ReferencedNumber:
        made = super().__new__(cls, text)
        made.written = written
        return made

    def __reduce__(self) -> tuple[type[ReferencedNumber], tuple[str, str]]:
        return ReferencedNumber, (int.__repr__(self), self.written)


def names_secret(name: str) -> bool:
    """What stands under this name is a secret."""
    return bool(_SECRET_NAME.search(name))


def names_secret_part(name: str) -> bool:
    """The part of a URL's query, or the environment variable, of this name holds a secret."""
    return names_secret(name) or bool(_SECRET_PART.search(name))


def may_be_secret(text: str) -> bool:
    """It has more than three characters, is no word that people write where a server wants no key, no small number, and
    no path that is there."""
    text = text.strip()
    if len(text) < _SHORTEST or text.lower() in _NO_SECRETS:
        return False
    if len(text) <= _LONGEST_PLAIN_NUMBER and text.lstrip("+-").replace(".", "", 1).isdecimal():
        return False
    return not (text.startswith("/") and "\0" not in text and Path(text).exists())


def keep(values: Iterable[str]) -> None:
    """From now on these are secrets; what can be none (see `may_be_secret`) is left out."""
    new = {form for value in values if may_be_secret(value) for form in _forms(value)} - _values
    if new:
        _values.update(new)
        _compile()


def known() -> frozenset[str]:
    """All of them, for another process to `keep`."""
    return frozenset(_values)


def forget() -> None:
    """A new command begins."""
    _values.clear()
    _compile()


def keep_environment() -> None:
    """Keep what the environment holds under names of secrets, and the passwords of its proxies."""
    found: list[str] = []
    for name, value in os.environ.items():
        if names_secret_part(name) and len(value) >= _LONG:
            found.append(value)
        elif name.lower().endswith("_proxy"):
            found += of_url(value if "://" in value else f"http://{value}")
    keep(found)


def redact(text: str) -> str:
    """`text` without any secret, nor any part of a URL that holds one."""
    if _pattern is not None:
        text = _pattern.sub(HIDDEN, text)
    if "://" in text:
        text = _USER_INFO.sub("", text)
        text = _QUERY.sub(lambda m: f"{m[1]}={HIDDEN}" if names_secret_part(m[1]) else m[0], text)
    return text


def redact_all(value: Any) -> Any:
    """Plain data with every text in it redacted."""
    if isinstance(value, dict):
        return {name: redact_all(item) for name, item in value.items()}
    if isinstance(value, list):
        return [redact_all(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def without_secrets(value: Any) -> Any:
    """Settings as they may be saved beside what was made with them: references as they were written, `***` for what
    stands under the name of a secret, URLs without theirs. The same settings give the same, whatever the secrets."""
    if isinstance(value, dict):
        return {name: "***" if names_secret(str(name)) else without_secrets(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    if isinstance(value, Referenced | ReferencedNumber):
        return value.written
    if isinstance(value, str) and "://" in value:
        value = _USER_INFO.sub("***@", value)
        return _QUERY.sub(lambda m: f"{m[1]}=***" if names_secret_part(m[1]) else m[0], value)
    return value


def of_url(text: str) -> Iterator[str]:
    """The secrets in a URL, as they stand in it and decoded."""
    for user_info in _USER_INFO.findall(text):
        user, colon, password = user_info[:-1].partition(":")
        yield password if colon else user
        yield base64.b64encode(unquote(user_info[:-1]).encode()).decode()
    yield from (match[2] for match in _QUERY.finditer(text) if names_secret_part(match[1]))


def of_settings(value: Any, *, named: bool = False) -> Iterator[str]:
    """The secrets in settings as they were given: by their names, and in URLs; what was a reference is another's to
    know."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from of_settings(item, named=named or names_secret(str(name)))
    elif isinstance(value, Collection) and not isinstance(value, str | bytes):
        for item in value:
            yield from of_settings(item, named=named)
    elif value is not None and not isinstance(value, bool):
        text = str(value)
        yield from of_url(text)
        # What was written out may be a word that stands for no key at all.
        if named and not (len(text) < _LONG and text.isalpha()):
            yield text
            yield from text.split(" ")[1:]  # `Bearer …`


def _forms(value: str) -> Iterator[str]:
    """A secret as it may stand in a text: as it is, and as URLs and JSON have it."""
    value = value.strip()
    for form in (value, unquote(value), quote(value), quote(value, safe=""), quote_plus(value)):
        yield form
        yield json.dumps(form)[1:-1]
        yield json.dumps(form, ensure_ascii=False)[1:-1]
        yield repr(form)[1:-1]


def _compile() -> None:
    """A short one is only taken out as a word of its own: `root` may be a user's name, and stands in many a path."""
    global _pattern
    forms = sorted((form for form in _values if len(form) >= _SHORTEST), key=len, reverse=True)
    parts = [
        re.escape(form) if len(form) >= _LONG else f"(?<!{_WORD}){re.escape(form)}(?![\\w/-]|\\.\\w)" for form in forms
    ]
    _pattern = re.compile("|".join(parts)) if parts else None
