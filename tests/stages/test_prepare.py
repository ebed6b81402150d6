"""prepare: every kind of input, mixes, transforms, prompts, and data that changes under rollouts."""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.work_dirs import rows, state, sums, write_config, write_rows

URL = "http://127.0.0.1:1/v1"


def ids(work_dir: Path) -> list[str]:
    return [row["id"] for row in rows(work_dir / "data")]


def write_as(path: Path, items: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items).encode()
    flat = [item | {key: json.dumps(item[key]) for key in ("messages", "metadata")} for item in items]
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".json"):
        text = json.dumps(items).encode()
    elif name.endswith(".csv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["id", "messages", "metadata"])
            writer.writeheader()
            writer.writerows(flat)
        text = path.read_bytes()
    elif name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(items), path)
        text = path.read_bytes()
    if path.suffix == ".gz":
        text = gzip.compress(text)
    elif path.suffix == ".zst":
        text = pa.compress(text, codec="zstd", asbytes=True)
    path.write_bytes(text)


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_every_kind_of_input(kind: str, packed: str, tmp_path: Path, rsr: Rsr) -> None:
    items = sums(30)
    items[3]["messages"][0]["content"] = 'line\u2028separator, "quotes"\nand 中文'
    path = tmp_path / f"in.{kind}{packed}"
    write_as(path, items)
    config = write_config(tmp_path / "c.yaml", path, URL)
    outcome = rsr("prepare", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    found = rows(tmp_path / "w/data")
    assert [row["id"] for row in found] == [item["id"] for item in items]
    assert [json.loads(row["messages"]) for row in found] == [item["messages"] for item in items]
    assert [json.loads(row["metadata"]) for row in found] == [item["metadata"] for item in items]


def test_inputs_are_mixed_by_count_and_fraction_with_a_seed(tmp_path: Path, rsr: Rsr) -> None:
    first = write_rows(tmp_path / "a.jsonl", [row | {"id": f"a{row['id']}"} for row in sums(40)])
    second = write_rows(tmp_path / "b.jsonl", [row | {"id": f"b{row['id']}"} for row in sums(40)])
    mix = [{"path": str(first), "count": 30}, {"path": str(second), "fraction": 0.25}]
    config = write_config(tmp_path / "c.yaml", "", URL, data={"input_path": mix})
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        assert rsr("prepare", config, "-w", tmp_path / name, f"data.seed={seed}").exit_code == 0
    one = ids(tmp_path / "one")
    assert sorted(name[0] for name in one) == ["a"] * 30 + ["b"] * 10
    assert len(set(one)) == 40
    assert [name[0] for name in one] != ["a"] * 30 + ["b"] * 10
    assert one == ids(tmp_path / "same") != ids(tmp_path / "other")
    assert rsr("prepare", config, "-w", tmp_path / "w", "data.input_path.0.count=41").exit_code == 2


def test_a_transform_skips_and_shapes(tmp_path: Path, rsr: Rsr) -> None:
    (tmp_path / "t.py").write_text(
        "def f(item):\n"
        "    if item['n'] % 2: return None\n"
        "    return {'id': f\"q{item['n']}\", 'messages': [{'role': 'user', 'content': item['q']}],\n"
        "            'metadata': {'answer': item.get('a')}}\n"
    )
    raw = [{"n": n, "q": f"question {n}", **({"a": "1"} if n > 4 else {})} for n in range(10)]
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", raw), URL)
    outcome = rsr(
        "prepare", config, "-w", tmp_path / "w", f"data.preprocess.transform={tmp_path}/t.py:f",
        "data.preprocess.system_prompt=Be brief.", "data.preprocess.instruction=Box it.", "--json",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    counts = json.loads(outcome.stdout)["stages"]["prepare"]
    assert (counts["prompts"], counts["skipped"], counts["without_answer"]) == (5, 5, 3)
    assert "3 of 5 prompts have no metadata.answer" in outcome.stderr
    assert json.loads(rows(tmp_path / "w/data")[1]["messages"]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "question 2\n\nBox it."},
    ]
    (tmp_path / "t.py").write_text((tmp_path / "t.py").read_text().replace("% 2", "% 3"))
    assert "done" in rsr("prepare", "-w", tmp_path / "w").stdout
    assert len(ids(tmp_path / "w")) == 4


def test_data_may_grow_and_golds_may_change_under_rollouts_but_prompts_may_not(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    items = sums(12)
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", items), model_server.base_url)
    work_dir = tmp_path / "w"
    assert rsr("run", config, "-w", work_dir).exit_code == 0
    items[0]["metadata"]["answer"] = "8"
    write_rows(tmp_path / "in.jsonl", items + [row | {"id": f"new-{row['id']}"} for row in sums(3)])
    grown = rsr("run", config, "-w", work_dir)
    assert grown.exit_code == 0, grown.stderr
    assert len(ids(work_dir)) == 15
    assert {row["id"] for row in rows(work_dir / "rollout")} == set(ids(work_dir))
    scores = {row["score"] for row in rows(work_dir / "score") if row["id"] == "sum-0"}
    answers = {row["extracted_answer"] for row in rows(work_dir / "score") if row["id"] == "sum-0" and row["score"]}
    assert answers <= {"8"} and scores
    before = {path: path.read_bytes() for path in work_dir.rglob("*.parquet")} | {"state": state(work_dir)}
    items[5]["messages"][0]["content"] = "another question"
    write_rows(tmp_path / "in.jsonl", items)
    outcome = rsr("run", config, "-w", work_dir)
    assert outcome.exit_code == 2
    assert "'sum-5' has rollouts here" in outcome.stderr
    assert before == {path: path.read_bytes() for path in work_dir.rglob("*.parquet")} | {"state": state(work_dir)}


def test_an_input_that_is_gone_does_not_stop_a_resume(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    inputs = write_rows(tmp_path / "in.jsonl", sums(5))
    config = write_config(tmp_path / "c.yaml", inputs, model_server.base_url)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    inputs.unlink()
    outcome = rsr("resume", "-w", tmp_path / "w")
    assert outcome.exit_code == 0
    assert "data/ is taken as it is" in outcome.stderr


def test_big_numbers_in_metadata_are_kept(tmp_path: Path, rsr: Rsr) -> None:
    items = sums(1)
    items[0]["metadata"]["answer"] = 123456789012345678901234567890
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", items), URL)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    assert "123456789012345678901234567890" in rows(tmp_path / "w/data")[0]["metadata"]


def test_a_dataset_of_the_hub_is_read_through_datasets(
    tmp_path: Path, rsr: Rsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real loader is not here, and nothing may be fetched: what it would be asked is looked at."""
    asked: list[Any] = []

    class Datasets:
        @staticmethod
        def load_dataset(*names: Any, **options: Any) -> list[dict[str, Any]]:
            asked.append((names, options))
            return sums(3)

    monkeypatch.setitem(sys.modules, "datasets", Datasets)
    config = write_config(tmp_path / "c.yaml", "hf://owner/sums?name=easy&split=test", URL)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    assert asked[0] == (("owner/sums",), {"split": "test", "streaming": True, "name": "easy"})
    assert ids(tmp_path / "w") == ["sum-0", "sum-1", "sum-2"]
    monkeypatch.setitem(sys.modules, "datasets", None)
    missing = rsr("prepare", config, "-w", tmp_path / "v")
    assert missing.exit_code == 2 and "rsr-cli[hf]" in missing.stderr


def test_null_fields_of_a_table_are_not_sent(tmp_path: Path, rsr: Rsr) -> None:
    """Structs of one column have all fields of all rows; what a row did not have must not reach a server."""
    items = sums(3)
    picture = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}
    items[0]["messages"] = [{"role": "user", "name": "Ann", "content": [{"type": "text", "text": "?"}, picture]}]
    items[1]["messages"] = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    items[0]["metadata"] |= {"sampling": {"temperature": 0.1, "max_tokens": 9}, "options": {"A": "x", "B": "y"}}
    items[1]["metadata"] |= {"sampling": {"chat_template_kwargs": {"top_k": 20}}, "options": {"B": "y", "C": "z"}}
    items.pop()
    config = write_config(tmp_path / "c.yaml", tmp_path / "in.parquet", URL, formatter=["rollouts"])
    (tmp_path / "t.py").write_text(
        "def f(item): return {'id': item['id'], 'messages': item['messages'],\n"
        "    'metadata': {**item['metadata'], 'sampling': item['metadata']['sampling']}}\n"
    )
    write_as(tmp_path / "in.parquet", items)
    for name, transform in (("w", "null"), ("v", f"{tmp_path}/t.py:f")):
        outcome = rsr("prepare", config, "-w", tmp_path / name, f"data.preprocess.transform={transform}")
        assert outcome.exit_code == 0, outcome.stderr
        found = rows(tmp_path / name / "data")
        assert [json.loads(row["messages"]) for row in found] == [item["messages"] for item in items]
        assert [json.loads(row["metadata"]) for row in found] == [item["metadata"] for item in items]


def test_an_explicit_null_in_jsonl_is_kept_where_it_says_something(tmp_path: Path, rsr: Rsr) -> None:
    items = sums(1)
    items[0]["metadata"]["sampling"] = {"temperature": None}
    items[0]["messages"][0]["name"] = None
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", items), URL)
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    [row] = rows(tmp_path / "w/data")
    assert json.loads(row["metadata"])["sampling"] == {"temperature": None}
    assert "name" not in row["messages"]


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "saying"),
    [
        ({"role": ["user"], "content": "?"}, "has no role"),
        ({"role": {"a": 1}, "content": "?"}, "has no role"),
        ({"role": None, "content": "?"}, "has no role"),
        ("user: ?", "has no role"),
        ({"role": "user"}, "has no content"),
        ({"role": "user", "content": {"text": "?"}}, "content that is a dict"),
        ({"role": "user", "content": 5}, "content that is a int"),
        ({"role": "user", "content": ["?"]}, r"content\[0\] that is no object"),
        ({"role": "user", "content": [{"type": "text"}]}, "without a text"),
        ({"role": "user", "content": [{"type": ["text"], "text": "?"}]}, "no object with a type"),
        ({"role": "assistant", "content": None, "tool_calls": "f()"}, "tool_calls"),
        ({"role": "assistant", "content": None, "tool_calls": [None]}, "tool_calls"),
    ],
)
def test_an_odd_message_is_a_bad_row(message: Any, saying: str, tmp_path: Path, rsr: Rsr) -> None:
    items = sums(2)
    items[0]["messages"] = [message]
    config = write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", items), URL)
    refused = rsr("prepare", config, "-w", tmp_path / "w")
    assert refused.exit_code == 2 and re.search(rf"in\.jsonl:1: messages\[0\].*{saying}", refused.stderr)
    skipped = rsr("prepare", config, "-w", tmp_path / "w", "data.preprocess.on_invalid=skip")
    assert skipped.exit_code == 0 and ids(tmp_path / "w") == ["sum-1"]


def test_a_transform_may_leave_the_id_to_us(tmp_path: Path, rsr: Rsr) -> None:
    (tmp_path / "t.py").write_text(
        "def f(item):\n"
        "    messages = [{'role': 'user', 'content': item['q']}]\n"
        "    return {'messages': messages, 'metadata': {'answer': item['a']}}\n"
    )
    config = write_config(tmp_path / "c.yaml", tmp_path / "in.jsonl", URL)
    found = []
    for raw in ([{"q": "x", "a": "1"}, {"q": "y", "a": "2"}], [{"q": "y", "a": "3"}, {"q": "x", "a": "1"}]):
        write_rows(tmp_path / "in.jsonl", raw)
        transform = f"data.preprocess.transform={tmp_path}/t.py:f"
        assert rsr("prepare", config, "-w", tmp_path / raw[0]["q"], transform).exit_code == 0
        found.append(ids(tmp_path / raw[0]["q"]))
    assert found[0] == found[1][::-1] and len(set(found[0])) == 2
    write_rows(tmp_path / "in.jsonl", [{"q": "x", "a": "1"}, {"q": "x", "a": "2"}])
    assert "in an earlier row too" in rsr("prepare", config, "-w", tmp_path / "w", transform).stderr


def test_where_no_prompt_comes_of_it_the_error_names_what_is_there(tmp_path: Path, rsr: Rsr) -> None:
    (tmp_path / "in.csv").write_text("Frage;Antwort\n1+1?;2\n")
    (tmp_path / "t.py").write_text("def f(item): return None if 'question' not in item else item\n")
    config = write_config(tmp_path / "c.yaml", tmp_path / "in.csv", URL)
    for transform in ("null", f"{tmp_path}/t.py:f"):
        outcome = rsr("prepare", config, "-w", tmp_path / "w", f"data.preprocess.transform={transform}")
        assert outcome.exit_code == 2
        assert "the keys of the first row: Frage, Antwort" in outcome.stderr
