"""A real server of S3's protocol on loopback, and work dirs read from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from rsr_cli.storage.locate import locate
from rsr_cli.storage.object_storage import ObjectStorage

KEY, SECRET = "tests-key", "tests-own-secret"
__all__ = ["bucket", "object_store"]


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """Its URL. The environment names it, and dummy credentials, as long as the tests run."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        yield settings["AWS_ENDPOINT_URL"]
    server.stop()


@pytest.fixture
def bucket(object_store: str) -> ObjectStorage:
    """An empty bucket."""
    root = locate(f"s3://tests-{uuid4().hex[:12]}")
    assert isinstance(root, ObjectStorage)
    root.store.fs.mkdir(root.key)
    return root


def copied(root: ObjectStorage, folder: Path) -> Path:
    """A work dir fetched whole, as one would do to look at it."""
    root.store.fs.get(f"{root.key}/", f"{folder}/", recursive=True)
    return folder


def keys(root: ObjectStorage) -> list[str]:
    """All that lies there, by its path under the root."""
    return [name.removeprefix(f"{root.key}/") for name in root.store.fs.find(root.key)]
