"""Files of batches are whole or not there, and are never written through a link."""

from __future__ import annotations

from pathlib import Path

from rsr_cli.clients.batches.folder import BatchFolder
from rsr_cli.clients.batches.lines import custom_id
from rsr_cli.clients.endpoints import Dialect

NAME = custom_id("0" * 32, range(1))


def test_files_of_batches_are_replaced_whole_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = BatchFolder(tmp_path / "batches")
    for name in (".requests-0001.jsonl.tmp", ".requests-0001.json.tmp"):
        (folder.path / name).symlink_to(outside)
    file = folder.begin(Dialect())
    file.add(NAME, b"{}\n")
    assert not file.path.exists()
    folder.finish(file)
    assert outside.read_text() == "mine" and file.path.read_bytes() == b"{}\n"
    dropped = folder.begin(Dialect())
    dropped.add(NAME, b"{}\n")
    dropped.drop()
    assert sorted(path.name for path in folder.path.iterdir()) == ["requests-0001.json", "requests-0001.jsonl"]
    assert not any(path.is_symlink() for path in folder.path.iterdir())
