"""The parts of a work dir: links and pipes in their place, locks that fail, a state that is damaged."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rsr_cli.cli.app import app
from rsr_cli.storage.files import write_text
from rsr_cli.storage.local_storage import LocalStorage
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import state, sums, write_config, write_rows


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("finished")
    with ModelServer() as server:
        config = write_config(
            folder / "c.yaml", write_rows(folder / "in.jsonl", sums(2)), server.base_url,
            sampling={"max_rollouts": 1, "step_size": 1}, formatter=["rollouts"],
        )  # fmt: skip
        assert CliRunner().invoke(app, ["run", str(config), "-w", str(folder / "w")]).exit_code == 0
        yield folder / "w"


@pytest.fixture
def work_dir(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "w"))


PARTS = [
    ".lock", "state.json", "config.yaml", "logs/rsr.log", "rollout/shard_0000.journal", "data/shard_0000.parquet",
    "train", "data", "summary", "logs", "cache", "batches", ".staging", "summary/stats.json",
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_a_link_is_refused_and_not_followed(part: str, work_dir: Path, tmp_path: Path, rsr: Rsr) -> None:
    outside, link = tmp_path / "outside", work_dir / part
    if link.exists():
        link.rename(outside)
    elif part in ("cache", "batches", ".staging"):
        outside.mkdir()
        (outside / "mine").write_text("mine")
    else:
        outside.write_text("mine")
    link.symlink_to(outside)
    before = {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()}
    for command in ("resume", "format", "status", "show"):
        outcome = rsr(command, "-w", work_dir, *(["formatter=[sft]"] if command == "format" else []))
        assert outcome.exit_code == 2 and f"{link} is a link" in outcome.stderr, outcome.stderr
    assert before == {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()}


@pytest.mark.parametrize("part", [part for part in PARTS if part != ".staging"])
def test_a_pipe_in_place_of_a_part_is_refused_and_not_waited_for(part: str, work_dir: Path, rsr: Rsr) -> None:
    path = work_dir / part
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command in ("resume", "status"):
        outcome = rsr(command, "-w", work_dir)
        assert outcome.exit_code == 2 and f"{path} is no " in outcome.stderr, outcome.stderr


def test_the_work_dir_itself_may_be_a_link(work_dir: Path, tmp_path: Path, rsr: Rsr) -> None:
    (tmp_path / "link").symlink_to(work_dir)
    assert rsr("resume", "-w", tmp_path / "link").exit_code == 0


def test_a_temporary_file_is_made_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (tmp_path / ".state.json.tmp").symlink_to(tmp_path / "outside")
    write_text(LocalStorage(tmp_path / "state.json"), "new")
    assert (tmp_path / "outside").read_text() == "mine"
    assert (tmp_path / "state.json").read_text() == "new" and not (tmp_path / "state.json").is_symlink()


def test_a_reader_that_asks_who_writes_is_waited_for(work_dir: Path, rsr: Rsr) -> None:
    (work_dir / ".lock").write_text("4711\n")
    with (work_dir / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        timer = threading.Timer(0.1, fcntl.flock, (file, fcntl.LOCK_UN))
        timer.start()
        assert rsr("resume", "-w", work_dir).exit_code == 0
        timer.join()
    assert (work_dir / ".lock").read_text() == "", "no pid of one that is gone"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF])
def test_a_file_system_without_locks(number: int, work_dir: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    outcome = rsr("resume", "-w", work_dir)
    assert outcome.exit_code == 2
    for text in (str(work_dir), os.strerror(number), "docs/object-storage.md", "RSR_NO_LOCK=1"):
        assert text in outcome.stderr
    assert rsr("status", "-w", work_dir).exit_code == 0
    monkeypatch.setenv("RSR_NO_LOCK", "1")
    outcome = rsr("resume", "-w", work_dir)
    assert outcome.exit_code == 0 and "no lock can be had" in outcome.stderr


def test_a_folder_that_can_not_be_flushed_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        def fsync(_: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    for number in (errno.EINVAL, errno.ENOTSUP):
        refuse(number)
        LocalStorage(tmp_path).sync_entries()
    refuse(errno.EIO)
    with pytest.raises(OSError):
        LocalStorage(tmp_path).sync_entries()


BROKEN: list[Any] = [
    {}, [], "x", 7, None, {"version": "1"}, {"version": True}, {"version": 1, "stages": 7},
    {"version": 1, "stages": {"prepare": 7}}, {"version": 1, "stages": {"prepare": {"status": "odd"}}},
    {"version": 1, "stages": {"prepare": {"status": "done"}}},
    {"version": 1, "stages": {"prepare": {"status": "done", "counts": {"shards": "many"}}}},
    {"version": 1, "stages": {"sample": {"shards_done": ["x"]}}}, {"version": 1, "changes": {"a": 1}},
    {"version": 1, "written": {"config.yaml": 3}}, {"version": 1, "made_here": 5},
]  # fmt: skip


@pytest.mark.parametrize("content", BROKEN, ids=str)
def test_a_damaged_state_is_named_and_made_anew(content: Any, work_dir: Path, rsr: Rsr) -> None:
    (work_dir / "state.json").write_text(json.dumps(content))
    for command in ("status", "show", "resume"):
        outcome = rsr(command, "-w", work_dir)
        assert outcome.exit_code == 2 and str(work_dir / "state.json") in outcome.stderr, outcome.stderr
        assert "rsr prepare makes it anew" in outcome.stderr
    assert rsr("prepare", "-w", work_dir).exit_code == 0
    assert state(work_dir)["stages"]["prepare"]["status"] == "done"


@pytest.mark.parametrize("after", range(0, 12, 3))
def test_a_full_disk_in_the_first_run_is_named_with_its_file(
    after: int, finished: Path, tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = 0

    def fsync(_: int) -> None:
        nonlocal flushed
        flushed += 1
        if flushed > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        outcome = rsr("prepare", finished.parent / "c.yaml", "-w", tmp_path / "new")
    assert outcome.exit_code == 1, outcome.stderr
    assert f"{tmp_path / 'new'}" in outcome.stderr and os.strerror(errno.ENOSPC) in outcome.stderr
    assert "not empty" not in outcome.stderr
    assert rsr("prepare", finished.parent / "c.yaml", "-w", tmp_path / "new").exit_code == 0
