"""The journal: cut or damaged anywhere, every whole record that was written is read, and appending goes on."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.storage.journal_lines import encode
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store.journal import Journal, read_journal

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
records = st.lists(st.fixed_dictionaries({"id": texts, "attempt": st.integers(0, 9), "response": st.none() | texts}))


def write(path: LocalStorage, items: list[dict[str, object]]) -> None:
    journal = Journal(path)
    for item in items:
        journal.append(item)
    journal.write(journal.take())
    journal.close()


def read(path: LocalStorage) -> list[dict[str, object]]:
    return [record for _, record in read_journal(path)]


@given(records)
def test_what_is_written_is_read(items: list[dict[str, object]]) -> None:
    with TemporaryDirectory() as folder:
        path = LocalStorage(folder) / "j"
        write(path, items)
        assert read(path) == items


@given(records, records, st.data())
def test_cut_at_any_byte_and_continued(
    first: list[dict[str, object]], then: list[dict[str, object]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        path = LocalStorage(folder) / "j"
        write(path, first)
        size = path.stat().st_size
        cut = data.draw(st.integers(0, size))
        path.write_bytes(path.read_bytes()[:cut])
        whole = 0
        ends = 0
        for item in first:
            ends += len(encode(item))
            whole += ends <= cut
        assert read(path) == first[:whole]
        write(path, then)
        assert read(path) == first[:whole] + then


@given(records.filter(bool), st.data())
def test_a_damaged_byte_costs_one_record_or_two(items: list[dict[str, object]], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = LocalStorage(folder) / "j"
        write(path, items)
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        found = read(path)
        assert all(item in items for item in found)
        assert len(found) >= len(items) - 2


def test_no_journal_is_no_records(tmp_path: LocalStorage) -> None:
    assert read(LocalStorage(tmp_path / "none")) == []
