"""Files, journals and the lease where there is no append, no rename and no lock of the kernel's."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from rsr_cli.errors import StorageError, WorkDirError
from rsr_cli.storage import segments
from rsr_cli.storage.lease import SECONDS_VARIABLE, Lease, has_holder, leased
from rsr_cli.storage.locate import locate
from rsr_cli.storage.mirror import mirror_of, mirrored
from rsr_cli.storage.object_storage import ObjectStorage
from rsr_cli.store import shards
from rsr_cli.store.journal import Journal, read_journal
from tests.object_store import *  # noqa: F403
from tests.object_store import keys

ROWS = [{"id": f"row {number}", "attempt": number} for number in range(6)]


def write(journal: Journal, rows: list[dict[str, object]]) -> None:
    for row in rows:
        journal.append(row)
    journal.write(journal.take())


def read(path: ObjectStorage) -> list[dict[str, object]]:
    return [record for _, record in read_journal(path)]


@pytest.fixture
def folder(bucket: ObjectStorage) -> ObjectStorage:
    """A journal of three segments with two rows each."""
    path = bucket / "rollout" / "shard_0000.journal"
    journal = Journal(path)
    for start in (0, 2, 4):
        write(journal, ROWS[start : start + 2])
    return path


def test_segments_are_read_as_one_journal_and_go_on(folder: ObjectStorage) -> None:
    assert keys(folder) == ["00000001", "00000002", "00000003"]
    assert read(folder) == ROWS
    write(Journal(folder), ROWS[:1])
    assert read(folder) == [*ROWS, ROWS[0]]
    assert folder.journal_size() == sum(len((folder / name).read_bytes()) for name in keys(folder))


def test_a_segment_that_is_gone_or_damaged_costs_what_it_held(
    folder: ObjectStorage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("rsr_cli"), "propagate", True)
    (folder / "00000002").unlink()
    assert read(folder) == ROWS[:2] + ROWS[4:]
    assert "lacks 1 of its segments" in caplog.text
    (folder / "00000003").write_bytes((folder / "00000003").read_bytes()[:-3])
    assert read(folder) == [*ROWS[:2], ROWS[4]]


def test_what_a_removal_left_is_no_journal(folder: ObjectStorage) -> None:
    (folder / "00000001").unlink()  # a crash right after that
    assert not folder.has_journal() and folder.journal_size() == 0 and read(folder) == []
    write(Journal(folder), ROWS[:1])
    assert read(folder) == ROWS[:1]
    folder.remove_journal()
    assert keys(folder) == []


def test_two_who_write_one_journal_notice(folder: ObjectStorage) -> None:
    one, other = segments.Segments(folder), segments.Segments(folder)
    one.write(b"a\n")
    with pytest.raises(WorkDirError, match="another process writes here"):
        other.write(b"b\n")


def test_a_file_is_whole_or_not_there(bucket: ObjectStorage) -> None:
    path = bucket / "data" / "shard_0000.parquet"
    with pytest.raises(ZeroDivisionError), path.replacing() as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert not path.exists()
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with shards.writing_shard(path, schema, {"mark": "m"}) as writer:
        for number in range(3000):
            writer.write({"id": str(number), "text": "x" * number})
    assert shards.row_count(path) == 3000 and shards.footer(path)["mark"] == "m"
    assert [row["id"] for row in shards.read_rows(path, schema)] == [str(number) for number in range(3000)]
    assert sum(batch.num_rows for batch in shards.read_batches(path, ["id"])) == 3000


def test_the_writer_knows_what_lies_there_without_asking(bucket: ObjectStorage) -> None:
    with leased(bucket):
        path = bucket / "a" / "b" / "c"
        assert not path.exists() and not (bucket / "a").is_dir()
        path.write_bytes(b"1")
        assert path.exists() and [child.name for child in (bucket / "a").iterdir()] == ["b"]
        stamp = path.stamp()
        path.write_bytes(b"2")
        assert path.stamp() != stamp
        path.unlink()
        assert not path.exists() and not (bucket / "a").exists()


def test_the_lease_is_for_one(bucket: ObjectStorage) -> None:
    with leased(bucket):
        (bucket / "state.json").write_bytes(b"{}")
        here = locate(str(bucket))
        assert isinstance(here, ObjectStorage)
        assert has_holder(here)
        with pytest.raises(WorkDirError, match=rf"in use by the process with pid \d+ on {socket.gethostname()}"):
            Lease(here).take()
        pickle.loads(pickle.dumps(bucket / "from_a_worker")).write_bytes(b"1")
    assert not has_holder(here)
    with pytest.raises(WorkDirError, match="is lost"):
        (bucket / "state.json").write_bytes(b"{}")
    with leased(here):
        assert len([key for key in keys(bucket / ".lease") if key.isdigit()]) == 1


HOLD = """
import sys, time
from rsr_cli.storage.lease import leased
from rsr_cli.storage.locate import locate
with leased(locate(sys.argv[1])):
    locate(sys.argv[1] + "/began").write_bytes(b"1")
    time.sleep(600)
"""


def test_the_lease_of_a_killed_process_is_free_here_at_once_and_elsewhere_when_it_has_run_out(
    bucket: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "3")
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(bucket)])
    until(lambda: (bucket / "began").exists())
    process.kill()
    process.wait()
    [name] = keys(bucket / ".lease")
    holder = json.loads((bucket / ".lease" / name).read_bytes())
    assert holder["pid"] == process.pid and not has_holder(bucket)
    (bucket / ".lease" / name).write_bytes(json.dumps(holder | {"machine": "another"}).encode())
    assert has_holder(bucket)
    with pytest.raises(WorkDirError, match=r"its lease ends in \d s"):
        Lease(bucket).take()
    until(lambda: taken(bucket))


def test_who_has_slept_over_the_end_of_the_lease_is_the_writer_no_more(
    bucket: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = Lease(bucket)
    sleeper.take()
    folder = bucket / ".lease"
    content = (folder / "00000001").read_bytes()
    (folder / "00000005").write_bytes(content.replace(sleeper._holder.owner.encode(), b"another"))
    (folder / "00000001").unlink()
    assert not sleeper._put_next(), "the number that it would use next is free again"
    assert keys(folder) == ["00000005"]
    worker = pickle.loads(pickle.dumps(sleeper))
    with pytest.raises(WorkDirError, match="is lost"):
        worker.check()


class Careless(MemoryFileSystem):  # type: ignore[misc]
    """A store that heeds no conditions, as some do that speak S3's protocol."""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        super().pipe_file(path, value)


def test_where_conditions_are_not_heeded_one_of_two_wins_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsr_cli.storage.lease._SETTLING_S", 0.3)
    fsspec.register_implementation("careless", Careless, clobber=True)
    roots = [locate("careless://bucket/w") for _ in range(6)]
    with ThreadPoolExecutor() as pool:
        assert sum(pool.map(taken, roots)) == 1


def test_logs_and_the_like_are_fetched_and_put(bucket: ObjectStorage) -> None:
    (bucket / "logs" / "rsr.log").write_bytes(b"before\n")
    with leased(bucket), mirrored(bucket):
        logs = mirror_of(bucket).folder("logs")
        with (logs / "rsr.log").open("a") as file:
            file.write("now\n")
        cache = mirror_of(bucket).folder("cache")
        (cache / "calls.sqlite3").write_text("open")
        (cache / "calls.sqlite3-wal").write_text("open")
        mirror_of(bucket).put()
        assert keys(bucket / "cache") == []
        (cache / "calls.sqlite3").write_text("closed")
    assert (bucket / "logs" / "rsr.log").read_text() == "before\nnow\n"
    assert (bucket / "cache" / "calls.sqlite3").read_text() == "closed"
    assert "cache/calls.sqlite3-wal" not in keys(bucket) and not logs.exists()


def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, object_store: str) -> None:
    root = locate("s3://bucket/w")
    assert isinstance(root, ObjectStorage)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StorageError, match=r"s3://bucket/w.* is out of reach: EndpointConnectionError"):
        root.exists()


def taken(root: ObjectStorage) -> bool:
    try:
        Lease(root).take()
    except WorkDirError:
        return False
    return True


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
