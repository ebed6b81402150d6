"""From the text that names a work dir to its place."""

from __future__ import annotations

from rsr_cli.storage.interface import Storage
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.storage.object_storage import ObjectStorage
from rsr_cli.storage.object_store import ObjectStore


def locate(text: str) -> Storage:
    """Return the place that a path or a URL names. Nothing is asked of it yet."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme in ("file", "local"):
        return LocalStorage(rest if separator else text).expanduser()
    key = rest.rstrip("/")
    return ObjectStorage(ObjectStore(scheme, key), key)
