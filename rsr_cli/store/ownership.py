"""Who owns what in a work dir: rsr replaces and removes only what it wrote itself, and can prove so.

Parquet shards bear a digest of their rows in their footers. Of every other file `state.json` holds the digest, noted
before the file gets its name, so that a kill at any moment leaves a file that is known.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rsr_cli.errors import WorkDirError
from rsr_cli.storage.files import digest_of, set_aside
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.lease import LEASE
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.storage.lock import LOCK
from rsr_cli.store import shards
from rsr_cli.store.state import DamagedState, State
from rsr_cli.store.work_dir import STAGING, WorkDir

log = logging.getLogger(__name__)


def refuse_foreign_folder(root: Storage) -> None:
    """WorkDirError where `root` can't become a work dir: a folder that is not empty and has no state.json.

    One whose state is lost but whose data shards are rsr's own is a work dir.
    """
    if root.lexists() and not root.is_dir():
        raise WorkDirError(f"{root} is not a folder", "name a new one, or a work dir")
    if not root.exists():
        return
    if (root / "state.json").exists():
        try:
            WorkDir(root).load_state()
        except DamagedState as damaged:
            if not holds_own_data(WorkDir(root)):
                raise WorkDirError(damaged.message, "if that is no work dir, name another folder with -w") from None
        return
    other = sorted({path.name for path in root.iterdir()} - {LOCK, STAGING, LEASE})
    if other and not holds_own_data(WorkDir(root)):
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise WorkDirError(
            f"{root} is not a work dir and is not empty (it holds {', '.join(other[:3])}{more}): "
            "rsr writes only into a folder of its own",
            "name another one with -w, which is made where it does not exist",
        )


def holds_own_data(work_dir: WorkDir) -> bool:
    """There is a data shard that rsr wrote."""
    try:
        return any(shards.digest(work_dir.data(shard)) for shard in work_dir.shards()[:1])
    except WorkDirError:
        return False


def is_own_file(work_dir: WorkDir, state: State, path: Storage) -> bool:
    """The file is as rsr wrote it."""
    return digest_of(path) in state.written.get(_name(work_dir, path), [])


@contextmanager
def replacing_own(work_dir: WorkDir, state: State, path: Storage) -> Iterator[LocalStorage]:
    """Like `replacing`, and `state.json` knows what was written. A file that is not as rsr wrote it is set aside."""
    with path.replacing() as temporary:
        yield temporary
        there, name = digest_of(path), _name(work_dir, path)
        keep_if_foreign(path, own=there is None or there in state.written.get(name, []))
        before = [there] if there is not None and there in state.written.get(name, []) else []
        state.written[name] = [*before, digest_of(temporary) or ""]
        state.save(work_dir.state_path)


def write_own_text(work_dir: WorkDir, state: State, path: Storage, text: str) -> None:
    with replacing_own(work_dir, state, path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def keep_if_foreign(path: Storage, *, own: bool) -> None:
    """Set a file aside that is about to be replaced and that somebody else has written or changed."""
    if not own:
        log.warning("%s is not as rsr wrote it: it is kept as %s", path, set_aside(path).name)


def remove_own(work_dir: WorkDir, state: State, path: Storage) -> bool:
    """Remove a file that is as rsr wrote it; False where it is not, and stays."""
    if not path.exists() or not is_own_file(work_dir, state, path):
        return not path.exists()
    path.remove()
    return True


def _name(work_dir: WorkDir, path: Storage) -> str:
    return str(path).removeprefix(f"{work_dir.root}/")
