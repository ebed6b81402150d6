"""Fixtures of all tests: the project's own model server, and `rsr` called as a user calls it."""

from __future__ import annotations

import os

# Before numpy is loaded anywhere: its threads would fight over the cores.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from typer.testing import CliRunner

from rsr_cli import secrecy
from rsr_cli.cli.app import app
from tests.server.fixtures import *  # noqa: F403


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str


Rsr = Callable[..., Outcome]


@pytest.fixture
def rsr(monkeypatch: pytest.MonkeyPatch) -> Rsr:
    """Run `rsr ARGUMENT...` in this process."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Outcome:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="rsr")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(autouse=True)
def no_known_secrets() -> None:
    """What one test sends as a key may be a word in another one's texts."""
    secrecy.forget()


@pytest.fixture
def rsr_command() -> list[str]:
    """The start of a command line that runs rsr as a process of its own."""
    return [sys.executable, "-m", "rsr_cli"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real data sets, which may lie beside the project."""
    path = Path(__file__).parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("the shared data is not beside the project")
    return path


os.environ.pop("RSR_DEBUG", None)
_state_home = tempfile.TemporaryDirectory(prefix="rsr-tests-")
os.environ["XDG_STATE_HOME"] = _state_home.name  # the key that work dirs are stamped with is not the user's own
# A busy machine is no failure.
settings.register_profile("rsr", deadline=None, max_examples=int(os.environ.get("RSR_TEST_EXAMPLES", "60")))
settings.load_profile("rsr")
