"""`${NAME}` in a config: what it stands for, which of that is a secret, and how a config is saved without any.

`${NAME:-default}` has a default for a variable that is not set or empty. `${NAME:?}` is what a saved config has in
place of a secret that was written out: the stage that needs it asks for the variable. `$${` is a literal `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from rsr_cli import secrecy
from rsr_cli.config.scalars import Plain, resolve_plain
from rsr_cli.secrecy import Referenced, ReferencedNumber, names_secret, names_secret_part

Key = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*)|(:\?))?\}")
_PASSED_ON = {"extra_params", "engine_params", "headers"}
_OF_PLUGINS = ("verifier", "formatter", "filters")
_PLAIN_OPTIONS = {
    "type", "name", "model", "model_path", "template", "chat_template", "api", "dtype", "devices", "part", "when",
    "workers", "time_limit", "memory_limit_mb", "temperature", "top_p", "max_tokens",
}  # fmt: skip
"""Of a plugin: what decides on its verdicts, or stands in rows and messages."""
_RANDOM = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[\w.~-]{16,}")
_LONGEST_WORD = 10
_URL_USER_INFO = re.compile(r"(?<=://)([^/?#\s@]*)@")
_URL_QUERY = re.compile(r"(?<=[?&])([\w.-]+)=([^&\s#]+)")


@dataclass
class Expanded:
    """A config with its references replaced."""

    tree: Any = None
    problems: dict[Key, str] = field(default_factory=dict)
    """A message for each variable that is not set."""
    references: set[Key] = field(default_factory=set)
    """Where something came from a variable."""
    missing: dict[Key, str] = field(default_factory=dict)
    """The variables of secrets that a saved config leaves out, and that are not set."""


def expand(tree: Any, where: Callable[[Key], str]) -> Expanded:
    """`where` says for messages where a key was written. From now on the secrets of the config are known as such."""
    expanded = Expanded()
    shown: set[str] = set()
    hidden: set[str] = set()

    def walk(node: Any, key: Key) -> Any:
        if isinstance(node, dict):
            return {name: walk(value, (*key, name)) for name, value in node.items()}
        if isinstance(node, list):
            return [walk(value, (*key, index)) for index, value in enumerate(node)]
        if not isinstance(node, str) or "${" not in node:
            return node
        values: list[str] = []

        def value_of(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            name, default, later = match[1], match[2], match[3]
            if later and not os.environ.get(name):
                expanded.missing[key] = name
            elif default is None and name not in os.environ:
                expanded.problems[key] = (
                    f"{where(key)}: the environment variable {name} is not set (a literal ${{ is written $${{)"
                )
            values.append(os.environ.get(name) or default or "")
            return values[-1]

        text = _REFERENCE.sub(value_of, node)
        if not values:
            return type(node)(text)
        expanded.references.add(key)
        if _is_url(key) or "://" in text:
            hidden.update(_in_url(text, values))
            return Referenced(text, saved_text(node, key)) if _is_hidden(key) else type(node)(text)
        if not _is_hidden(key):
            shown.update(values)
            return type(node)(text)
        hidden.update(values)
        return _referenced(node, text, saved_text(node, key))

    expanded.tree = walk(tree, ())
    secrecy.keep_environment()
    secrecy.keep([*hidden - shown, *secrecy.of_settings(expanded.tree)])
    return expanded


def saved_text(text: str, key: Key) -> str:
    """A text with references as it is saved: without a default that may be a secret, and without those of a URL."""

    def without_default(match: re.Match[str]) -> str:
        default = match[2]
        if default and ((_is_hidden(key) and not _is_word(default, key)) or any(secrecy.of_url(default))):
            return f"${{{match[1]}:?}}"
        return match[0]

    return saved_url(_REFERENCE.sub(without_default, text))


def is_all_references(text: str) -> bool:
    """There is nothing beside its references but words such as `Bearer`."""
    beside = _REFERENCE.sub(lambda match: match[0] if match[0] == "$${" else " ", text)
    return any(match[1] for match in _REFERENCE.finditer(text)) and all(
        part.isalpha() or not secrecy.may_be_secret(part) for part in beside.split()
    )


def saved_url(text: str) -> str:
    """A text with the secrets in its URLs replaced by references: whoever goes on sets these variables."""
    if "://" not in text:
        return text
    references: list[str] = []

    def taken_out(match: re.Match[str]) -> str:
        references.append(match[0])
        return f"\ue000{len(references) - 1}\ue001"

    def user_info(match: re.Match[str]) -> str:
        user, colon, password = match[1].partition(":")
        return f"{_reference('USER', user)}{colon}{_reference('PASSWORD', password)}@"

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}={_reference(match[1], match[2])}" if names_secret_part(match[1]) else match[0]

    text = _REFERENCE.sub(taken_out, text)
    text = _URL_QUERY.sub(part, _URL_USER_INFO.sub(user_info, text))
    return re.sub("\ue000(\\d+)\ue001", lambda match: references[int(match[1])], text)


def variable(prefix: str, name: str) -> str:
    """The variable for a secret that was not a reference."""
    return f"RSR_{prefix}_{re.sub('[^A-Z0-9]', '_', name.upper())}"


def _reference(name: str, value: str) -> str:
    return value if not value or re.fullmatch("\ue000\\d+\ue001", value) else f"${{{variable('URL', name)}:?}}"


def _is_url(key: Key) -> bool:
    return next((part for part in reversed(key) if isinstance(part, str)), "") == "base_url"


def _is_hidden(key: Key) -> bool:
    """What comes from a reference under this key is a secret: all that is passed on to a server, or to a plugin. A
    setting of rsr's own, such as a model, a path or a number, is shown and counts with its value."""
    names = [part for part in key if isinstance(part, str)]
    if any(part in _PASSED_ON or names_secret(part) for part in names):
        return True
    return names[0] in _OF_PLUGINS and names[-1] not in _PLAIN_OPTIONS and not _is_url(key)


def _is_word(default: str, key: Key) -> bool:
    """It is such as `medium` or `anonymous`, or what can be no secret at all."""
    named = any(isinstance(part, str) and names_secret(part) for part in key)
    return not secrecy.may_be_secret(default) or (not named and default.isalpha() and len(default) <= _LONGEST_WORD)


def _referenced(node: str, text: str, written: str) -> Any:
    """The value of a reference, with how it is saved. Truth values and small numbers are what they say."""
    if isinstance(node, Plain):
        value = resolve_plain(Plain(text))
        if isinstance(value, int) and secrecy.may_be_secret(text) and not isinstance(value, bool):
            return ReferencedNumber(text, written)
        if not isinstance(value, str):
            return Plain(text)
    return Referenced(text, written)


def _in_url(text: str, values: list[str]) -> Iterator[str]:
    """The secrets in a URL some of which came from variables: all that did but the host and what is around it."""
    yield from secrecy.of_url(text)
    try:
        authority = URL(text).authority.rpartition("@")[2]
    except ValueError:
        authority = ""
    for value in values:
        if "://" in value:
            yield from (part for part in value.partition("://")[2].split("/")[1:] if _RANDOM.fullmatch(part))
        elif not authority or value not in authority:
            yield value
