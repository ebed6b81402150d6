"""The connection to an object store by fsspec: what lies in its folders, and its errors in rsr's words."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from rsr_cli.errors import RsrError, StorageError, WorkDirError

_EXTRAS = {"s3": "'rsr-cli[s3]'", "s3a": "'rsr-cli[s3]'", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "mtime")
PASSWORD = re.compile(r"(?<=//)[^/@\s]*:[^/@\s]*@")


@dataclass(frozen=True)
class Entry:
    """What a listing tells of a name. `stamp` changes with the content."""

    size: int
    stamp: str
    is_folder: bool = False


class Guard(Protocol):
    def check(self) -> None:
        """Raises where nothing may be written any more."""


class ObjectStore:
    """The connection to what lies under one root."""

    def __init__(self, scheme: str, root: str, guard: Guard | None = None) -> None:
        self.scheme = scheme
        self.root = root
        self.guard = guard
        self._folders: dict[str, dict[str, Entry]] = {}
        """Listings, kept while nobody else writes."""
        self._keeps = False
        self._puts = 0
        self._lock = threading.Lock()

    @cached_property
    def fs(self) -> Any:
        if PASSWORD.search(f"//{self.root}") or set("?*[") & set(self.root):
            raise WorkDirError(
                f"{self.scheme}://…: a work dir's URL must bear no password, no key and none of ?*[",
                "give them to the storage library by its environment variables or profile",
            )
        try:
            import fsspec

            return fsspec.filesystem(self.scheme, skip_instance_cache=True, use_listings_cache=False)
        except ImportError as error:
            package = _EXTRAS.get(self.scheme, "the fsspec package for it")
            raise WorkDirError(f"{self.scheme}:// can't be read: {error}", f"pip install {package}") from None
        except ValueError as error:
            raise WorkDirError(f"{self.scheme}:// can't be read: {error}", "s3://bucket/folder is understood") from None

    @contextmanager
    def guarded_by(self, guard: Guard) -> Iterator[None]:
        """Nobody else writes: what was listed once is known until it is written here."""
        self.guard, self._keeps = guard, True
        self._folders.clear()
        try:
            yield
        finally:
            self._keeps = False
            self._folders.clear()

    def check(self) -> None:
        if self.guard is not None:
            self.guard.check()

    def entries(self, folder: str) -> dict[str, Entry]:
        """What lies in a folder, by name; nothing where there is no such folder."""
        parent, _, name = folder.rpartition("/")
        if self._keeps and folder != self.root and name not in self.entries(parent):
            return {}
        with self._lock:
            if folder not in self._folders:
                found = self.listed(folder)
                if not self._keeps:
                    return found
                self._folders[folder] = found
            return dict(self._folders[folder])

    def listed(self, folder: str) -> dict[str, Entry]:
        """The same, asked of the store whatever is known."""
        try:
            with self.telling(folder):
                infos = self.fs.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found = {}
        for info in infos:
            parent, _, name = info["name"].strip("/").rpartition("/")
            if parent == folder.strip("/") and name:
                stamp = str(next((info[key] for key in _STAMPS if key in info), ""))
                found[name] = Entry(info.get("size") or 0, stamp, info["type"] == "directory")
        return found

    def wrote(self, key: str, size: int) -> None:
        """Keep the listings right after a write."""
        with self._lock:
            self._puts += 1
            entry = Entry(size, f"put {self._puts}")
            while key != self.root:
                key, _, name = key.rpartition("/")
                if key in self._folders and not (entry.is_folder and name in self._folders[key]):
                    self._folders[key][name] = entry
                entry = Entry(0, "", is_folder=True)

    def look_again(self) -> None:
        """A process that works for this one has written: what was listed is asked anew."""
        with self._lock:
            self._folders.clear()

    def removed(self, key: str) -> None:
        with self._lock:
            for folder in list(self._folders):
                if f"{key}/".startswith(f"{folder}/") or folder.startswith(f"{key}/"):
                    del self._folders[folder]

    @contextmanager
    def telling(self, key: str) -> Iterator[None]:
        """What the library raises becomes a StorageError, but for what is not there or there already."""
        try:
            yield
        except (FileNotFoundError, FileExistsError, NotADirectoryError, RsrError):
            raise
        except Exception as error:  # those of the libraries have no base in common
            reason = PASSWORD.sub("…@", (str(error).splitlines() or [""])[0])[:300]
            trouble, hint = "is out of reach", "check the network, the endpoint and the credentials"
            if isinstance(error, PermissionError):
                trouble, hint = "is denied", "check the bucket's name, its policy and the credentials"
            raise StorageError(f"{self.scheme}://{key} {trouble}: {type(error).__name__}: {reason}", hint) from None
