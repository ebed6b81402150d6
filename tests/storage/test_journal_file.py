"""A journal that another process harms while it is written: it is written again, or what is lost is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rsr_cli.errors import RsrError
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store.journal import Journal, read_journal
from tests.conftest import Rsr
from tests.server import ModelServer
from tests.work_dirs import journals, outcome, rows, sums, write_config, write_rows

Harm = Callable[[Path], object]


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(b"\0" * 1000)


def overwrite_unseen(path: Path) -> None:
    """Without another time or size."""
    before = path.stat()
    overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


HARM: dict[str, Harm] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "overwritten": overwrite,
    "replaced": lambda path: (path.rename(path.with_suffix(".old")), path.write_text("something else\n")),
    "with its folder": lambda path: shutil.rmtree(path.parent),
}
RECORDS = [{"id": f"p{number}", "attempt": 0, "response": "x" * 100} for number in range(60)]


def written(path: Path, records: list[dict[str, object]]) -> Journal:
    journal = Journal(LocalStorage(path))
    for record in records:
        journal.append(record)
    journal.write(journal.take())
    return journal


@pytest.mark.parametrize("how", HARM)
@pytest.mark.parametrize("when", ["between two writes", "at the end"])
def test_a_harmed_journal_is_written_again(when: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / "rollout" / "j"
    written(path, RECORDS[:20]).close()
    journal = written(path, RECORDS[20:40])
    if how in ("emptied", "cut", "overwritten"):  # what this process has not written is not in its memory
        shutil.copy(path, tmp_path / "copy")
        journal.close()
        path.unlink()
        journal = written(path, RECORDS[:40])
    HARM[how](path)
    if when == "between two writes":
        journal.append(RECORDS[40])
        journal.write(journal.take())
    journal.verify()
    found = [record for _, record in read_journal(LocalStorage(path))]
    expected = RECORDS[: 41 if when == "between two writes" else 40]
    assert sorted(found, key=str) == sorted(expected, key=str)
    journal.append(RECORDS[41])
    journal.write(journal.take())
    assert journal.verify() == len(found) + 1


def test_a_harm_that_leaves_no_trace_is_found_when_the_shard_closes(tmp_path: Path) -> None:
    journal = written(tmp_path / "j", RECORDS)
    overwrite_unseen(tmp_path / "j")
    assert len(list(read_journal(LocalStorage(tmp_path / "j")))) < len(RECORDS)
    assert journal.verify() == len(RECORDS) == len(list(read_journal(LocalStorage(tmp_path / "j"))))


def test_a_time_alone_is_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = written(tmp_path / "j", RECORDS)
    os.utime(tmp_path / "j", (1, 1))
    inode = (tmp_path / "j").stat().st_ino
    journal.write(b"")
    assert (tmp_path / "j").stat().st_ino == inode and not caplog.records


def test_a_deletion_in_the_middle_of_a_write_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = written(tmp_path / "j", RECORDS)
    synced = os.fsync

    def delete_then_sync(descriptor: int) -> None:
        (tmp_path / "j").unlink(missing_ok=True)
        synced(descriptor)

    monkeypatch.setattr("rsr_cli.storage.journal_file.os.fsync", delete_then_sync)
    journal.append(RECORDS[0] | {"attempt": 1})
    journal.write(journal.take())
    monkeypatch.undo()
    assert journal.verify() == len(RECORDS) + 1
    assert len(list(read_journal(LocalStorage(tmp_path / "j")))) == len(RECORDS) + 1


def test_what_is_lost_is_counted_and_the_rest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsr_cli.storage.journal_file.KEPT_BYTES", 1)
    journal = written(tmp_path / "j", RECORDS[:50])
    journal.append(RECORDS[50])
    journal.write(journal.take())
    HARM["emptied"](tmp_path / "j")
    journal.append(RECORDS[51])
    with pytest.raises(RsrError, match="50 of its 51 records are lost") as told:
        journal.write(journal.take())
    assert told.value.exit_code == 1
    assert [record for _, record in read_journal(LocalStorage(tmp_path / "j"))] == RECORDS[50:52]


@pytest.mark.parametrize("how", ["deleted", "emptied", "overwritten", "with its folder"])
@pytest.mark.parametrize("folder", ["rollout", "score"])
def test_a_run_whose_journal_is_harmed_keeps_every_row(
    folder: str, how: str, tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Written so often that it is harmed long before the run ends: what happens to a folder at its end is another test.
    monkeypatch.setattr(LocalStorage, "flush_s", 0.05)
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(25)), model_server.base_url, shard={"size": 1000},
        sampler={"concurrent_requests": 4},
    )  # fmt: skip
    assert rsr("run", config, "-w", tmp_path / "unbroken").exit_code == 0
    harmed: list[Path] = []
    began = len(model_server.log)

    def harm(number: int) -> None:
        journal = tmp_path / "w" / folder / "shard_0000.journal"
        if not harmed and number > began + 20 and journal.exists() and journal.stat().st_size > 2000:
            harmed.append(journal)
            HARM[how](journal)

    model_server.scenario.latency = lambda ask: 0.02
    model_server.scenario.fault = harm  # type: ignore[assignment] - it returns None: no fault
    told = rsr("run", config, "-w", tmp_path / "w")
    assert told.exit_code == 0, told.stderr
    assert harmed and "by another process" in told.stderr
    assert not journals(tmp_path / "w")
    assert outcome(tmp_path / "w") == outcome(tmp_path / "unbroken")


def test_a_run_that_lost_rows_does_not_end_well(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(25)), model_server.base_url, shard={"size": 1000}
    )
    monkeypatch.setattr("rsr_cli.storage.journal_file.KEPT_BYTES", 1)
    journal = tmp_path / "w/rollout/shard_0000.journal"

    def harm(number: int) -> None:
        if journal.exists() and journal.stat().st_size > 9000:
            HARM["emptied"](journal)

    model_server.scenario.latency = lambda ask: 0.05
    model_server.scenario.fault = harm  # type: ignore[assignment]
    told = rsr("run", config, "-w", tmp_path / "w")
    assert told.exit_code == 1
    assert "records are lost" in told.stderr
    model_server.scenario.fault = None
    assert rsr("resume", tmp_path / "w", "--redraw").exit_code == 0  # what is lost is paid for again only if asked
    assert len({(row["id"], row["attempt"]) for row in rows(tmp_path / "w/rollout")}) > 25
