"""The report in a real browser: it shows the figures, and what a model wrote stays text."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.analysis.breakdown import Breakdown
from rsr_cli.analysis.difficulty import Stop
from rsr_cli.analysis.funnel import Funnel
from rsr_cli.analysis.grades import Grades, best_of_k
from rsr_cli.analysis.lengths import Lengths
from rsr_cli.analysis.prompts import prompt_stats
from rsr_cli.analysis.report import Example, render_report
from rsr_cli.analysis.stats import Statistics
from rsr_cli.stages.shard_figures import Figures
from rsr_cli.types import Group
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


def figures_of(*groups: Group, thresholds: tuple[float, float] = (1.0, 0.0)) -> Figures:
    def passes(score: float) -> bool:
        return score >= thresholds[0]

    def fails(score: float) -> bool:
        return score <= thresholds[1]

    found = Figures(Statistics(8, True, (1.0, 2.0)), Funnel(), Lengths(20), Grades(8), Breakdown(), [])
    for made in groups:
        stats = prompt_stats(made, passes, fails, "max_rollouts", Stop(None, 8))
        found.statistics.add(made, stats)
        found.lengths.add(made, passes, fails)
        found.grades.add(made)
        found.breakdown.add(made.prompt.metadata, stats)
        passed = [rollout.attempt.attempt for rollout, score in made.scored() if passes(score)]
        found.funnel.add(stats, passed, [], {"sft": bool(passed), "dpo": 0}, {"sft": False, "dpo": True})
        found.keep(Example("sometimes passes", made))
    return found


def rendered(figures: Figures, name: str = "w", thresholds: tuple[float, float] = (1.0, 0.0)) -> str:
    sampler = {"type": "openai-compatible-api", "model": HOSTILE, "temperature": 0.7, "stop": [HOSTILE]}
    run = {
        "created": "2026-01-01T10:00:00+00:00", "analyzed": "2026-01-01T11:00:00+00:00", "again": "rsr run",
        "input": [HOSTILE], "samplers": [sampler], "sampling": {"max_rollouts": 8}, "verifier": {"type": "math-rlvr"},
        "filters": {}, "formatters": {"sft": {"type": "sft"}},
        "stages": [{"stage": "sample", "status": "done", "started": "2026-01-01T10:00:00+00:00", "seconds": None}],
    }  # fmt: skip
    summary: dict[str, Any] = {"rsr_version": "0", "work_dir": name, "judge": None, "run": run, **figures.summary()}
    summary["scores"] |= dict(zip(("pass_threshold", "fail_threshold"), thresholds, strict=True))
    return render_report(summary, figures.examples)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")
def test_the_page_shows_figures_and_runs_nothing(tmp_path: Path) -> None:
    made = group((1.0, HOSTILE), 0.0, None, "truncated", reasoning=HOSTILE)
    made.prompt.metadata[HOSTILE] = HOSTILE[:70]
    page = tmp_path / "report.html"
    page.write_text(rendered(figures_of(made, made, made, group(0.5)), "a <b>work</b> dir"), encoding="utf-8")
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
    assert "25.0&nbsp;%" in shown


def test_the_page_allows_its_own_style_and_nothing_else() -> None:
    page = rendered(figures_of(group(1.0, 0.0)))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']{44}'; base-uri 'none'; form-action 'none'", policy[1]
    )
    assert " style=" not in page and "<script" not in page and "http://" not in page and "https://" not in page


def test_a_rollout_is_coloured_by_the_thresholds() -> None:
    thresholds = (0.8, 0.3)
    page = rendered(figures_of(group(0.9, 0.5, 0.2, None), thresholds=thresholds), thresholds=thresholds)
    assert re.findall(r'<b class="(\w+)">attempt \d', page) == ["pass", "neither", "fail", "neither"]
    assert "A pass is a score of 0.8 or more, a fail one of 0.3 or less" in page


def test_a_run_that_came_to_nothing_has_a_page_too() -> None:
    assert "<h1>w</h1>" in rendered(figures_of()) and "<h1>w</h1>" in rendered(figures_of(group()))
    assert "every attempt failed" in rendered(figures_of(group("error")))


def test_the_page_of_a_million_prompts_is_as_small() -> None:
    figures = figures_of(
        *[group(*[float(n < passed) for n in range(4)]) for passed in range(5)], group(0.3, "truncated")
    )
    small = len(rendered(figures))
    for _ in range(18):
        figures.merge(copy.deepcopy(figures))
    page = rendered(figures)
    assert "1,572,864" in page and len(page) < 1.5 * small


def test_the_funnel_names_every_loss() -> None:
    found = figures_of(
        group(), group("error"), group("truncated"), group(None), group(0.0), group(1.0), group(1.0, 0.0)
    )
    funnel = found.funnel.summary()
    assert funnel["lost"] == {
        "not sampled": 1, "every attempt failed": 1, "no whole reply": 1, "no score is known": 1, "no rollout passes": 1
    }  # fmt: skip
    assert funnel["with_a_kept_pass"] == 2 and funnel["formatters"]["sft"]["rows"] == 2
    without = funnel["formatters"]["dpo"]["without"]
    assert without["no fail to set against a pass"] == 1 and sum(without.values()) == 7
    filtered = Funnel()
    stats = prompt_stats(group(1.0, 0.0), bool, lambda score: not score, "max_rollouts", Stop(None, 8))
    filtered.add(stats, [0], [(0, "length", "1234 characters"), (1, "length", "99 characters")], {}, {})
    assert filtered.summary()["lost"] == {"every pass is filtered": 1}
    assert filtered.summary()["filtered"] == [{"filter": "length", "reason": "N characters", "rollouts": 2}]


def test_scores_that_are_graded_have_a_spread_and_a_best_of_k() -> None:
    grades = figures_of(group(0.25, 0.5, 1.0)).grades.summary()
    assert grades is not None and sum(grades["histogram"]) == 3
    assert grades["best_of_k"]["1"]["value"] == pytest.approx(0.583333)
    assert grades["best_of_k"]["2"]["value"] == pytest.approx((0.5 + 1.0 + 1.0) / 3)
    assert best_of_k([1, 2, 3, 4], 4) == 4
    assert figures_of(group(1.0, 0.0)).grades.summary() is None


def test_lengths_are_told_by_outcome_up_to_the_limit() -> None:
    lengths = figures_of(group(1.0, 0.0, None, "truncated")).lengths.summary()
    assert lengths is not None and lengths["limit"] == 20
    assert {name: counts[20] for name, counts in lengths["histogram"].items()} == {
        "pass": 1, "fail": 1, "neither": 1, "cut": 1
    }  # fmt: skip


def test_a_field_of_the_metadata_is_broken_down_if_it_groups_prompts() -> None:
    groups = []
    for number in range(100):
        groups.append(group(float(number % 2)))
        groups[-1].prompt.metadata.update(
            {"level": number % 2, "name": f"n{number}", "tags": ["a"], "long": "x" * number}
        )
    table = figures_of(*groups).breakdown.summary()
    assert list(table) == ["level"] and list(table["level"]) == ["0", "1"]
    assert table["level"]["1"] == {"prompts": 50, "with_a_pass": 50, "pass_rate": 1.0, "truncation_rate": 0.0}
    halves = figures_of(*groups[:50])
    halves.merge(figures_of(*groups[50:]))
    assert halves.breakdown.summary() == table
