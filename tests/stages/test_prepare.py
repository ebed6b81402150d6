"""prepare: every kind of input, mixes, transforms, prompts, and data that changes under rollouts."""

from __future__ import annotations

import csv
import gzip
import json
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
