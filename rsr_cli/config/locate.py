"""Paths in a config made absolute, so that a stage run from another folder finds the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FILE_KEYS = {"input_path", "path", "model_path", "template", "chat_template"}
_PASSED_THROUGH = "extra_params"


def locate_files(tree: Any, directory: Path, key: str = "") -> Any:
    """`tree` with the files it names looked for from here, then beside the config in `directory`.

    Inputs, models and templates are told by their keys, plugins by `.py:` in their value. What is not found stays as
    it was written: the one who wants it says so.
    """
    if isinstance(tree, dict):
        return {
            name: value if name == _PASSED_THROUGH else locate_files(value, directory, name)
            for name, value in tree.items()
        }
    if isinstance(tree, list):
        return [locate_files(item, directory, key) for item in tree]
    if not isinstance(tree, str) or "://" in tree:
        return tree
    path, colon, name = tree.rpartition(":") if ".py:" in tree else (tree, "", "")
    if not path or not (colon or key in _FILE_KEYS):
        return tree
    for base in (Path(), directory):
        found = base / Path(path).expanduser()
        if found.exists():
            return f"{found.resolve()}{colon}{name}"
    return tree
