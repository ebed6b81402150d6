"""Every block of Python, YAML and shell in the documentation works as it is written."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.json
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from rsr_cli.cli import tiny
from rsr_cli.cli.app import app
from rsr_cli.config.load import load_config
from rsr_cli.config.scalars import dump_yaml, load_yaml
from rsr_cli.errors import ConfigError
from rsr_cli.executors import process_pool
from rsr_cli.plan import resolve
from rsr_cli.scoring import scorer
from rsr_cli.storage.locate import locate
from rsr_cli.storage.object_storage import ObjectStorage
from rsr_cli.tiny import server as tiny_model
from tests.cli_reference import PAGE, reference
from tests.conftest import Rsr
from tests.doc_pages import PAGES, ROOT, Block, blocks, write_files
from tests.doc_sandbox import PoolInThisProcess, Shell, copy_sandbox, write_inputs
from tests.object_store import *  # noqa: F403
from tests.server import ModelServer

NOT_RUN = {
    r"git clone ": "needs the network",
    r"cd rsr$": "follows git clone",
    r"\. \.venv/bin/activate": "the tests run in the environment already",
    r"(pip install|uv sync|python -m venv|conda create) ?": "changes the environment",
    r"vllm serve ": "needs vLLM",
    r"ray (start|get-auth-token) ": "needs Ray",
    r"export (AWS_|RAY_ADDRESS)": "the tests have an object store of their own, and no Ray",
    r"rsr serve-tiny .*&": "the tests' server answers instead",
    r"rsr view ": "a server that runs until Ctrl-C",
    r"(sleep \d+|kill %1)$": "waits for, and ends, a server that is not started",
    r"\.venv/bin/pre-commit install": "changes the clone",
}
"""Commands, by how they begin, that are not run, and why."""
DRY = {
    r"--executor ray": "needs Ray",
    r"sampler\.num_gpus=": "needs GPUs",
}
"""Runs of rsr that are only tried with --dry-run, by what they contain, and why."""
SETUP = {
    "docs/trainers.md: rsr format -w w --check-template path/to/model": [
        f"mkdir -p path/to && cp -r {ROOT}/rsr_cli/tiny/model path/to/model"
    ],
    "docs/analysis.md: rsr compare base_w tuned_w other_w       # each with the first; --json for scripts": [
        "for copy in base_w tuned_w other_w; do cp -r w $copy; done"
    ],
    "docs/allocation.md: rsr run -w w sampling.token_budget=40_000_000": [
        "rm -r w",
        "rsr run config.yaml -w w sampling.allocation=adaptive sampling.token_budget=500",
    ],
    "docs/batch.md: rsr run config.yaml -w w": [
        "rm -r w",
        "rsr config config.yaml sampler.type=openai-batch sampler.poll_interval=0.01 | cat > batch.yaml",
        "mv batch.yaml config.yaml",
    ],
    "docs/batch.md: rsr sample -w w --batch-files": ["rm -r w", "rsr prepare config.yaml -w w"],
}
"""Lines that are run before a line: what its page takes for granted."""
RAW_ROW = {
    "question": "What is 2 + 3?",
    "answer": "5",
    "prompt": "What is 2 + 3?",
    "instruction_id_list": [],
    "kwargs": [],
}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def tiny_server() -> Iterator[str]:
    """One for all pages: each start takes most of a second."""
    with tiny_model.embedded() as url:
        yield url


@pytest.fixture(scope="module")
def template(server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    write_inputs(folder, server.base_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, ["run", "config.yaml", "-w", "w"])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def sandbox(template: Path, tiny_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, with inputs and a finished work dir w."""
    copy_sandbox(template, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tiny_model, "embedded", lambda: nullcontext(tiny_server))
    monkeypatch.setattr(tiny, "_recipe", lambda name: tmp_path / "recipes" / name / "config.yaml")
    return tmp_path


def pages_with(*languages: str) -> list[Any]:
    found = [page for page in PAGES if blocks(page, *languages)]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in found]


def every(*languages: str) -> list[Any]:
    return [pytest.param(block, id=block.where) for page in PAGES for block in blocks(page, *languages)]


@pytest.mark.parametrize("page", pages_with("sh", "console"))
def test_shell_blocks(
    page: Path,
    sandbox: Path,
    server: ModelServer,
    tiny_server: str,
    rsr: Rsr,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    lines = [line for block in blocks(page, "sh", "console") for line in block.commands()]
    if page.is_relative_to(ROOT / "recipes"):
        (sandbox / "transform.py").unlink()  # it would be taken for the recipe's own
    if any("s3://bucket" in line for line in lines):
        request.getfixturevalue("object_store")
        bucket = locate("s3://bucket")
        assert isinstance(bucket, ObjectStorage)
        bucket.store.fs.makedirs(bucket.key, exist_ok=True)
    if write_files(page, sandbox):
        monkeypatch.setattr(process_pool, "cores", lambda: 1)
    else:
        monkeypatch.setattr(scorer, "ProcessPool", PoolInThisProcess)
    shell = Shell(rsr, monkeypatch, server.base_url)
    shell.servers["http://127.0.0.1:8765/v1"] = tiny_server
    for line in lines:
        if any(re.match(pattern, line) for pattern in NOT_RUN):
            continue
        for command in SETUP.get(f"{page.relative_to(ROOT)}: {line}", []):
            code, output = shell.run(command)
            assert code == 0, f"before {line}: {command}\n{output}"
        if line.startswith("make"):
            line = made(line)
        if any(re.search(pattern, line) for pattern in DRY):
            line = line.partition(" #")[0] + " --dry-run"
        code, output = shell.run(line)
        assert code == 0, f"{line}\n{output}"


def made(line: str) -> str:
    """What a call of make comes to here: its target exists, and only the demo is run."""
    target = [*line.partition("#")[0].split(), ""][1]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert not target or re.search(rf"^{target}:", makefile, re.MULTILINE), line
    return "rsr demo" if target == "demo" else "true"


def test_every_exception_has_its_line() -> None:
    found = [(page, line) for page in PAGES for block in blocks(page, "sh", "console") for line in block.commands()]
    lines = [line for _, line in found]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)] == []
    assert [pattern for pattern in DRY if not any(re.search(pattern, line) for line in lines)] == []
    assert SETUP.keys() - {f"{page.relative_to(ROOT)}: {line}" for page, line in found} == set()


@pytest.mark.parametrize("block", every("yaml"))
def test_yaml_blocks(block: Block, tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a part of a config without unknown keys, and its plug-ins take their options."""
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path, server.base_url)
    write_files(block.page, tmp_path)
    for name in re.findall(r"\$\{(\w+)\}", block.text):
        monkeypatch.setenv(name, "given")
    tree = load_yaml(block.text)
    assert isinstance(tree, dict) and tree
    tree.setdefault("data", {}).setdefault("input_path", "data.jsonl")
    Path("page.yaml").write_text(dump_yaml(tree), encoding="utf-8")
    config = load_config(Path("page.yaml"), []).config
    try:
        resolve(config)
    except ConfigError as error:
        missing = {"vLLM": "vllm", "torch and transformers": "torch"}
        found = re.fullmatch(
            rf".* needs ({'|'.join(missing)})(, which is not installed)?\n  pip install .*", error.message
        )
        assert found and importlib.util.find_spec(missing[found[1]]) is None, error


@pytest.mark.parametrize("block", [block for block in every("python") if block.values[0].file_name])
def test_python_files(block: Block, tmp_path: Path) -> None:
    """Each is a module that uses nothing that it does not import."""
    path = tmp_path / "block.py"
    path.write_text(block.text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("block", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "transform"):
        assert module.transform(RAW_ROW)["metadata"] == {"answer": "5"}


@pytest.mark.parametrize("block", [block for block in every("python") if not block.values[0].file_name])
def test_python_blocks(block: Block, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("datasets") is None:
        monkeypatch.setitem(sys.modules, "datasets", reader_of_training_files())
    names: dict[str, Any] = {}
    exec(compile(block.text, block.where, "exec"), names)
    if "transform" in names:
        assert names["transform"](RAW_ROW)["messages"][0]["content"] == "What is 2 + 3?"


def reader_of_training_files() -> ModuleType:
    """In place of `datasets` where that is not installed: the same files, read by pyarrow."""

    def load_dataset(kind: str, name: str = "", data_files: str = "", *, split: str) -> Any:
        if name:  # a folder, whose card says which files there are
            card = (Path(kind) / "README.md").read_text(encoding="utf-8")
            assert f"config_name: {name}" in card
            kind, data_files = "parquet", f"{kind}/{name}/*.parquet"
        read = {"json": pyarrow.json.read_json, "parquet": pq.read_table}[kind]
        tables = [read(path) for path in sorted(Path().glob(data_files))]
        assert split == "train" and tables and all(table.num_rows for table in tables)
        return tables

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("block", every("json", "toml"))
def test_data_blocks(block: Block) -> None:
    if block.language == "toml":
        tomllib.loads(block.text)
        return
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        assert [json.loads(line) for line in block.text.splitlines()]


def test_the_reference_of_commands_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "python -m tests.cli_reference"
