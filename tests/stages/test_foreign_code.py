"""The code in a work dir that was made elsewhere runs only with --trust; reading one runs no code at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import rsr_cli
from rsr_cli.cli.app import app
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import state, sums, write_config, write_rows

EVIL = """
from pathlib import Path
Path(__file__).with_name("has_run").touch()

class Code:
    pass_threshold = 0.25
    def verify(self, response, metadata): return 1.0
    def is_satisfied(self, group): return True
    def format(self, group): return [{"x": 1}]
    async def sample(self, *args): yield

def code(row): return row
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a config and a finished work dir of somebody else."""
    folder = tmp_path_factory.mktemp("theirs")
    with ModelServer() as server, pytest.MonkeyPatch.context() as environment:
        config = write_config(
            folder / "c.yaml", write_rows(folder / "in.jsonl", sums(2)), server.base_url,
            sampling={"max_rollouts": 1, "step_size": 1}, formatter=["rollouts"],
        )  # fmt: skip
        environment.setenv("XDG_STATE_HOME", str(folder / "their_home"))
        assert CliRunner().invoke(app, ["run", str(config), "-w", str(folder / "w")]).exit_code == 0
        (folder / "w/evil.py").write_text(EVIL)
        yield folder


@pytest.fixture
def made(theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Their work dir, as it has come to us."""
    shutil.copytree(theirs, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "our_home"))
    return tmp_path / "w"


def name_in_config(work_dir: Path, **sections: Any) -> None:
    path = work_dir / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for name, value in sections.items():
        node = config
        *parents, last = name.split("__")
        for part in parents:
            node = node[part]
        node[last] = value
    path.write_text(yaml.safe_dump(config))


PLACES = {
    "verifier": lambda code: {"verifier": {"type": f"{code}:Code"}},
    "member": lambda code: {"verifier": {"type": "ensemble", "members": [{"type": f"{code}:Code"}, "math-rlvr"]}},
    "formatter": lambda code: {"formatter": ["sft", f"{code}:Code"]},
    "sampler": lambda code: {"sampler__type": f"{code}:Code"},
    "transform": lambda code: {"data__preprocess__transform": f"{code}:code"},
}


WRITERS = ["resume", "format", "verify", "sample", "analyze", "run", "prepare", "probe"]


@pytest.mark.parametrize("place", PLACES)
def test_no_code_of_theirs_runs(place: str, made: Path, rsr: Rsr) -> None:
    name_in_config(made, **PLACES[place](made / "evil.py"))
    for command in [*([name] for name in WRITERS), ["run", "--dry-run"], ["run", "--probe"]]:
        outcome = rsr(*command, "-w", made)
        assert outcome.exit_code == 2
        assert "evil.py is code in the work dir" in outcome.stderr and "--trust" in outcome.stderr
        assert not (made / "has_run").exists()


@pytest.mark.parametrize("place", PLACES)
def test_reading_runs_no_code(place: str, made: Path, rsr: Rsr) -> None:
    name_in_config(made, **PLACES[place](made / "evil.py"))
    for command in (
        *(["show"], ["show", "--passed"], ["show", "--json"], ["status"], ["status", "--json"], ["config"], ["check"]),
    ):
        assert rsr(*command, "-w", made).exit_code in (0, 4), command
    assert rsr("ls", made.parent).exit_code == 0 and rsr("compare", made, made).exit_code == 0
    reader = rsr_cli.open(made)
    assert all(table.num_rows for table in (reader.prompts(), reader.rollouts(), reader.scores()))
    assert list(reader.groups())
    assert not (made / "has_run").exists()


def test_however_the_code_is_named(made: Path, tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside.py").write_text(EVIL)
    (tmp_path / "link").symlink_to(made)
    (tmp_path / "outside.py").symlink_to(made / "evil.py")
    (made / "inner.py").symlink_to(tmp_path / "beside.py")
    monkeypatch.setenv("HOME", str(tmp_path))
    names = [
        "evil.py", "./evil.py", "../w/evil.py", "../beside.py", "~/beside.py", "${HOME}/beside.py", "beside.py",
        f"{tmp_path}/w/../w/evil.py", f"{tmp_path}/link/evil.py", f"{tmp_path}/outside.py", f"{made}/inner.py",
        "/proc/self/cwd/beside.py",
    ]  # fmt: skip
    for folder in (tmp_path, made):
        monkeypatch.chdir(folder)
        for name in names:
            if folder == made and name in ("beside.py", "/proc/self/cwd/beside.py"):
                continue
            name_in_config(made, verifier={"type": f"{name}:Code"})
            for root in (made, tmp_path / "link"):
                outcome = rsr("verify", "-w", root)
                assert outcome.exit_code == 2 and "was not made here" in outcome.stderr, (name, outcome.stderr)
    assert not (made / "has_run").exists() and not (tmp_path / "has_run").exists()


def test_code_that_a_command_names_in_their_work_dir(made: Path, tmp_path: Path, rsr: Rsr) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"id": "sum-0", "response": "7"}])
    code = made / "evil.py"
    for command in (
        ["import", tmp_path / "rows.jsonl", "-w", made, "--transform", f"{code}:code"],
        ["verify", "-w", made, "--audit", "--against", f"{code}:Code"],
        ["verify", "-w", made, f"verifier={code}:Code"],
        ["run", tmp_path / "c.yaml", "-w", tmp_path / "new", f"verifier={code}:Code"],
        ["sample", "-w", made, f"sampler.chat_template={code}"],
    ):
        outcome = rsr(*command)
        assert outcome.exit_code == 2 and "was not made here" in outcome.stderr, command
    assert not (made / "has_run").exists()


def test_trust_is_given_once_and_for_this_work_dir_only(made: Path, tmp_path: Path, rsr: Rsr) -> None:
    name_in_config(made, verifier={"type": "evil.py:Code", "workers": 1})
    assert rsr("verify", "-w", made, "--trust").exit_code == 0
    assert (made / "has_run").exists()
    assert rsr("resume", "-w", made).exit_code == 0
    copy = shutil.copytree(made, tmp_path / "copy")
    assert rsr("verify", "-w", copy).exit_code == 2, "somebody may have changed it"
    moved = made.rename(tmp_path / "moved")
    assert rsr("resume", "-w", moved).exit_code == 0


@pytest.mark.parametrize("given", [["0" * 64], "x", None, [7, None], {"a": 1}])
def test_a_stamp_can_not_be_made_up(given: Any, made: Path, rsr: Rsr) -> None:
    name_in_config(made, verifier={"type": "evil.py:Code"})
    (made / "state.json").write_text(json.dumps(state(made) | {"made_here": given}))
    assert rsr("verify", "-w", made).exit_code == 2
    assert not (made / "has_run").exists()


def test_making_the_state_anew_gives_no_trust(made: Path, rsr: Rsr) -> None:
    name_in_config(made, verifier={"type": "evil.py:Code"})
    (made / "state.json").unlink()
    assert rsr("prepare", "-w", made).exit_code == 2
    assert rsr("prepare", "-w", made, "verifier=math-rlvr").exit_code == 0
    assert state(made)["made_here"] == []
    assert not (made / "has_run").exists()


def test_ones_own_work_dir_and_code_need_no_flag(
    made: Path, tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "mine.py").write_text(EVIL)
    monkeypatch.chdir(project)
    assert rsr("run", tmp_path / "c.yaml", "-w", "w", "verifier={type: 'mine.py:Code', workers: 1}").exit_code == 0
    (project / "w/inside.py").write_text(EVIL)
    assert rsr("resume", "-w", "w", "formatter=w/inside.py:Code").exit_code == 0
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / "moved")
    assert rsr("resume", "-w", "moved/w").exit_code == 0
    assert rsr("verify", "-w", made, f"verifier={{type: '{tmp_path}/moved/mine.py:Code', workers: 1}}").exit_code == 0
    assert rsr("resume", "-w", made).exit_code == 0, "the code outside it is named by its full path"


def test_what_a_pass_is_is_known_without_the_formatters_code(
    tmp_path: Path, made: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(EVIL)
    assert rsr("run", tmp_path / "c.yaml", "-w", tmp_path / "v", f"formatter={tmp_path}/mine.py:Code").exit_code == 0
    assert state(tmp_path / "v")["thresholds"] == [0.25, 0.0]


def test_a_home_that_keeps_no_key(made: Path, tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    name_in_config(made, verifier={"type": "evil.py:Code", "workers": 1})
    outcome = rsr("verify", "-w", made, "--trust")
    assert outcome.exit_code == 0 and "can't be remembered" in outcome.stderr
    assert rsr("verify", "-w", made).exit_code == 2
