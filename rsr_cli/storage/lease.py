"""The one writer of a work dir in an object store: a lease that is renewed as long as its holder lives.

It is a row of numbered objects in `.lease/`, of which the last one counts. Whoever takes the lease or renews it puts
the next number, on the condition that nobody has; who finds it taken is no writer, or no longer. The age of a lease is
told by the clock of the store alone, so that those of the machines may differ.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rsr_cli.errors import ConfigError, StorageError, WorkDirError
from rsr_cli.storage.object_path import ObjectPath

log = logging.getLogger(__name__)

LEASE = ".lease"
SECONDS_VARIABLE = "RSR_LEASE_SECONDS"
_SECONDS = 60.0
_SETTLING_S = 2.0
"""Where a store heeds no conditions: how long to wait for another who has begun at the same moment."""


_owners_here: set[str] = set()
"""Those that this process itself has been or has wanted to be."""


@dataclass(frozen=True)
class Holder:
    """Who put an object of the lease."""

    owner: str
    host: str
    pid: int
    machine: str
    """Tells apart machines of the same name, and containers on one machine."""
    seconds: float
    """How long the lease holds when it is not renewed."""
    released: bool = False

    @property
    def is_gone(self) -> bool:
        """It has let go, or its process on this machine has ended."""
        if self.released:
            return True
        if not self.machine or self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # Where the pid is our own, whoever had it before us has ended.
        return self.pid == os.getpid() and self.owner not in _owners_here

    def encoded(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@contextmanager
def leased(root: ObjectPath) -> Iterator[None]:
    """Be the one writer under this root; WorkDirError that says who is, where somebody is already."""
    lease = Lease(root)
    lease.take()
    with root.store.guarded_by(lease), lease.renewing():
        yield


def has_holder(root: ObjectPath) -> bool:
    """Somebody is writing here now, as far as a reader can tell by its own clock."""
    found = _last(root / LEASE)
    if found is None:
        return False
    path, holder = found
    return not holder.is_gone and time.time() - path.modified().timestamp() < holder.seconds


class Lease:
    def __init__(self, root: ObjectPath) -> None:
        seconds = _seconds()
        self._root = root
        self._folder = root / LEASE
        self._holder = Holder(secrets.token_hex(8), socket.gethostname(), os.getpid(), _machine(), seconds)
        _owners_here.add(self._holder.owner)
        self._number = 0
        self._began: float | None = None
        """When the next object was put first: it may have arrived though the store did not say so."""
        self._good_until = 0.0
        self._ended = threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        """A process that works for the holder asks the store."""
        return LeaseOfAnother, (self._root.unguarded(), self._holder.owner)

    def check(self) -> None:
        """WorkDirError where this process is not the writer any more."""
        if _clock() > self._good_until:
            raise _lost(self._root)

    def take(self) -> None:
        """WorkDirError where somebody holds it."""
        found = _last(self._folder)
        if found is not None:
            path, holder = found
            self._number = int(path.name)
            if not holder.is_gone and (left := holder.seconds - self._age(path)) > 0:
                raise WorkDirError(
                    f"{self._root} is in use by the process with pid {holder.pid} on {holder.host}",
                    f"wait for it, or stop it with kill -INT; if it is gone, its lease ends in {left:.0f} s",
                )
        if not self._put_next():
            raise _forestalled(self._root)
        self._settle()

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew it in the background; let go of it at the end."""
        thread = threading.Thread(target=self._renew, name="rsr-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self._release()

    def _renew(self) -> None:
        wait = self._holder.seconds / 3
        while not self._ended.wait(wait):
            wait = self._holder.seconds / 3
            try:
                self.check()
                if not self._put_next():
                    self._good_until = 0.0
            except StorageError as error:
                log.warning("the lease could not be renewed: %s", error.message)
                wait = self._holder.seconds / 12
            except WorkDirError:
                self._good_until = 0.0
            if not self._good_until:
                return

    def _put_next(self) -> bool:
        """Put the object of the next number; False where somebody else has."""
        self._began = began = self._began or _clock()
        mine = self._folder / f"{self._number + 1:08d}"
        if not mine.create(self._holder.encoded()):
            return False
        # One that slept over its end may find a number free that was used and removed meanwhile.
        numbers = _numbers(self._folder)
        if numbers[-1:] != [mine.name]:
            mine.unlink(missing_ok=True)
            return False
        self._number, self._began = self._number + 1, None
        # A third is left for what is on its way when it ends.
        self._good_until = began + self._holder.seconds * 2 / 3
        self._folder.remove_all(numbers[:-1])
        return True

    def _settle(self) -> None:
        """A store that heeds no conditions takes a second object of the same name: then let the last one win."""
        mine = self._folder / f"{self._number:08d}"
        if not mine.create(b"{}"):
            return
        content = self._holder.encoded()
        mine.write_bytes(content)
        time.sleep(_SETTLING_S)
        found = _last(self._folder)
        if found is None or found[1] != self._holder:
            raise _forestalled(self._root)

    def _release(self) -> None:
        try:
            if self._root.store.listed(self._root.key).keys() == {LEASE}:
                self._folder.rmtree()  # nothing came into the work dir
            else:
                (self._folder / f"{self._number:08d}").write_bytes(replace(self._holder, released=True).encoded())
        except (StorageError, WorkDirError):
            pass  # it runs out by itself
        self._good_until = 0.0

    def _age(self, path: ObjectPath) -> float:
        """Seconds since an object was put: what the store says of it, beside what it says of one put now."""
        now = self._folder / f"clock-{self._holder.owner}"
        now.write_bytes(b"now")
        try:
            return (now.modified() - path.modified()).total_seconds()
        finally:
            now.unlink()


@dataclass(frozen=True)
class LeaseOfAnother:
    """The lease of the process that this one works for."""

    root: ObjectPath
    owner: str

    def check(self) -> None:
        found = _last(self.root / LEASE)
        if found is None or found[1].owner != self.owner or found[1].released:
            raise _lost(self.root)


def _last(folder: ObjectPath) -> tuple[ObjectPath, Holder] | None:
    """The object that counts, and who put it."""
    while numbers := _numbers(folder):
        path = folder / numbers[-1]
        try:
            return path, Holder(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            continue  # renewed meanwhile
        except (ValueError, TypeError) as error:
            told = f"{path} is not what rsr has written: {error}"
            raise WorkDirError(told, "if nobody writes here, remove it") from None
    return None


def _numbers(folder: ObjectPath) -> list[str]:
    """Asked of the store each time: others put objects here too."""
    return sorted(name for name in folder.store.listed(folder.key) if name.isdigit())


def _forestalled(root: ObjectPath) -> WorkDirError:
    return WorkDirError(f"another process has just begun to write in {root}", "wait for it, or stop it")


def _lost(root: ObjectPath) -> WorkDirError:
    return WorkDirError(
        f"the lease on {root} is lost: it could not be renewed in time, or another process has taken it",
        "nothing more is written here; what was recorded is kept, rsr resume goes on when the other has ended",
    )


def _seconds() -> float:
    text = os.environ.get(SECONDS_VARIABLE, str(_SECONDS))
    try:
        if 1 <= (seconds := float(text)) <= 86400:
            return seconds
    except ValueError:
        pass
    raise ConfigError(f"{SECONDS_VARIABLE}={text!r} is no number of seconds from 1 to 86400")


def _clock() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _machine() -> str:
    """Empty where it can't be told; processes that see the same pids have the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
