"""The report in a real browser: it shows the figures, and what a model wrote stays text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rsr_cli.analysis.difficulty import Stop
from rsr_cli.analysis.prompts import prompt_stats
from rsr_cli.analysis.report import Example, render_report
from rsr_cli.analysis.stats import Statistics
from tests.groups import group

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</pre></details><h1 id=injected>injected</h1>{{ 7 * 7 }}"
)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")
def test_the_page_shows_figures_and_runs_nothing(tmp_path: Path) -> None:
    made = group((1.0, HOSTILE), 0.0, None, "truncated", reasoning=HOSTILE)
    found = Statistics(8, True, (1.0, 2.0))
    found.add(
        made, prompt_stats(made, lambda score: score >= 1, lambda score: score <= 0, "max_rollouts", Stop(None, 8))
    )
    summary = {"rsr_version": "0", "work_dir": "a <b>work</b> dir", "judge": None, **found.summary()}
    summary["scores"] |= {"pass_threshold": 1.0, "fail_threshold": 0.0}
    page = tmp_path / "report.html"
    page.write_text(render_report(summary, [Example("sometimes passes", made)]), encoding="utf-8")
    shown = subprocess.run(
        [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path}/browser", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "<title>rsr report: a &lt;b&gt;work&lt;/b&gt; dir</title>" in shown
    assert "owned'&lt;/script&gt;" in shown and "{{ 7 * 7 }}" in shown
    assert '<h1 id="injected">' not in shown and "<img" not in shown
    assert "50.0 %" in shown and shown.count("<rect") == 10


def test_a_rollout_is_coloured_by_the_thresholds() -> None:
    made = group(0.9, 0.5, 0.2, None)
    found = Statistics(8, False, (0.0, 0.0))
    found.add(
        made, prompt_stats(made, lambda score: score >= 0.8, lambda score: score <= 0.3, "max_rollouts", Stop(None, 8))
    )
    summary = {"rsr_version": "0", "work_dir": "w", "judge": None, **found.summary()}
    summary["scores"] |= {"pass_threshold": 0.8, "fail_threshold": 0.3}
    page = render_report(summary, [Example("sometimes passes", made)])
    assert re.findall(r'<b class="(\w+)">attempt \d', page) == ["pass", "neither", "fail", "neither"]
    assert "A pass is a score of 0.8 or more, a fail one of 0.3 or less" in page
