"""The line of a task: what matters most survives in a narrow terminal."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from rsr_cli.stages import progress
from rsr_cli.stages.progress import Task
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import sums, write_config, write_rows


@pytest.mark.parametrize("columns", [39, 59, 79])
@pytest.mark.parametrize(("done", "total", "seconds"), [(3, 60, 5), (123_456, 9_000_000, 4000), (7, 9_000_000, 90_000)])
def test_count_time_left_and_rate_survive(columns: int, done: int, total: int, seconds: int) -> None:
    task = Task("sample", total, done, began=time.monotonic() - seconds)
    task.details = ["17 asked again", "1,234 attempts", "3 failed", "1,000 tokens/s", "12.34 spent"]
    line = task.line(columns)
    assert len(line) <= columns
    assert f"{done}/{total}" in line and " left" in line and re.search(r"[\d.,]+/s", line), line
    assert "17 asked again" in line or columns < 79, line


def test_what_is_asked_again_is_shown(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first 20 requests fail: each is counted while it waits to be asked again."""
    shown: list[tuple[str, int]] = []
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    say = progress.Progress.say

    def said(self: progress.Progress, message: str) -> None:
        found = re.search(r"([\d,]+) asked again", message)
        shown.append((message, int(found[1]) if found else 0))
        say(self, message)

    monkeypatch.setattr(progress.Progress, "say", said)
    model_server.scenario.fault = lambda number: "500" if number < 20 else None
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(12)), model_server.base_url)
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    told = [count for message, count in shown if message.startswith("sample: ")]
    assert 0 < max(told) <= 32 and told[-1] == 0, shown
