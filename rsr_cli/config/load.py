"""From a YAML file, or a work dir's saved config, and `dotted.key=value` overrides to settings; and back to a file.

What is a `${NAME}` is saved as it was written: what a variable stands for never reaches a file. See `references`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, get_args

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from rsr_cli.config.locate import RelativePath, is_utf8, locate_files, relative_to
from rsr_cli.config.references import Key, expand, is_all_references, saved_text, saved_url, variable
from rsr_cli.config.scalars import Plain, dump_yaml, load_yaml, resolve_plain
from rsr_cli.config.settings import MIXTURE, Config, MixtureMember
from rsr_cli.errors import ConfigError, InputError, RsrError
from rsr_cli.secrecy import names_secret, redact

REQUIRED = "???"
_DEFAULT_API_KEY = "${OPENAI_API_KEY:-}"


@dataclass(frozen=True)
class LoadedConfig:
    """`config` is what the code reads; `document` is what is saved: every key, references kept, no secret."""

    config: Config
    document: dict[str, Any]
    loose: frozenset[str] = frozenset()
    """What a saved config names by a path that is not absolute: what it leads to lies wherever the work dir was put."""
    missing: dict[Key, str] = field(default_factory=dict)
    """The variables of secrets that were not saved, and are not set."""

    def require_secrets(self, *sections: str) -> None:
        """ConfigError where these sections need a secret that was not saved."""
        told = [
            f"{'.'.join(map(str, key))}: the environment variable {name} is not set"
            for key, name in self.missing.items()
            if key[0] in sections
        ]
        if told:
            raise ConfigError("\n".join(told), "a secret is not saved: set it, or give the value again")

    def saved_in(self, folder: Path | None) -> dict[str, Any]:
        """The document as it is saved in a folder, where that is one of a file system."""
        return self.document if folder is None else relative_to(self.document, folder)

    def to_yaml(self, folder: Path | None = None) -> str:
        return dump_yaml(self.saved_in(folder))


class ConfigFile(Protocol):
    """A path, or a file that lies elsewhere than in a file system."""

    def read_text(self, encoding: str) -> str: ...


def load_config(
    path: ConfigFile | None, overrides: Sequence[str] = (), *, saved: bool = False, only_looks: bool = False
) -> LoadedConfig:
    """The settings in `path` (the defaults without one) with the overrides applied; `saved` is the config of a work
    dir, whose relative paths are relative to it. Who `only_looks` needs no keys: variables that are not set are empty.

    Raises ConfigError that lists everything that is wrong, each with its file, line and key.
    """
    tree: dict[str, Any] = {}
    lines: dict[Key, int] = {}
    if path is not None:
        tree, lines = _read(path)
    for override in overrides:
        apply_override(tree, override)
    tree = _in_full(tree)
    origin = _Origin(path, lines, overrides)
    hint = None if path else "name a config file, or let rsr init write one"
    written = tree
    expanded = expand(tree, origin)
    tree, problems = expanded.tree, {} if only_looks else expanded.problems
    origin.references.update(expanded.references)
    problems |= {key: f"{origin(key)} is required" for key, value in _leaves(tree) if value == REQUIRED}
    # A config in an object store has no folder here.
    beside = Path() if path is None or "://" in str(path) else Path(str(path)).parent
    tree, found = locate_files(tree, lambda key: saved and not origin.is_override(key), beside)
    odd = [(key, value) for key, value in _leaves(tree) if isinstance(value, str) and not is_utf8(value)]
    if odd:
        told = "\n".join(f"{origin(key)}: its value is not UTF-8: {redact(value)}" for key, value in odd)
        raise ConfigError(told, "rename the file; or set PYTHONUTF8=1 where the locale is not UTF-8")
    messages = list(problems.values())
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        messages += explain(error, origin, told=problems.keys())
    if messages:
        raise ConfigError("\n".join(messages), hint)
    leaves = dict(_leaves(tree))
    loose = {
        str(leaves[key]) for key, text in _leaves(written) if saved and not origin.is_override(key) and _moves(text)
    }
    return LoadedConfig(config, _document(config, written, found), frozenset(loose), expanded.missing)


def _moves(text: Any) -> bool:
    """No path, or one that leads elsewhere for another user, folder or process."""
    return isinstance(text, str) and (not text.startswith("/") or text.startswith(("/proc/", "/dev/")))


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set `dotted.key=value` in `tree`; a number in the key is a place in a list, the value is YAML."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r} is not of the form dotted.key=value")
    try:
        value = load_yaml(text)
    except yaml.YAMLError:
        value = text
    node: Any = tree
    *parents, last = key.split(".")
    for part in parents:
        if isinstance(node, list):
            node = node[_index(node, part, key)]
        else:
            child = node.get(part)
            if not isinstance(child, dict | list):
                # `verifier: math-rlvr` is short for a section with that type.
                child = {"type": child} if isinstance(child, str) and part == "verifier" else {}
                node[part] = child
            node = child
    if isinstance(node, list):
        node[_index(node, last, key)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"{key}: {'.'.join(parents)} is a value, not a section")


def _index(node: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f"{key}: {part!r} is not a place in a list of {len(node)}")
    return int(part)


def explain(
    error: ValidationError, origin: _Origin | None = None, known: Sequence[str] = (), told: Collection[Key] = ()
) -> list[str]:
    """One line per problem: where, what, and for an unknown key the nearest of the config's keys, or of `known`.

    Keys of which something was `told` already are left out.
    """
    messages = []
    for item in error.errors():
        key = _plain_key(item["loc"])
        if key in told:
            continue
        where = origin(key) if origin else ".".join(map(str, key)) or error.title
        if item["type"] == "extra_forbidden":
            near = get_close_matches(str(key[-1]), known or _known_keys(key[:-1]), n=1, cutoff=0.5)
            messages.append(f"{where}: unknown key" + (f", did you mean {near[0]!r}?" if near else ""))
        elif item["type"] == "missing":
            messages.append(f"{where} is required")
        else:
            given = item["input"]
            hidden = (
                isinstance(given, dict | list | SecretStr) or _is_secret(key) or (origin and key in origin.references)
            )
            shown = "" if hidden else f", not {redact(str(given))!r:.60}"
            what = item["msg"].removeprefix("Value error, ").removeprefix("Input ").partition(", unable")[0]
            messages.append(f"{where}: {what}{shown}" if where else what)
    return messages


def changed_keys(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """The dotted keys whose value differs between two documents, each with the old and the new value."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    keys = sorted(before.keys() | after.keys(), key=str)
    return {
        ".".join(map(str, key)): [before.get(key), after.get(key)]
        for key in keys
        if before.get(key) != after.get(key) and key != ("work_dir",)
    }


@dataclass(frozen=True)
class _Origin:
    """Says where a key was written: in which file and line, or on the command line."""

    path: ConfigFile | None
    lines: dict[Key, int]
    overrides: Sequence[str]
    references: set[Key] = field(default_factory=set)
    """Whose values came from variables, and are not shown."""

    def is_override(self, key: Key) -> bool:
        """The value of this key was given on the command line, alone or with the section around it."""
        dotted = f"{'.'.join(map(str, key))}."
        return any(dotted.startswith(f"{override.partition('=')[0]}.") for override in self.overrides)

    def __call__(self, key: Key) -> str:
        dotted = ".".join(map(str, key))
        if any(override.startswith((f"{dotted}=", f"{dotted}.")) for override in self.overrides):
            return f"{dotted} (on the command line)"
        line = next((self.lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in self.lines), None)
        return f"{self.path}:{line}: {dotted}" if line else dotted


def _read(path: ConfigFile) -> tuple[dict[str, Any], dict[Key, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except RsrError:
        raise
    except OSError as error:
        raise InputError(
            f"the config {path} can't be read: {error.strerror}", "rsr init writes one to start from"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"the config {path} is not UTF-8 text") from None
    try:
        tree = load_yaml(text)
        lines = dict(_lines(yaml.compose(text, yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: a config is a mapping of keys to values, not a {type(tree).__name__}")
    return tree, lines


def _lines(node: yaml.Node | None, key: Key = ()) -> Iterator[tuple[Key, int]]:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            child = (*key, str(key_node.value))
            yield child, key_node.start_mark.line + 1
            yield from _lines(value_node, child)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*key, index), item.start_mark.line + 1
            yield from _lines(item, (*key, index))


def _in_full(tree: dict[str, Any]) -> dict[str, Any]:
    """The sections that have to stand, and short forms written out: `verifier: name`, a list of them or of samplers,
    one formatter."""
    data = {} if tree.get("data") is None else tree["data"]
    if isinstance(data, dict) and data.get("input_path") not in (None, REQUIRED):
        paths = data["input_path"] if isinstance(data["input_path"], list) else [data["input_path"]]
        data = {**data, "input_path": [{"path": item} if isinstance(item, str) else item for item in paths]}
    tree = {**tree, "data": data}
    sampler = tree.get("sampler")
    if isinstance(sampler, list):
        sampler = tree["sampler"] = {"type": MIXTURE, "members": sampler}
    if sampler is None or (isinstance(sampler, dict) and sampler.get("api_key") is None):
        tree["sampler"] = {**(sampler or {}), "api_key": Plain(_DEFAULT_API_KEY)}
    verifier = tree.get("verifier")
    if isinstance(verifier, list):
        verifier = {"type": "ensemble", "members": verifier}
    if verifier is not None:
        tree["verifier"] = _with_typed_members(verifier)
    for section in ("formatter", "filters"):
        items = tree.get(section)
        if items is not None:
            tree[section] = [_typed(item) for item in (items if isinstance(items, list) else [items])]
    return tree


def _with_typed_members(verifier: Any) -> Any:
    """A verifier with bare names written out, among its members and theirs."""
    verifier = _typed(verifier)
    if isinstance(verifier, dict) and isinstance(verifier.get("members"), list):
        return {**verifier, "members": [_with_typed_members(member) for member in verifier["members"]]}
    return verifier


def _typed(item: Any) -> Any:
    return {"type": item} if isinstance(item, str) else item


def _leaves(tree: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    if isinstance(tree, dict | list) and tree:
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, (*key, name))
    else:
        yield key, tree


def _document(config: Config, written: dict[str, Any], found: Mapping[Key, Path]) -> dict[str, Any]:
    """Every setting as plain data, references as they were written, literal secrets left out; files that were `found`
    in a folder by a relative path as `RelativePath`."""
    return {name: _kept(getattr(config, name), written.get(name), (name,), found) for name in Config.model_fields}


def _kept(value: Any, written: Any, key: Key, found: Mapping[Key, Path]) -> Any:
    if isinstance(written, str) and "${" in written and (not _is_secret(key) or is_all_references(written)):
        return saved_text(str(written), key)
    if key in found:
        return RelativePath(value, found[key])
    if len(key) > 1 and key[-2] == "headers":
        # Whoever goes on with a header whose value was not a reference sets this variable.
        return f"${{{variable('HEADER', str(key[-1]))}:-}}"
    if isinstance(value, SecretStr):
        return _DEFAULT_API_KEY
    if isinstance(value, BaseModel):
        # What a member does not set stays open, so that it follows the section around it.
        names = value.model_fields_set if isinstance(value, MixtureMember) else type(value).model_fields
        fields = {name: getattr(value, name) for name in type(value).model_fields if name in names}
        value = fields | getattr(value, "options", {})
    if isinstance(value, dict):
        source = written if isinstance(written, dict) else {}
        return {name: _kept(item, source.get(name), (*key, name), found) for name, item in value.items()}
    if isinstance(value, list):
        items = written if isinstance(written, list) else [written]
        items = [*items, *[None] * len(value)]
        return [_kept(item, items[index], (*key, index), found) for index, item in enumerate(value)]
    if _is_secret(key) and value is not None and not isinstance(value, bool):
        return None if key[-1] == "api_key" else f"${{{variable('SECRET', str(key[-1]))}:?}}"
    value = resolve_plain(value)
    return saved_url(value) if isinstance(value, str) else value


def _is_secret(key: Key) -> bool:
    """It stands under a name of a secret, be it within a section of that name."""
    return any(isinstance(part, str) and names_secret(part) for part in key)


def _plain_key(loc: tuple[int | str, ...]) -> Key:
    """A pydantic location without the names of the types it tried."""
    return tuple(part for part in loc if not (isinstance(part, str) and ("[" in part or part in {"str", "list"})))


def _known_keys(section: Key) -> list[str]:
    """The keys of a section of the config, found by walking the settings' types."""
    model: type[BaseModel] | None = Config
    for part in section:
        if isinstance(part, int) or model is None:
            continue
        field = model.model_fields.get(part)
        model = next(iter(_models(field.annotation)), None) if field else None
    return list(model.model_fields) if model else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
