"""Plain YAML scalars, kept as they were written until the type of their key is known.

YAML 1.1 reads `1e-5` as text, `on` as true and `007` as seven. Here a plain scalar stays text, and the type of its
key decides: pydantic turns it into a number or a bool, a string key keeps it. Where a key takes anything
(`extra_params`, a plugin's options), the YAML 1.2 core schema decides.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Plain(str):
    """A scalar written without quotes, not yet given a type."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """SafeLoader that leaves plain scalars untyped and refuses a key given twice."""


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> str | None:
    if node.style is not None:
        return str(node.value)
    return None if node.value in _NULLS else Plain(node.value)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in result:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


for _tag in ("str", "int", "float", "bool", "null", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _scalar)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_yaml(text: str) -> Any:
    """The document with its plain scalars as `Plain`; yaml.YAMLError where it is not YAML."""
    return yaml.load(text, _Loader)


def resolve_plain(value: Any) -> Any:
    """`value` with every plain scalar in it given the type of the YAML 1.2 core schema."""
    if isinstance(value, dict):
        return {str(key): resolve_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_plain(item) for item in value]
    if not isinstance(value, Plain):
        return value
    text = str(value)
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return text


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes every text which would be read back as something else."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if text in _NULLS or resolve_plain(Plain(text)) != text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(str, _represent_text)


def dump_yaml(value: Any) -> str:
    """YAML that `load_yaml` and `resolve_plain` read back as `value`."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
