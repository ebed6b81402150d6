"""Find a plug-in by the name that a config gives it.

A built-in is a module of its kind's package and the class in it of the same name: the verifier `math-rlvr` is
`MathRlvr` in `rsr_cli/verifiers/math_rlvr.py`. A user's own is `path/to/file.py:Name`, or an entry point in the
group `rsr.samplers`, `rsr.verifiers`, `rsr.formatters` or `rsr.filters`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import types
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from rsr_cli.errors import ConfigError, PluginError
from rsr_cli.plugins.composite import Composite
from rsr_cli.plugins.contracts import Filter, Formatter, Judge, Sampler, Verifier

Kind = Literal["sampler", "verifier", "formatter", "filter"]

_PACKAGE = __name__.partition(".")[0]
_CONTRACTS: dict[Kind, tuple[type, ...]] = {
    "sampler": (Sampler,),
    "verifier": (Judge, Verifier, Composite),
    "formatter": (Formatter,),
    "filter": (Filter,),
}
_METHODS: dict[Kind, tuple[str, ...]] = {
    "sampler": ("complete", "sample"),
    "verifier": ("verify", "judge"),
    "formatter": ("format",),
    "filter": ("keep",),
}
"""One of these is the author's to write."""
_UNDERLINED = ("by_row",)
"""Verifiers and samplers that configs write as their module is written."""


def names(kind: Kind) -> list[str]:
    """Return the built-in names of a kind, as a config writes them. Imports them all: it is for people to read."""
    package = importlib.import_module(f"{_PACKAGE}.{kind}s")
    found = (_written(kind, module.name) for module in pkgutil.iter_modules(package.__path__))
    return [name for name in found if _builtin(kind, name) is not None]


def find(kind: Kind, name: str) -> Any:
    """Return the class that `name` stands for, a subclass of its kind's contract.

    Raises ConfigError where there is none of this name, PluginError where it is no plug-in of this kind.
    """
    if ".py:" in name:
        return _based(kind, name, load_object(name))
    builtin = _builtin(kind, name)
    plugins = [point for point in entry_points(group=f"rsr.{kind}s") if point.name == name]
    if len(plugins) + (builtin is not None) > 1:
        raise PluginError(f"the {kind} {name!r} is provided more than once: {[point.value for point in plugins]}")
    if plugins:
        return _based(kind, name, plugins[0].load())
    if builtin is not None:
        return builtin
    known = names(kind)
    near = get_close_matches(name, known, n=1, cutoff=0.4)
    raise ConfigError(
        f"{kind}.type: there is no {kind} {name!r}" + (f", did you mean {near[0]!r}?" if near else ""),
        f"known: {', '.join(known)}, or your own as path/to/file.py:Name",
    )


def build(kind: Kind, name: str, options: Mapping[str, Any]) -> Any:
    """Return an instance of what `name` stands for, made with the options that the config gives it.

    A pydantic model reports its own bad options (ValidationError); a plain class that refuses them raises a
    PluginError.
    """
    plugin = find(kind, name)
    if issubclass(plugin, BaseModel):
        return plugin(**options)
    try:
        return plugin(**options)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        given = ", ".join(sorted(options)) or "no options"
        raise PluginError(
            f"the {kind} {name} refuses its options ({given}): {type(error).__name__}: {error}"
        ) from error


def load_object(spec: str) -> Any:
    """Return the object that `path/to/file.py:name` points to."""
    path_text, _, name = spec.rpartition(":")
    path = Path(path_text)
    if not path_text.endswith(".py") or not name:
        raise PluginError(f"{spec!r} is not of the form path/to/file.py:name")
    if not path.is_file():
        raise PluginError(f"there is no file {path}", f"{spec!r} is looked for from {Path.cwd()}")
    # One module per path and content, so that its classes pickle by reference and an edited file is read anew.
    module_name = f"rsr_user_{path.stem}_{file_digest(path)[:12]}"
    module = sys.modules.get(module_name)
    if module is None:
        module_spec = importlib.util.spec_from_file_location(module_name, path)
        assert module_spec is not None and module_spec.loader is not None
        module = importlib.util.module_from_spec(module_spec)
        sys.modules[module_name] = module
        sys.path.insert(0, str(path.parent.resolve()))  # it may import what lies beside it
        try:
            module_spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[module_name]
            if not isinstance(error, Exception | SystemExit):
                raise
            raise PluginError(f"{path} can't be loaded: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(str(path.parent.resolve()))
    if not hasattr(module, name):
        near = get_close_matches(name, dir(module), n=1)
        raise PluginError(f"{path} has no {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    return getattr(module, name)


def identity(name: str) -> str:
    """Return a name as fingerprints have it: a user's own stays the same where its file is moved, since its code is in
    a digest."""
    path, colon, attribute = name.rpartition(":") if ".py:" in name else ("", "", name)
    return f"{Path(path).name}{colon}{attribute}" if colon else name


def code_digest(kind: Kind, name: str) -> str:
    """Return a digest of the code behind a name.

    Of a file of the user's: the file. Of a built-in or an installed one: its module and those that it imports of its
    own package (of rsr only what belongs to the kind, and `reply`, which tells the reply from the thinking).
    """
    if ".py:" in name:
        return file_digest(Path(name.rpartition(":")[0]))
    module = find(kind, name).__module__
    within = (
        (f"{_PACKAGE}.{kind}s", f"{_PACKAGE}.reply")
        if module.startswith(f"{_PACKAGE}.")
        else (module.partition(".")[0],)
    )
    files = sorted(_sources(module, within).items())
    return hashlib.sha256("".join(file_digest(path) for _, path in files).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return a digest of what is in a file; it is read again when the file has changed."""
    return _file_digest(path, _stamp(path))


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what differs once a file has changed."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=1024)
def _file_digest(path: Path, stamp: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def takes_metadata(verify: Any) -> bool:
    """Return whether a `verify` was written for the metadata alone, as those of rsr 0.1 were: (response, metadata)."""
    try:
        return list(inspect.signature(verify).parameters)[1:2] == ["metadata"]
    except (TypeError, ValueError):
        return False


def _written(kind: Kind, module: str) -> str:
    """Return a module's name as a config writes it."""
    return module if kind in ("formatter", "filter") or module in _UNDERLINED else module.replace("_", "-")


@lru_cache(maxsize=256)
def _builtin(kind: Kind, name: str) -> type | None:
    """Return the class of a built-in name, None where there is none: helpers are modules of the package too."""
    module = name.replace("-", "_")
    if not module.isidentifier() or _written(kind, module) != name:
        return None
    path = f"{_PACKAGE}.{kind}s.{module}"
    if importlib.util.find_spec(path) is None:
        return None
    found = getattr(importlib.import_module(path), "".join(part.capitalize() for part in module.split("_")), None)
    return found if isinstance(found, type) and issubclass(found, _CONTRACTS[kind]) else None


def _based(kind: Kind, name: str, found: Any) -> Any:
    """Return a user's class with the defaults of its contract under it."""
    if not isinstance(found, type):
        raise PluginError(f"{name} is a {type(found).__name__}, not a class")
    plugin: Any = found
    if issubclass(found, _CONTRACTS[kind]):
        return plugin
    written = [method for method in _METHODS[kind] if callable(getattr(found, method, None))]
    if not written:
        methods = " or ".join(_METHODS[kind])
        raise PluginError(
            f"{name} is no {kind}: it has no method {methods}", f"derive it from rsr_cli.{kind.capitalize()}"
        )
    asks = "judge" in written or inspect.iscoroutinefunction(getattr(found, "verify", None))
    contract: Any = _CONTRACTS[kind][0 if kind != "verifier" or asks else 1]
    return _with_defaults(plugin, contract)


@lru_cache(maxsize=256)
def _with_defaults(found: Any, contract: Any) -> Any:
    made = types.new_class(found.__name__, (found, contract))
    made.__module__, made.__qualname__, made.__doc__ = found.__module__, found.__qualname__, found.__doc__
    return made


def _sources(module: str, within: tuple[str, ...]) -> dict[str, Path]:
    """Return the source files of a module and of all that it imports, at any depth, from the packages `within`."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or not any(name == package or name.startswith(f"{package}.") for package in within):
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin or not spec.origin.endswith(".py"):
            continue
        found[name] = Path(spec.origin)
        waiting += _imports(name, found[name], is_package=spec.submodule_search_locations is not None)
    return found


def _imports(module: str, path: Path, *, is_package: bool) -> list[str]:
    """Return the modules that a source file imports."""
    return [name for name in _imported_names(module, path, is_package, _stamp(path)) if _is_module(name)]


@lru_cache(maxsize=1024)
def _imported_names(module: str, path: Path, is_package: bool, stamp: tuple[int, ...]) -> list[str]:
    """Return what a source file imports: modules, and names in modules. It is parsed again only when it has changed."""
    parts = module.split(".")
    result: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            result += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + is_package] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            result += [target, *(f"{target}.{alias.name}" for alias in node.names)]
    return list(dict.fromkeys(result))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False
