"""What a work dir relies on holds in a file system and in an object store alike."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rsr_cli
from rsr_cli.errors import WorkDirError
from rsr_cli.storage.files import digest_of, is_empty_folder, set_aside, write_text
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.journal_lines import encode
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.storage.locate import locate
from tests.object_store import *  # noqa: F403

LINES = [encode({"id": f"row {number}"}) for number in range(4)]


@pytest.fixture(params=["local", "object store"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty folder or bucket."""
    found: Storage = LocalStorage(tmp_path) if request.param == "local" else request.getfixturevalue("bucket")
    return found


def test_a_file_is_replaced_whole_or_not_at_all(storage: Storage) -> None:
    path = storage / "summary" / "stats.json"
    assert digest_of(path) is None and path.stamp() is None and not path.parent.exists()
    write_text(path, "one")
    stamp, digest = path.stamp(), digest_of(path)
    with pytest.raises(ZeroDivisionError), path.replacing() as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text("utf-8") == "one" and path.stamp() == stamp and digest_of(path) == digest
    write_text(path, "other")
    assert path.stamp() != stamp and digest_of(path) != digest
    assert [item.name for item in path.parent.iterdir()] == ["stats.json"]
    assert digest_of(path.parent) == "", "a folder in the place of a file"


def test_files_are_listed_set_aside_and_removed(storage: Storage) -> None:
    train = storage / "train"
    for name in ("sft.jsonl", "sft.jsonl.kept", "dpo.jsonl"):
        write_text(train / name, name)
    assert sorted(item.name for item in train.glob("*.jsonl")) == ["dpo.jsonl", "sft.jsonl"]
    assert set_aside(train / "sft.jsonl") == train / "sft.jsonl.kept2"
    assert (train / "sft.jsonl.kept2").read_bytes() == b"sft.jsonl" and not (train / "sft.jsonl").exists()
    assert not train.remove_if_empty() and train.is_dir() and not is_empty_folder(train)
    for path in list(train.iterdir()):
        path.remove()
        path.remove()
    assert train.remove_if_empty() and not train.exists()


def test_a_journal_goes_on_where_it_was(storage: Storage) -> None:
    path = storage / "rollout" / "shard_0000.journal"
    assert path.open_journal() is None and path.journal_size() == 0 and not path.has_journal()
    for lines in (LINES[:1], LINES[1:]):
        journal = path.append_journal()
        journal.write(b"".join(lines))
        journal.verify()
        journal.close()
    assert journal.lines == 4 and path.has_journal() and path.journal_size() == len(b"".join(LINES))
    file, first = path.open_journal(), path.open_journal(only_first=True)
    assert file is not None and first is not None
    with file, first:
        assert list(file) == LINES and first.readline() == LINES[0]
    path.remove_journal()
    assert not path.has_journal()


def test_one_writer_at_a_time_whose_local_folders_are_kept(storage: Storage) -> None:
    with storage.lock():
        assert storage.is_locked()
        with pytest.raises(WorkDirError, match="is in use by the process with pid"), locate(str(storage)).lock():
            pass
        logs = storage.local_folder("logs")
        logs.mkdir(exist_ok=True)
        (logs / "rsr.log").write_text("now")
        assert storage.stored_at(logs / "rsr.log") == storage / "logs" / "rsr.log"
        scratch = storage.scratch_folder(".staging")
        scratch.mkdir()
        (scratch / "shard").write_text("staged")
        (storage / "data" / "shard").install(scratch / "shard")
    assert not storage.is_locked()
    assert (storage / "logs" / "rsr.log").read_bytes() == b"now" and (storage / "data" / "shard").is_file()


def test_nobody_asks_what_kind_of_storage_a_path_is() -> None:
    kinds = {"Path", "PurePath", "PosixPath", "LocalStorage", "ObjectStorage", "Storage"}
    asked = [
        f"{path}:{node.lineno}"
        for path in Path(rsr_cli.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
        if kinds & {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
    ]
    assert not asked
