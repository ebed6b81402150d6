"""Input files of every kind: nothing of a row is lost or changed without a word."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.errors import InputError
from rsr_cli.store.cells import Struct, column, without_fills
from rsr_cli.store.inputs import BadRow, input_file, read_input
from tests.work_dirs import sums, write_rows


def read(path: Path, text: str | bytes) -> list[Any]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [row for _, row in read_input(str(path))]


FAR = 2**60
KINDS: list[tuple[pa.DataType, Any, Any]] = [
    (pa.timestamp("ns"), 1704067200000000001, "2024-01-01 00:00:00.000000001"),
    (pa.timestamp("us"), datetime.datetime(2024, 1, 1), "2024-01-01 00:00:00"),
    (pa.timestamp("ns", "UTC"), 1, "1970-01-01 00:00:00.000000001Z"),
    (pa.timestamp("ms"), FAR, f"{FAR} ms"),
    (pa.timestamp("s", "No/Where"), 5, "5 s"),
    (pa.time64("ns"), 1, "00:00:00.000000001"),
    (pa.time32("s"), 61, "00:01:01"),
    (pa.duration("ns"), 1001, "1001 ns"),
    (pa.duration("s"), FAR, f"{FAR} s"),
    (pa.duration("s"), datetime.timedelta(seconds=61), "0:01:01"),
    (pa.date32(), 3_000_000, "10183-09-21"),
    (pa.date32(), datetime.date(2024, 1, 2), "2024-01-02"),
    (pa.decimal128(5, 2), decimal.Decimal("1.50"), "1.50"),
    (pa.decimal256(60, 2), decimal.Decimal("1.50"), "1.50"),
    (pa.binary(), "é".encode(), "é"),
    (pa.binary(), b"\xff\x00", b"\xff\x00"),
    (pa.large_string(), "x", "x"),
    (pa.string_view(), "x", "x"),
    (pa.float64(), float("nan"), None),
    (pa.float32(), float("inf"), None),
    (pa.bool_(), True, True),
    (pa.uint64(), 2**64 - 1, 2**64 - 1),
    (pa.null(), None, None),
    (pa.map_(pa.string(), pa.timestamp("ns")), [("k", 1)], {"k": "1970-01-01 00:00:00.000000001"}),
    (pa.map_(pa.int32(), pa.string()), [(1, None)], {"1": None}),
    (pa.list_(pa.struct([("t", pa.date32()), ("x", pa.int8())])), [{"t": 3_000_000, "x": 1}],
     [{"t": "10183-09-21", "x": 1}]),
    (pa.large_list(pa.string()), ["a", None], ["a", None]),
    (pa.list_(pa.float64(), 2), [1.0, float("nan")], [1.0, None]),
    (pa.dictionary(pa.int32(), pa.string()), "a", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "wanted"), KINDS, ids=[str(kind[0]) for kind in KINDS])
def test_every_type_of_cell(kind: pa.DataType, value: Any, wanted: Any) -> None:
    array = pa.array([value, None], kind)
    assert column(array) == [wanted, None]
    assert column(pa.StructArray.from_arrays([array], ["x"]))[0] == {"x": wanted}


def test_a_column_that_nobody_needs_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    made = pa.table({"id": ["a"], "messages": ["[]"], "at": pa.array([1], pa.timestamp("ns")), "x": [b"\xff"]})
    pq.write_table(made, path)
    assert list(read_input(str(path), ("id", "messages", "metadata"))) == [
        (f"{path} row 1", {"id": "a", "messages": []})
    ]
    [(_, row)] = read_input(str(path))
    assert row == {"id": "a", "messages": [], "at": "1970-01-01 00:00:00.000000001", "x": b"\xff"}


def test_wide_rows_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": [str(n) for n in range(300)], "page": [os.urandom(4096) for _ in range(300)]}), path)
    monkeypatch.setattr("rsr_cli.store.inputs._BATCH_BYTES", 40_000)
    asked: list[int] = []
    real = pq.ParquetFile.iter_batches

    def iter_batches(self: pq.ParquetFile, size: int, **options: Any) -> Any:
        asked.append(size)
        return real(self, size, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    assert [row["id"] for _, row in read_input(str(path)) if not isinstance(row, BadRow)] == [
        str(n) for n in range(300)
    ]
    assert asked[0] < 12


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(st.lists(st.fixed_dictionaries({"role": st.just("user")}, optional={
    "content": st.text(max_size=5), "name": st.text(max_size=5), "weight": st.integers(0, 1),
}), min_size=1, max_size=4))  # fmt: skip
def test_what_a_table_fills_in_is_taken_out_again(messages: list[dict[str, Any]]) -> None:
    array = pa.array([messages], pa.list_(pa.struct([
        ("role", pa.string()), ("content", pa.string()), ("name", pa.string()), ("weight", pa.int64())
    ])))  # fmt: skip
    assert without_fills(column(array)) == [messages]


def test_an_explicit_null_is_no_fill() -> None:
    assert without_fills({"a": None, "b": Struct(c=None, d=1)}) == {"a": None, "b": {"d": 1}}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_null_in_every_format(number: str, tmp_path: Path) -> None:
    metadata = f'{{"answer": {number}, "list": [1, {number}]}}'
    text = f'{{"id": "a", "x": {number}, "metadata": {metadata}}}'
    wanted = {"id": "a", "x": None, "metadata": {"answer": None, "list": [1, None]}}
    assert read(tmp_path / "in.jsonl", text) == [wanted] == read(tmp_path / "in.json", f"[{text}]")
    quoted = metadata.replace('"', '""')
    assert read(tmp_path / "in.csv", f'id,metadata\na,"{quoted}"\n')[0]["metadata"] == wanted["metadata"]
    value = float(number)
    pq.write_table(pa.Table.from_pylist([{"id": "a", "x": value, "metadata": metadata}]), tmp_path / "in.parquet")
    assert [row for _, row in read_input(str(tmp_path / "in.parquet"))] == [wanted]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_csv_tells_its_own_delimiter(mark: str, tmp_path: Path) -> None:
    lines = [["question", "answer, or so", "note"], ["a,b;c\td|e", "1", ""], ['say "x"\nand y', "2", "n"]]
    quoted = "\r\n".join(mark.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    wanted = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    assert read(tmp_path / "in.csv", quoted) == wanted
    assert read(tmp_path / "bom.csv", b"\xef\xbb\xbf" + quoted.encode()) == wanted
    assert read(tmp_path / "excel.csv", f"sep={mark}\r\n{quoted}") == wanted


def test_an_empty_cell_of_json_is_one_that_is_not_there(tmp_path: Path) -> None:
    assert read(tmp_path / "in.csv", "id,messages,metadata\na,[],\n") == [{"id": "a", "messages": [], "metadata": None}]


@pytest.mark.parametrize(
    ("name", "content", "saying"),
    [
        ("in.csv", b"id,answer,id\na,b,c\n", "more than one column 'id'"),
        ("in.csv", "id,answer\na,é\n".encode("latin-1"), "iconv -f LATIN1"),
        ("in.csv", "id,answer\na,b\n".encode("utf-16"), "is UTF-16"),
        ("in.jsonl", '{"id": "a"}\n'.encode("utf-16-le"), "is UTF-16"),
        ("in.json", '[{"id": "a"}]'.encode("utf-32"), "is UTF-16 or UTF-32"),
        ("in.json", b'[{"id": "a", "id": "b"}]', "the key 'id' is given twice"),
        ("in.jsonl.gz", gzip.compress(b'{"id": "a"}\n' * 99, mtime=0)[:-9], "can't be read"),
        ("in.jsonl.zst", pa.compress(b'{"id": "a"}\n' * 99, codec="zstd", asbytes=True)[:-3], "can't be read"),
        ("in.xlsx", b"PK", "no known kind"),
    ],
)
def test_what_can_not_be_read_whole_is_refused(name: str, content: bytes, saying: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, content)
    assert saying in f"{caught.value} {caught.value.hint}"
    assert str(tmp_path / name) in str(caught.value)


def test_parquet_with_two_columns_of_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    one = pa.array(["a"])
    twice = pa.StructArray.from_arrays([one, one], ["role", "role"])
    for arrays, names, name in (([one, one], ["id", "id"], "id"), ([one, twice], ["id", "messages"], "role")):
        pq.write_table(pa.Table.from_arrays(arrays, names), path)
        with pytest.raises(InputError, match=f"more than one column '{name}'"):
            list(read_input(str(path)))


@pytest.mark.parametrize(
    ("line", "saying"),
    [
        (b'{"id": "a", "id": "b"}', "'id' is given twice"),
        (b'{"id": "a", "metadata": {"x": 1, "x": 1}}', "'x' is given twice"),
        ('{"id": "é"}'.encode("latin-1"), "iconv -f LATIN1"),
        (b'{"id": ' + b"9" * 5000 + b"}", "4300 digits"),
        (b'{"id": "\\ud83d"}', "surrogates"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(line: bytes, saying: str, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id": 1}\n' + line + b'\n{"id": 2}\n')
    first, (where, bad), last = read_input(str(path))
    assert isinstance(bad, BadRow) and saying in bad and where == f"{path}:2"
    assert (first[1], last[1]) == ({"id": 1}, {"id": 2})


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet", "jsonl.gz"])
def test_a_pipe_is_read_as_often_as_needed(kind: str, tmp_path: Path) -> None:
    wanted = [{"id": "a", "n": "1"}, {"id": "b", "n": "2"}]
    lines = "".join(json.dumps(row) + "\n" for row in wanted).encode()
    source = tmp_path / "source"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(wanted), source)
    else:
        made = {"jsonl": lines, "json": json.dumps(wanted).encode(), "csv": b"id,n\na,1\nb,2\n"}
        source.write_bytes(made.get(kind) or gzip.compress(lines))
    reading, writing = os.pipe()
    feeder = threading.Thread(target=lambda: (os.write(writing, source.read_bytes()), os.close(writing)))
    feeder.start()
    path = f"/dev/fd/{reading}"
    assert [row for _, row in read_input(path)] == wanted
    assert [row for _, row in read_input(path)] == wanted
    assert input_file(path).read_bytes() == source.read_bytes()
    feeder.join()
    os.close(reading)


def test_rows_come_by_stdin_and_by_process_substitution(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", sums(3))
    config = tmp_path / "c.yaml"
    config.write_text("data: {input_path: /dev/stdin}\nverifier: {type: math-rlvr}\n")
    rsr = f"{sys.executable} -m rsr_cli prepare {config} --json"
    for command in (f"cat in.jsonl | {rsr} -w w1", f"{rsr} -w w2 data.input_path=<(cat in.jsonl)"):
        outcome = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
        assert outcome.returncode == 0, outcome.stderr
        assert json.loads(outcome.stdout)["stages"]["prepare"]["prompts"] == 3
