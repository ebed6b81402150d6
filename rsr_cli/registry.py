"""Find a sampler, a verifier or a formatter by the name that a config gives it.

A built-in is a module of its kind's package and the class in it of the same name: the verifier `math-rlvr` is
`MathRlvr` in `rsr_cli/verifiers/math_rlvr.py`. A user's own is `path/to/file.py:Name`, or an entry point in the
group `rsr.verifiers`, `rsr.samplers` or `rsr.formatters`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from rsr_cli import reply
from rsr_cli.errors import ConfigError, PluginError

Kind = Literal["sampler", "verifier", "formatter"]

_METHODS: dict[Kind, re.Pattern[str]] = {
    "sampler": re.compile(r"^    async def sample\(", re.MULTILINE),
    "verifier": re.compile(r"^    (async )?def (verify|judge|verdicts)\(", re.MULTILINE),
    "formatter": re.compile(r"^    def format\(", re.MULTILINE),
}


_WANTED: dict[Kind, tuple[str, ...]] = {
    "sampler": ("sample",),
    "verifier": ("verify|judge",),
    "formatter": ("is_satisfied", "format"),
}
"""The methods of a user's own; `a|b` is one of the two."""


def names(kind: Kind) -> list[str]:
    """The built-in names of a kind, as a config writes them."""
    package = importlib.import_module(f"rsr_cli.{kind}s")
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        name = module.name if kind == "formatter" else module.name.replace("_", "-")
        if _defines(kind, Path(package.__path__[0]) / f"{module.name}.py", _class_name(name)):
            found.append(name)
    return found


def find(kind: Kind, name: str) -> Any:
    """The class (or function) that `name` stands for; ConfigError or PluginError where there is none."""
    if ".py:" in name:
        return load_object(name)
    builtin = name in names(kind)
    plugins = [point for point in entry_points(group=f"rsr.{kind}s") if point.name == name]
    if builtin + len(plugins) > 1:
        raise PluginError(f"the {kind} {name!r} is provided more than once: {[point.value for point in plugins]}")
    if plugins:
        return plugins[0].load()
    if builtin:
        module = importlib.import_module(f"rsr_cli.{kind}s.{name.replace('-', '_')}")
        return getattr(module, _class_name(name))
    near = get_close_matches(name, names(kind), n=1, cutoff=0.4)
    raise ConfigError(
        f"{kind}.type: there is no {kind} {name!r}" + (f", did you mean {near[0]!r}?" if near else ""),
        f"known: {', '.join(names(kind))}, or your own as path/to/file.py:Name",
    )


def build(kind: Kind, name: str, options: Mapping[str, Any]) -> Any:
    """An instance of what `name` stands for, made with the options that the config gives it.

    A pydantic model reports its own bad options (ValidationError); a user's plain class that refuses them raises a
    PluginError.
    """
    factory = find(kind, name)
    if isinstance(factory, type) and issubclass(factory, BaseModel):
        return factory(**options)
    if not callable(factory):
        raise PluginError(f"{name} is a {type(factory).__name__}, not a class")
    try:
        made = factory(**options)
    except Exception as error:
        raise PluginError(f"{name} could not be made with {dict(options)}: {type(error).__name__}: {error}") from error
    for method in _WANTED[kind]:
        if not any(callable(getattr(made, choice, None)) for choice in method.split("|")):
            raise PluginError(f"{name} is no {kind}: it has no method {method.replace('|', ' or ')}")
    return made


def load_object(spec: str) -> Any:
    """The object that `path/to/file.py:name` points to."""
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
    """A name as fingerprints have it: a user's own stays the same where its file is moved; its code is in a digest."""
    path, colon, attribute = name.rpartition(":") if ".py:" in name else ("", "", name)
    return f"{Path(path).name}{colon}{attribute}" if colon else name


def code_digest(kind: Kind, name: str) -> str:
    """A digest of the code behind a name: the file of a user's own, the whole package of a built-in; and of how the
    thinking is told from the reply, which all of them rely on."""
    if ".py:" in name:
        files = [Path(name.rpartition(":")[0])]
    else:
        files = sorted(Path(inspect.getfile(find(kind, name))).parent.rglob("*.py"))
    files.append(Path(inspect.getfile(reply)))
    return hashlib.sha256("".join(file_digest(path) for path in files).encode()).hexdigest()


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.replace("-", "_").split("_"))


def _defines(kind: Kind, path: Path, class_name: str) -> bool:
    """The module holds the class of its name, and the class does what its kind does: helpers stand beside it."""
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    return bool(re.search(rf"^class {class_name}\b", text, re.MULTILINE) and _METHODS[kind].search(text))
