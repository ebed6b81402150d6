"""What is done with a file wherever it lies."""

from __future__ import annotations

import hashlib
from itertools import count

from rsr_cli.storage.interface import Storage


def write_text(path: Storage, text: str) -> None:
    with path.replacing() as temporary:
        temporary.write_text(text, encoding="utf-8")


def digest_of(path: Storage) -> str | None:
    """Return a digest of a file's content; None if there is no file, empty if something else lies in its place."""
    if path.is_symlink() or not path.is_file():
        return "" if path.lexists() else None
    with path.open("rb") as file:
        found = hashlib.sha256()
        while block := file.read(2**20):
            found.update(block)
        return found.hexdigest()[:32]


def is_empty_folder(path: Storage) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def set_aside(path: Storage) -> Storage:
    """Rename a file to the first of NAME.kept, NAME.kept2, … that is free; return the new path."""
    names = (f"{path.name}.kept{number if number > 1 else ''}" for number in count(1))
    return path.renamed(next(name for name in names if not (path.parent / name).lexists()))
