"""--help: as wide as the terminal, commands in groups, no names of types."""

from __future__ import annotations

import re

import pytest

from rsr_cli.cli.app import app
from tests.conftest import Rsr

ALL = [command.name or "" for command in app.registered_commands]


@pytest.mark.parametrize("columns", [60, 80, 110])
def test_help_is_as_wide_as_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by way of the test runner, which has a width of its own."""
    monkeypatch.setenv("COLUMNS", str(columns))
    widest = 0
    for command in [[], *([name] for name in ALL)]:
        app([*command, "--help"], prog_name="rsr", standalone_mode=False)
        text = capsys.readouterr().out
        lines = text.splitlines()
        assert all(len(line) <= columns for line in lines), max(lines, key=len)
        assert not re.search(r"\w\.\.\.", text), "cut short"
        widest = max(widest, *map(len, lines))
    assert widest > columns - 15


def test_commands_are_listed_in_groups(rsr: Rsr) -> None:
    sections = re.split(r"^(\w+):$", rsr("--help").stdout, flags=re.MULTILINE)
    groups = dict(zip(sections[1::2], sections[2::2], strict=True))
    listed = {title: re.findall(r"^  ([a-z-]+)  ", text, re.MULTILINE) for title, text in groups.items()}
    assert [title for title in listed if title != "Options"] == ["Stages", "Look", "Start", "Tools"]
    names = [name for title, found in listed.items() if title != "Options" for name in found]
    assert sorted(names) == sorted(ALL)
    assert {"status", "show", "check"} <= set(listed["Look"])


@pytest.mark.parametrize("command", ALL)
def test_no_name_of_a_type_is_shown(command: str, rsr: Rsr) -> None:
    text = rsr(command, "--help").stdout
    assert not re.search(r"<[a-zA-Z]|x>=|<=x|TEXT|INTEGER|PATH\b", text), text
