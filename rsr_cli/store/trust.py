"""Whose code may run: that of a work dir which was made elsewhere runs only after `--trust`.

A work dir that is made here bears in its state a stamp of this user's secret key, which lies outside all work dirs. It
is bound to the place of the work dir and to its inode: so it may be moved, and a copy, or what somebody sends, is not
taken for it.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.local_storage import LocalStorage

log = logging.getLogger(__name__)

_KEY_BYTES = 32
_FILES = {"chat_template", "model_path"}
"""The keys whose files are code, or may hold some."""


def stamps(root: Storage) -> list[str]:
    """What proves that this user has made, or trusts, the work dir at `root`; nothing where no key can be kept."""
    try:
        key = _key()
    except OSError as error:
        log.debug("no key can be kept: %s", error)
        return []
    path = root.local_path()
    places = [str(root)] if path is None else [os.path.realpath(path), f"inode {path.stat().st_ino}"]
    return [hmac.new(key, place.encode("utf-8", "surrogateescape"), "sha256").hexdigest() for place in places]


def is_trusted(root: Storage, state: dict[str, Any]) -> bool:
    """The state of the work dir at `root` bears one of its stamps."""
    given = state.get("made_here")
    known = {text for text in given if isinstance(text, str)} if isinstance(given, list) else set()
    return not known.isdisjoint(stamps(root)) if known else False


def require_trusted(code: Iterable[str], loose: Collection[str], root: Storage | None) -> None:
    """WorkDirError where code (`path/to/file.py:name`, or a file) lies in a work dir that was not made here, or where
    the saved config of one names it by a path that is not absolute (`loose`)."""
    for text in code:
        path = Path(text.rpartition(":")[0] if ".py:" in text else text)
        if not path.exists():
            continue
        hint = f"read {path}, then give --trust once: the work dir is trusted from then on"
        for folder in _work_dirs_around(path, root):
            if not is_trusted(folder, _state(folder)):
                raise WorkDirError(f"{path} is code in the work dir {folder}, which was not made here", hint)
        if text in loose and root is not None and not is_trusted(root, _state(root)):
            raise WorkDirError(
                f"{root}/config.yaml names the code {path} by a path that is not absolute, and the work dir was not "
                "made here",
                hint,
            )


def code_in(settings: Any, key: str = "") -> Iterator[str]:
    """The files in the settings that are code: plugins, and what a model brings along."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            yield from code_in(value, str(name))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from code_in(value, key)
    elif isinstance(settings, str) and (".py:" in settings or key in _FILES):
        yield settings


def _work_dirs_around(path: Path, root: Storage | None) -> Iterator[LocalStorage]:
    """The work dirs in which a file lies, by its path as it is written or by where that leads."""
    here = root.local_path() if root is not None else None
    as_written = Path(os.path.normpath(path.absolute()))
    for folder in map(LocalStorage, dict.fromkeys([*as_written.parents, *path.resolve().parents])):
        is_root = here is not None and here.exists() and folder.exists() and folder.samefile(here)
        if is_root or {"stages", "version"} <= _state(folder).keys():
            yield folder


def _state(folder: Storage) -> dict[str, Any]:
    """What lies there as state.json, {} where that is none."""
    path = folder / "state.json"
    try:
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError):
        pass
    return {}


def _key() -> bytes:
    """This user's secret, made when it is first wanted."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "rsr"
    path = folder / "key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder / f".key-{secrets.token_hex(4)}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
            os.fsync(descriptor)
            os.link(new, path)
        except FileExistsError:
            pass  # another rsr was as quick
        finally:
            os.close(descriptor)
            new.unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise OSError(f"{path} holds no key")
    return key
