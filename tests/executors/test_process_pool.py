"""The pool against verifiers that hang, crash, print and lie, in real child processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rsr_cli.errors import PluginError, RsrError
from rsr_cli.executors import process_pool, worker
from rsr_cli.executors.process_pool import ProcessPool
from rsr_cli.types import Verdict

Make = Callable[..., ProcessPool]


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until_dead(pids: list[int], seconds: float = 5) -> list[int]:
    end = time.monotonic() + seconds
    while (left := [pid for pid in pids if _alive(pid)]) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def test_verdicts_come_in_order_and_options_arrive(make_pool: Make) -> None:
    pool = make_pool(options={"factor": 0.5})
    verdicts = list(pool.map((str(number), {}) for number in range(1_000)))
    assert [verdict.score for verdict in verdicts] == [number / 2 for number in range(1_000)]


def test_the_loop_may_wait_for_a_future(make_pool: Make) -> None:
    async def score() -> Verdict:
        return await asyncio.wrap_future(make_pool().submit("0.25", {}))

    assert asyncio.run(score()).score == 0.25


@pytest.mark.parametrize("how", ["hang", "hang with the lock"])
def test_a_hang_is_charged_to_the_task_that_hangs(make_pool: Make, how: str) -> None:
    pool = make_pool(time_limit=0.5)
    replies = ["1"] * 60 + [how] + ["1"] * 60
    verdicts = list(pool.map((reply, {}) for reply in replies))
    assert [verdict.status for verdict in verdicts] == ["scored"] * 60 + ["timeout"] + ["scored"] * 60
    assert verdicts[60].score is None
    assert "0.5 s" in (verdicts[60].explanation or "")


@pytest.mark.parametrize(
    ("how", "why"),
    [("exit", "ended with 7"), ("segfault", f"ended with -{signal.SIGSEGV.value}"), ("memory", "memory limit")],
)
def test_a_crash_is_charged_to_the_task_that_crashed(make_pool: Make, how: str, why: str) -> None:
    verdicts = list(make_pool(time_limit=30).map((reply, {}) for reply in ["1"] * 30 + [how] + ["1"] * 30))
    assert [verdict.status for verdict in verdicts] == ["scored"] * 30 + ["error"] + ["scored"] * 30
    assert why in (verdicts[30].explanation or "")


def test_exceptions_are_errors_with_their_type(make_pool: Make) -> None:
    pool = make_pool(workers=1)
    verdicts = list(pool.map((reply, {}) for reply in ["raise", "sys.exit", "1"]))
    assert [verdict.explanation for verdict in verdicts] == ["ValueError: no good", "SystemExit: 3", None]


@pytest.mark.parametrize("value", ["'yes'", "None", "float('nan')", "float('-inf')", "[1]", "{}", "Verdict(None)",
                                   "Verdict(1.0, 'fine')", "Verdict(1.0, 'timeout')",
                                   "Verdict(float('nan'))", "Verdict('1')",
                                   "Verdict(1.0, 'scored', 5)", "object()"])  # fmt: skip
def test_what_is_no_score_is_an_error(value: str) -> None:
    verdict = worker.as_verdict(eval(value, {"Verdict": Verdict}))
    assert (verdict.score, verdict.status) == (None, "error")
    assert "returned" in (verdict.explanation or "")


@pytest.mark.parametrize(
    ("value", "score"),
    [("True", 1.0), ("False", 0.0), ("2", 2.0), ("-0.5", -0.5), ("__import__('numpy').float32(0.5)", 0.5)],
)
def test_booleans_and_numbers_are_scores(make_pool: Make, value: str, score: float) -> None:
    assert worker.as_verdict(eval(value)) == Verdict(score)


def test_a_verdict_passes_through(make_pool: Make) -> None:
    pool = make_pool(workers=1)
    value = "Verdict(0.0, 'no_answer', None, 'why')"
    assert pool.submit("return", {"value": value}).result() == Verdict(0.0, "no_answer", None, "why")


def test_a_print_never_reaches_our_stdout(make_pool: Make, capfd: pytest.CaptureFixture[str]) -> None:
    pool = make_pool(workers=1)
    assert pool.submit("print", {}).result().score == 1.0
    pool.close()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("Broken", {}, "no model here"),
        ("Scripted", {"colour": 1}, "colour"),
        ("Missing", {}, "Missing"),
        ("Nothing", {}, "verify"),
    ],
)
def test_a_verifier_that_cannot_be_built_is_the_callers_error(
    make_pool: Make, name: str, options: dict[str, object], why: str
) -> None:
    pool = make_pool(name, options)
    futures = []
    with contextlib.suppress(PluginError):
        futures = [pool.submit("1", {}) for _ in range(5)]
    for future in futures:
        with pytest.raises(PluginError, match=why):
            future.result(timeout=20)
    with pytest.raises(PluginError, match=why):
        pool.submit("1", {})


def worker_of(pool: ProcessPool) -> int:
    return int(pool.submit("pid", {}).result().extracted_answer or "")


def test_a_task_whose_worker_is_killed_from_outside_is_scored_once_more(make_pool: Make) -> None:
    pool = make_pool(workers=1, time_limit=10)
    pid = worker_of(pool)
    slow = pool.submit("sleep", {"seconds": 0.5})
    behind = [pool.submit("1", {}) for _ in range(5)]
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    assert slow.result(timeout=20).score == 1.0
    assert all(future.result(timeout=20).score == 1.0 for future in behind)


def test_a_task_that_gets_its_worker_killed_each_time_is_unknown(make_pool: Make) -> None:
    pool = make_pool(workers=1, time_limit=10)
    suicide = pool.submit("return", {"value": "os.kill(os.getpid(), 9)"})
    behind = pool.submit("1", {})
    verdict = suicide.result(timeout=20)
    assert (verdict.status, verdict.score) == ("error", None) and "-9" in (verdict.explanation or "")
    assert behind.result(timeout=20).score == 1.0


@pytest.mark.parametrize("what", ["Pipe", "RawArray", "Process", "thread"])
def test_what_the_system_has_no_room_for_is_said_and_not_waited_for(
    what: str, make_pool: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("can't start new thread") if what == "thread" else OSError(24, "Too many open files")

    place = (threading.Thread, "start") if what == "thread" else (process_pool.CONTEXT, what)
    monkeypatch.setattr(*place, refuse)
    pool = make_pool(workers=2)
    with pytest.raises(RsrError, match=r"Too many open files|can't start new thread") as told:
        pool.submit("1", {}).result(timeout=20)
    assert told.value.exit_code == 1 and "ulimit" in (told.value.hint or "")


def test_a_fault_of_ours_beside_a_worker_ends_the_wait_too(make_pool: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool._Worker, "run", lambda *arguments: [][0])
    pool = make_pool(workers=1)
    with pytest.raises(RsrError, match="IndexError"):
        pool.submit("1", {}).result(timeout=20)


def test_workers_make_room_after_many_tasks(make_pool: Make) -> None:
    pool = make_pool(workers=1)
    first = pool.submit("pid", {}).result().extracted_answer
    assert (
        sum(verdict.score or 0 for verdict in pool.map([("1", {})] * worker.RETIRE_AFTER_TASKS))
        == worker.RETIRE_AFTER_TASKS
    )
    assert pool.submit("pid", {}).result().extracted_answer != first


def test_no_descriptor_leaks_into_a_worker(make_pool: Make, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(50):
            file = stack.enter_context((tmp_path / str(number)).open("w"))
            os.set_inheritable(file.fileno(), True)
        assert int(make_pool(workers=1).submit("descriptors", {}).result().extracted_answer or "") < 20


def test_closing_ends_workers_and_cancels_what_waits(make_pool: Make) -> None:
    pool = make_pool(workers=1, time_limit=30)
    pid = int(pool.submit("pid", {}).result().extracted_answer or "")
    running = pool.submit("hang", {})
    time.sleep(0.2)
    waiting = [pool.submit("1", {}) for _ in range(3)]
    pool.close()
    assert not _until_dead([pid])
    assert running.done()
    assert all(future.done() for future in waiting)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit("1", {})


def test_a_cancelled_future_is_not_scored(make_pool: Make) -> None:
    pool = make_pool(workers=1, time_limit=30)
    pool.submit("1", {}).result()
    slow = pool.submit("sleep", {"seconds": 0.3})
    time.sleep(0.1)
    waiting = pool.submit("hang", {})
    assert waiting.cancel()
    assert slow.result().score == 1.0
    assert pool.submit("1", {}).result().score == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
@pytest.mark.parametrize("reply", ["hang", "1"])
def test_no_orphan_outlives_a_killed_parent(verifier_file: Path, tmp_path: Path, reply: str) -> None:
    script = tmp_path / "parent.py"
    spec = (f"{verifier_file}:Scripted", {})
    script.write_text(
        "import time\n"
        "from rsr_cli import Prompt, Reply\n"
        "from rsr_cli.executors.process_pool import ProcessPool\n"
        "if __name__ == '__main__':\n"
        f"    pool = ProcessPool({spec!r}, workers=2, time_limit=60, memory_limit_mb=512)\n"
        "    submit = lambda text: pool.submit(Reply(text), Prompt('p', [], {}))\n"
        "    print(*{submit('pid').result().extracted_answer for _ in range(20)}, flush=True)\n"
        f"    for _ in range(4): submit({reply!r})\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(0.3)
        parent.kill()
    assert pids
    assert not _until_dead(pids)


def test_a_module_in_the_working_directory_is_not_imported(tmp_path: Path) -> None:
    """As in somebody else's work dir: modules that are named like those that a process imports while it starts."""
    (theirs := tmp_path / "w").mkdir()
    for name in ("json", "pickle", "struct", "selectors", "ctypes", "signal"):
        (theirs / f"{name}.py").write_text("open('has_run', 'w').close(); raise SystemExit('taken')")
    (tmp_path / "probe.py").write_text(
        "import os\nfrom rsr_cli.types import Verdict\n"
        "class Probe:\n    def verify(self, response, metadata):\n"
        "        return Verdict(1.0, explanation=str('PYTHONSAFEPATH' in os.environ))\n"
    )
    (tmp_path / "main.py").write_text(
        "from rsr_cli.executors.process_pool import ProcessPool\n"
        "from rsr_cli.types import Prompt, Reply\n"
        "if __name__ == '__main__':\n"
        f"    verifier = ({f'{tmp_path}/probe.py:Probe'!r}, {{}})\n"
        "    with ProcessPool(verifier, workers=1, time_limit=9.0, memory_limit_mb=4096) as pool:\n"
        "        print(pool.submit(Reply('x'), Prompt('p', [], {})).result())\n"
    )
    found = subprocess.run([sys.executable, tmp_path / "main.py"], cwd=theirs, capture_output=True, text=True)
    assert not (theirs / "has_run").exists(), found.stderr
    assert "explanation='False'" in found.stdout, found.stderr
