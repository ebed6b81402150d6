"""Paths in a config made absolute, so that a stage run from another folder finds the same files, and relative again
where the config is saved, so that a project may be moved with its work dirs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_FILE_KEYS = {"input_path", "path", "model_path", "template", "chat_template"}
_PASSED_THROUGH = "extra_params"
Key = tuple[str | int, ...]


def is_utf8(text: str) -> bool:
    """Other bytes of a path or an argument become halves of characters, which no file of ours can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class RelativePath(str):
    """A path, or a plugin's, that was given relative to the folder `base`; the text has it absolute."""

    __slots__ = ("base",)
    base: Path

    def __new__(cls, absolute: str, base: Path) -> RelativePath:
        made = super().__new__(cls, absolute)
        made.base = base
        return made

    def seen_from(self, folder: Path) -> str:
        """Relative to a folder inside `base`; elsewhere the absolute path, since the two may be moved one by one."""
        return os.path.relpath(self, folder) if folder.is_relative_to(self.base) else str(self)


def locate_files(
    tree: Any, is_saved: Callable[[Key], bool], folder: Path, key: Key = ()
) -> tuple[Any, dict[Key, Path]]:
    """`tree` with absolute paths of the files it names, and for each named by a relative path what that is relative to.

    Files are looked for from here, then in the `folder` of the config; those of a saved config (`is_saved`) from its
    folder. Inputs, models and templates are told by their keys, plugins by `.py:` in their value. What is not found
    stays as it was written: the one who wants it says so. A symbolic link stays one: its target may have another name.
    """
    found: dict[Key, Path] = {}
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        located: dict[Any, Any] = {}
        for name, value in items:
            located[name] = value
            if name != _PASSED_THROUGH:
                located[name], inside = locate_files(value, is_saved, folder, (*key, name))
                found |= inside
        return (located if isinstance(tree, dict) else list(located.values())), found
    name = next((part for part in reversed(key) if isinstance(part, str)), "")
    if not isinstance(tree, str) or "://" in tree:
        return tree, found
    text, colon, attribute = tree.rpartition(":") if ".py:" in tree else (tree, "", "")
    if not text or not (colon or name in _FILE_KEYS):
        return tree, found
    path = Path(text).expanduser()
    for base, place in _places(path, folder, is_saved(key)):
        if place.exists():
            if not path.is_absolute():
                found[key] = base.absolute()
            return f"{place.absolute()}{colon}{attribute}", found
    return tree, found


def _places(path: Path, folder: Path, saved: bool) -> Iterator[tuple[Path, Path]]:
    """Where a file may be, each with the folder that its path is relative to."""
    if not saved:
        yield from ((base, base / path) for base in (Path(), folder))
        return
    # Without following links: the work dir may be one.
    place = Path(os.path.normpath(folder.absolute() / path))
    up = sum(part == ".." for part in path.parts)
    yield Path(os.path.normpath(folder.absolute() / Path(*path.parts[:up]))), place
    yield Path(), Path(*path.parts[up:])  # the work dir was moved out of its project: we may be in that


def relative_to(document: Any, folder: Path) -> Any:
    """`document` as it is saved in `folder`: with relative paths where they were relative as they were written."""
    if isinstance(document, dict):
        return {name: relative_to(value, folder) for name, value in document.items()}
    if isinstance(document, list):
        return [relative_to(item, folder) for item in document]
    return document.seen_from(folder) if isinstance(document, RelativePath) else document
