"""A journal on a disk while it is written, guarded against other processes.

What cleans up a scratch disk, or a hand that slips, may delete, empty or overwrite it in the middle of a run. That is
noticed at the next write by its inode, size and time. What it held is then written again: from the file, which stays
open when it is deleted, and from memory, which keeps what was written last.
"""

from __future__ import annotations

import logging
import os
from array import array
from collections import Counter, deque

from rsr_cli.errors import RsrError
from rsr_cli.storage.journal_lines import KEPT_BYTES, checksum, is_whole
from rsr_cli.storage.local_path import LocalPath

log = logging.getLogger(__name__)

_WHO = "look for what changes files in the work dir while rsr runs, such as a cleaner of scratch space"


class JournalFile:
    def __init__(self, path: LocalPath) -> None:
        self._path = path
        self._checksums = array("I")
        """Of every line that the journal is to hold."""
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        path.require_regular()
        self._file = path.open("a+b", buffering=0)
        if existed:
            self._take_up()
        else:
            path.parent.sync_entries()
        self._stamp = self._stamp_of_ours()

    @property
    def lines(self) -> int:
        """How many whole lines it is to hold."""
        return len(self._checksums)

    def _take_up(self) -> None:
        """Go on with what an earlier run left."""
        end = damaged = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # torn by a crash: it would swallow the next line
                end += len(line)
                if is_whole(line):
                    self._checksums.append(checksum(line))
                else:
                    damaged += 1
        os.truncate(self._file.fileno(), end)
        if damaged:
            log.warning("%s: %d of its lines are damaged; what they held is made again", self._path, damaged)

    def write(self, lines: bytes) -> None:
        """Append whole lines and sync them; OSError where the disk does not take them, RsrError where lines written
        before are lost."""
        new = array("I", map(checksum, lines.splitlines(keepends=True)))
        if self._is_harmed():
            self._restore(lines)
        elif lines:
            self._append(lines)
        self._checksums += new
        self._keep(lines)
        self._stamp = self._stamp_of_ours()

    def verify(self) -> None:
        """Read it from its beginning: RsrError where a line is lost that can't be written again."""
        if self._is_harmed() or self._missing(Counter(map(checksum, self._whole_lines()))):
            self._restore(b"")
            self._stamp = self._stamp_of_ours()

    def close(self) -> None:
        self._file.close()

    def _append(self, lines: bytes) -> None:
        block = memoryview(lines)
        end = self._file.seek(0, os.SEEK_END)
        try:
            while block:
                block = block[self._file.write(block) :]
        except OSError:
            os.truncate(self._file.fileno(), end)
            raise
        os.fsync(self._file.fileno())

    def _keep(self, lines: bytes) -> None:
        self._kept.append(lines)
        self._kept_bytes += len(lines)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popleft())

    def _stamp_of_ours(self) -> tuple[int, ...]:
        """That of the open file: one that is deleted while it is written to differs from what is at the path."""
        found = os.fstat(self._file.fileno())
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _stamp_now(self) -> tuple[int, ...]:
        """Changes with every change of the file at the path; () where there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _is_harmed(self) -> bool:
        """Another process has changed the file. A new time alone is none: some network file systems set it late."""
        now = self._stamp_now()
        if now == self._stamp:
            return False
        if now[:3] != self._stamp[:3] or self._missing(Counter(map(checksum, self._whole_lines()))):
            return True
        self._stamp = now
        return False

    def _whole_lines(self) -> list[bytes]:
        """Of the open file, even if it is no longer at its path."""
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(0)
            return [line for line in file if is_whole(line)]

    def _missing(self, found: Counter[int]) -> Counter[int]:
        return Counter(self._checksums) - found

    def _restore(self, new: bytes) -> None:
        """Write the journal again, with the lines that are `new`."""
        stamp = self._stamp_now()
        what = "deleted" if not stamp else "replaced" if stamp[:2] != self._stamp[:2] else "changed"
        whole = self._whole_lines()
        missing = self._missing(Counter(map(checksum, whole)))
        for block in self._kept:
            for line in block.splitlines(keepends=True):
                if missing[checksum(line)] > 0:
                    missing[checksum(line)] -= 1
                    whole.append(line)
        lost = missing.total()
        if lost:
            self._checksums = array("I", map(checksum, [*whole, *new.splitlines(keepends=True)]))
        with self._path.replacing() as temporary:
            temporary.write_bytes(b"".join([*whole, new]))
        self._file.close()
        self._file = self._path.open("a+b", buffering=0)
        told = f"{self._path} was {what} by another process while this one writes it"
        if lost:
            self._stamp = self._stamp_of_ours()
            raise RsrError(
                f"{told}: {lost} of its {lost + len(whole)} records are lost, the others are written again",
                f"{_WHO}; rsr resume goes on with what is there",
            )
        log.warning("%s: all of its %d records are written again; %s", told, len(whole), _WHO)
