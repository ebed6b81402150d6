"""The display never ends a run: terminals that close, readers that end, full disks, poor locales."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.rsr_processes import start_rsr
from tests.server.running import ModelServer
from tests.server.scenario import Reply
from tests.work_dirs import journals, rows, state, sums, write_config, write_rows

ODD = "Straße ━ 答 \udce9 \x1b[31m"


def closed(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def without_reader(*descriptors: int, after_s: float = 0.0) -> None:
    read, write = os.pipe()
    for descriptor in descriptors:
        os.dup2(write, descriptor)
    os.close(write)
    _close_later(read, after_s)


def never_read(*descriptors: int) -> None:
    _, write = os.pipe()
    os.set_blocking(write, False)
    while True:
        try:
            os.write(write, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(write, True)
    for descriptor in descriptors:
        os.dup2(write, descriptor)


def full(*descriptors: int) -> None:
    device = os.open("/dev/full", os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(device, descriptor)


def terminal_that_closes(*descriptors: int) -> None:
    """As under nohup without redirection, or after disown."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ours, theirs = pty.openpty()
    for descriptor in descriptors:
        os.dup2(theirs, descriptor)
    os.close(theirs)
    threading.Thread(target=_read_and_close, args=(ours, 0.3), daemon=True).start()


def _close_later(descriptor: int, seconds: float) -> None:
    timer = threading.Timer(seconds, os.close, [descriptor])
    timer.daemon = True
    timer.start()
    if not seconds:
        timer.join()


def _read_and_close(descriptor: int, after_s: float) -> None:
    end = time.monotonic() + after_s
    while (left := end - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            os.read(descriptor, 1000)
    os.close(descriptor)


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer) -> Path:
    return write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(6)), model_server.base_url)


def ends_with(code: int, *arguments: object, output: Path, surroundings: Callable[[], object] | None = None) -> str:
    process = start_rsr(*arguments, output=output, surroundings=surroundings)
    process.join(30)
    process.kill()
    said = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
    assert process.exitcode == code, said
    return said


@pytest.mark.parametrize(
    "surroundings",
    [
        partial(closed, 0, 1, 2),
        partial(without_reader, 1, 2, after_s=0.3),
        partial(full, 1, 2),
        partial(never_read, 2),
        partial(terminal_that_closes, 0, 1, 2),
    ],
    ids=lambda item: item.func.__name__,
)
def test_a_run_goes_on_without_its_streams(
    surroundings: Callable[[], object], config: Path, tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.scenario.latency = lambda ask: 0.1
    work_dir = tmp_path / "w"
    # A warning at the end: most prompts have no pass within one attempt.
    arguments = ("run", config, "-w", work_dir, "sampling.max_rollouts=4", "sampling.step_size=1")
    ends_with(0, *arguments, output=tmp_path / "out", surroundings=surroundings)
    assert {record["status"] for record in state(work_dir)["stages"].values()} == {"done"}
    assert (work_dir / "train/sft.jsonl").read_bytes()
    assert not journals(work_dir)
    assert "analyze: done" in (work_dir / "logs/rsr.log").read_text()


def test_what_is_printed_goes_into_no_file_of_the_work_dir(config: Path, tmp_path: Path) -> None:
    """A file that is opened while stdout is closed has its number."""
    work_dir = tmp_path / "w"
    (tmp_path / "loud.py").write_text(
        "import os\nclass V:\n    def verify(self, response, metadata):\n        print('LOUD')\n"
        "        os.write(1, b'LOUD'); os.write(2, b'LOUD')\n        return 1.0\n"
    )
    change = f"verifier={{type: '{tmp_path}/loud.py:V', workers: 1}}"
    arguments = ("run", config, "-w", work_dir, change)
    ends_with(0, *arguments, output=tmp_path / "out", surroundings=partial(closed, 0, 1, 2))
    assert {row["status"] for row in rows(work_dir / "score")} == {"scored"}
    assert not [path for path in work_dir.rglob("*") if path.is_file() and b"LOUD" in path.read_bytes()]


def test_a_verifier_that_prints_is_not_to_blame_for_a_terminal_that_is_gone(config: Path, tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "class V:\n    def verify(self, response, metadata):\n        print('seen', flush=True)\n        return 1.0\n"
    )
    change = f"verifier={{type: '{tmp_path}/loud.py:V', workers: 1}}"
    arguments = ("run", config, "-w", tmp_path / "w", change)
    ends_with(0, *arguments, output=tmp_path / "out", surroundings=partial(without_reader, 1, 2))
    assert {row["status"] for row in rows(tmp_path / "w/score")} == {"scored"}


def test_a_reader_that_ends_is_no_failure_and_a_full_disk_is(config: Path, tmp_path: Path) -> None:
    work_dir = tmp_path / "w"
    ends_with(0, "run", config, "-w", work_dir, output=tmp_path / "out")
    for arguments in (("show", work_dir, "--json"), ("status", work_dir), ("--help",), ("run", "--help")):
        ends_with(0, *arguments, output=tmp_path / "gone", surroundings=partial(without_reader, 1))
        said = ends_with(1, *arguments, output=tmp_path / "full", surroundings=partial(full, 1))
        assert "error: stdout: No space left on device" in said and "Traceback" not in said
    assert not (tmp_path / "gone").read_text()


def test_an_error_has_its_exit_code_without_streams(tmp_path: Path) -> None:
    for surroundings in (partial(closed, 2), partial(closed, 0, 1, 2), partial(full, 2), partial(without_reader, 2)):
        ends_with(2, "show", tmp_path / "nowhere", output=tmp_path / "out", surroundings=surroundings)


def test_a_hangup_ends_a_run_in_order(config: Path, tmp_path: Path, model_server: ModelServer) -> None:
    model_server.scenario.latency = lambda ask: 0.1
    work_dir = tmp_path / "w"
    slow = "sampler.concurrent_requests=2"
    process = start_rsr("run", config, "-w", work_dir, slow, output=tmp_path / "out")
    wait_for(lambda: journals(work_dir) and journals(work_dir)[0].stat().st_size > 0)
    for _ in range(3):  # a shell and the kernel both send it
        os.kill(process.pid or 0, signal.SIGHUP)
    process.join(20)
    assert process.exitcode == 129
    assert state(work_dir)["stages"]["sample"]["status"] == "stopped"
    assert "stopped; what arrived is kept, rsr resume -w" in (tmp_path / "out").read_text()
    ends_with(0, "resume", "-w", work_dir, output=tmp_path / "out")


def test_nothing_is_said_to_be_kept_that_is_gone(tmp_path: Path, model_server: ModelServer) -> None:
    (tmp_path / "t.py").write_text("import time\n\ndef f(row):\n    time.sleep(0.05)\n    return row\n")
    change = f"data.preprocess.transform={tmp_path}/t.py:f"
    many = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(400)), model_server.base_url)
    process = start_rsr("run", many, "-w", tmp_path / "w", change, output=tmp_path / "out")
    wait_for((tmp_path / "w/.staging").exists)
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 130
    assert (tmp_path / "out").read_text().splitlines()[-1] == "stopped"
    assert not (tmp_path / "w").exists()


def test_a_work_dir_whose_name_is_not_utf8_is_refused(config: Path, tmp_path: Path) -> None:
    said = ends_with(2, "run", config, "-w", tmp_path / os.fsdecode(b"w\xe9"), output=tmp_path / "out")
    assert "is not UTF-8" in said and "w\\udce9" in said


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def speaking(encoding: str) -> None:
    """As Python begins where PYTHONIOENCODING or the locale says so."""
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        setattr(sys, name, io.TextIOWrapper(io.FileIO(old.fileno(), "w", closefd=False), encoding, write_through=True))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_encoding_shows_everything(
    encoding: str, config: Path, tmp_path: Path, model_server: ModelServer
) -> None:
    right = model_server.scenario.reply
    model_server.scenario.reply = lambda ask: Reply(f"{right(ask).content} {ODD.replace(chr(0xDCE9), '')}")
    work_dir = tmp_path / "wörk"
    poor = partial(speaking, encoding)
    ends_with(0, "run", config, "-w", work_dir, output=tmp_path / "run", surroundings=poor)
    for name, arguments in {
        "show": ("show", work_dir, "-n", "2"),
        "status": ("status", work_dir),
        "config": ("config", "-w", work_dir, "data.preprocess.system_prompt=Café 答"),
    }.items():
        ends_with(0, *arguments, output=tmp_path / name, surroundings=poor)
    shown = (tmp_path / "show").read_bytes().decode(encoding)
    assert "== sum-0" in shown
    assert "\x1b" not in shown
    ends_with(0, "show", work_dir, "--json", "-n", "1", output=tmp_path / "json", surroundings=poor)
    [line] = (tmp_path / "json").read_bytes().decode(encoding).splitlines()
    assert "答" in json.loads(line)["attempts"][0]["response"]
    said = ends_with(2, "show", tmp_path / "答", output=tmp_path / "error", surroundings=poor)
    assert "is not a work dir" in said
