"""The lock of a folder in a file system: the kernel's, on the file `.lock`, which holds the pid of its holder."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsr_cli.errors import WorkDirError

log = logging.getLogger(__name__)

LOCK = ".lock"
UNLOCKED = "RSR_NO_LOCK"
"""Set to 1 in the environment, a work dir may lie in a file system that has no locks."""
_LOCK_CONTENT = re.compile(rb"\d*\s*")
_WAIT_FOR_LOCK_S = 0.5
"""A reader that asks who writes holds the lock for an instant."""


@contextmanager
def locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    path = root / LOCK
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    try:
        if not _LOCK_CONTENT.fullmatch(os.pread(descriptor, 200, 0)):
            raise WorkDirError(f"{path} was not written by rsr", "move it away: its name is wanted for the lock")
        _take_lock(descriptor, root)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, root: Path) -> None:
    """WorkDirError with the pid of the one that has it, and where the file system has no locks."""
    end = time.monotonic() + _WAIT_FOR_LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                raise WorkDirError(
                    f"{root} is in use by " + (f"the process with pid {holder}" if holder else "another process"),
                    "wait for it, or stop it with kill -INT",
                ) from None
            time.sleep(0.02)
        except OSError as error:
            if os.environ.get(UNLOCKED) == "1":
                log.warning("%s: no lock can be had here; nothing keeps a second rsr from writing too", root)
                return
            raise WorkDirError(
                f"{root} lies in a file system that gives no lock ({error.strerror}): "
                "two commands that write at once would go unnoticed",
                f"use a local disk or an object store (docs/object-storage.md); or set {UNLOCKED}=1, and see to it "
                "that only one command writes",
            ) from None


def is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.ELOOP):
            return False
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return _is_alive(os.pread(descriptor, 200, 0))  # no locks here: its pid is all there is to go by
    finally:
        os.close(descriptor)
    return False


def _is_alive(pid: bytes) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OSError, OverflowError):
        return False
    return True
