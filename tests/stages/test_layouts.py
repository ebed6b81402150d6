"""Rows in the layouts of trainers, the files beside them, and how many there are."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Reply
from tests.work_dirs import rows, state, sums, write_config, write_rows

TURNS = [
    {"role": "system", "content": "Sei kurz."},
    {"role": "user", "content": "3 + 7? 世界"},
    {"role": "assistant", "content": "10"},
    {"role": "user", "content": "sure?"},
]
LAYOUTS = {
    "sft": ["trl", "messages", "prompt_completion", "llama-factory", "axolotl", "ms-swift", "verl", "open-instruct",
            "nemo-rl", "openrlhf"],
    "dpo": ["trl", "llama-factory", "axolotl", "ms-swift", "open-instruct", "nemo-rl", "openrlhf"],
    "reward_pairs": ["trl", "llama-factory", "ms-swift", "open-instruct", "nemo-rl", "openrlhf"],
    "kto": ["trl", "llama-factory", "ms-swift"],
    "rlvr": ["trl", "axolotl", "ms-swift", "verl", "open-instruct", "openrlhf"],
}  # fmt: skip
ALL = [
    {"type": kind, "name": f"{kind}_{layout}", "layout": layout} for kind, those in LAYOUTS.items() for layout in those
]


def project(tmp_path: Path, server: ModelServer, items: list[dict[str, Any]], **sections: Any) -> Path:
    server.scenario.reply = lambda ask: Reply("wrong" if ask.k % 2 else f"\\boxed{{10}} {ask.k}")
    sections = {"verifier": {"type": "math-rlvr", "workers": 1}, "guards": {"identical": {"stop": None}}} | sections
    return write_config(tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", items), server.base_url, **sections)


def lines(work_dir: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (work_dir / f"train/{name}.jsonl").read_text().splitlines()]


def test_each_layout_is_as_its_trainer_reads_it(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    items = [{"id": "q", "messages": TURNS, "metadata": {"answer": "10", "kind": "math"}}]
    config = project(tmp_path, model_server, items, formatter=ALL)
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    made = {item["name"]: lines(tmp_path / "w", item["name"])[0] for item in ALL}
    [note] = [line for line in outcome.stdout.splitlines() if "train/dpo_trl: chosen" in line]
    sides = made["dpo_trl"]["chosen_tokens"], made["dpo_trl"]["rejected_tokens"]
    assert f"chosen {sides[0]} tokens, rejected {sides[1]} on average" in note
    for name, row in made.items():
        assert rows(tmp_path / f"w/train/{name}")[0] == row
    good = {"role": "assistant", "content": made["sft_trl"]["messages"][-1]["content"]}
    bad = {"role": "assistant", "content": "wrong"}
    for layout in ("trl", "messages", "llama-factory", "axolotl", "ms-swift", "verl", "open-instruct", "nemo-rl"):
        assert made[f"sft_{layout}"]["messages"] == [*TURNS, good]
    for kind in ("dpo", "reward_pairs"):
        for layout in ("trl", "openrlhf"):
            row = made[f"{kind}_{layout}"]
            assert (row["prompt"], row["chosen"], row["rejected"]) == (TURNS, [good], [bad])
        row = made[f"{kind}_llama-factory"]
        assert (row["messages"], row["chosen"], row["rejected"]) == (TURNS, good, bad)
        row = made[f"{kind}_ms-swift"]
        assert (row["messages"], row["rejected_messages"]) == ([*TURNS, good], [*TURNS, bad])
        row = made[f"{kind}_open-instruct"]
        assert (row["chosen"], row["rejected"]) == ([*TURNS, good], [*TURNS, bad])
        row = made[f"{kind}_nemo-rl"]
        assert row["context"] == TURNS
        assert row["completions"] == [{"rank": 0, "completion": [good]}, {"rank": 1, "completion": [bad]}]
    assert made["reward_pairs_trl"]["margin"] == 1.0
    assert [(row["completion"], row["label"]) for row in lines(tmp_path / "w", "kto_trl")] == [
        ([good], True), ([bad], False),
    ]  # fmt: skip
    assert made["kto_ms-swift"]["messages"] == [*TURNS, good]
    verl = made["rlvr_verl"]
    assert (verl["prompt"], verl["data_source"]) == (TURNS, "rsr")
    assert verl["reward_model"] == {"style": "rule", "ground_truth": "10"}
    assert json.loads(verl["extra_info"]["metadata"]) == {"answer": "10", "kind": "math"}
    assert verl["pass_rate"] == 0.5
    assert (made["rlvr_open-instruct"]["ground_truth"], made["rlvr_trl"]["solution"]) == ("10", "10")


def test_files_beside_the_rows_say_what_trainers_ask_for(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    config = project(tmp_path, model_server, [{"id": "q", "messages": TURNS, "metadata": {"answer": "10"}}],
                     formatter=ALL)  # fmt: skip
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    train = tmp_path / "w/train"
    row = lines(tmp_path / "w", "sft_trl")[0]
    longest = row["prompt_tokens"] + row["completion_tokens"]
    settings = yaml.safe_load((train / "sft_trl.trl.yaml").read_text())
    assert longest < settings["max_length"] <= longest + 128 and settings["assistant_only_loss"] is True
    assert "assistant_only_loss" not in yaml.safe_load((train / "sft_prompt_completion.trl.yaml").read_text())
    index = json.loads((train / "dataset_info.json").read_text())
    assert index.keys() == {f"{kind}_llama-factory" for kind in ("sft", "dpo", "reward_pairs", "kto")}
    assert index["dpo_llama-factory"]["ranking"] and index["kto_llama-factory"]["columns"]["kto_tag"] == "label"
    assert index["sft_llama-factory"]["tags"]["system_tag"] == "system"
    [dataset] = yaml.safe_load((train / "dpo_axolotl.axolotl.yaml").read_text())["datasets"]
    assert dataset["type"] == "chat_template.default" and dataset["field_messages"] == "messages"
    call = (train / "dpo_ms-swift.ms-swift.sh").read_text()
    assert "swift rlhf --rlhf_type dpo" in call and "--max_length" in call
    subprocess.run(["sh", "-n", train / "dpo_ms-swift.ms-swift.sh"], check=True)
    verl = yaml.safe_load((train / "rlvr_verl.verl.yaml").read_text())
    assert verl["custom_reward_function"] == {"path": "./rlvr_verl_reward.py", "name": "compute_score"}
    spec = importlib.util.spec_from_file_location("rlvr_verl_reward", train / "rlvr_verl_reward.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    extra = lines(tmp_path / "w", "rlvr_verl")[0]["extra_info"]
    assert module.compute_score("rsr", "<think>9</think>\\boxed{10}", "10", extra) == 1.0
    assert module.compute_score("rsr", "<think>\\boxed{10}", "10", extra) == 0.0
    assert module.reward([[{"role": "assistant", "content": "\\boxed{10}"}], "11"], solution=["10", "10"]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("formatter", "change", "saying"),
    [
        ({"type": "sft", "layout": "llamafactory"}, {}, "there is no layout 'llamafactory', known: trl, messages"),
        ({"type": "kto", "layout": "verl"}, {}, "verl has no rows of this kind, known: trl, llama-factory, ms-swift"),
        ({"type": "sft", "layout": "ms-swift", "reasoning": "field"}, {}, "drops reasoning_content"),
        ({"type": "top_k", "per_prompt": 3}, {}, "top_k has k for it"),
        ({"type": "sft", "pass_rate": [0.9, 0.1]}, {}, "pass_rate: the lowest and the highest"),
        ({"type": "dpo", "layout": "llama-factory"}, {"messages": TURNS[:2] + TURNS[3:]}, "'odd': messages[2]"),
        ({"type": "sft", "layout": "axolotl"}, {"messages": [{"role": "developer", "content": "x"}, *TURNS[1:]]},
         "'odd': messages[0] has the role 'developer'"),
        ({"type": "sft", "layout": "ms-swift"}, {"messages": [{"role": "user", "content": "?", "name": "Ann"}]},
         "'odd': messages[0] has 'name'"),
        ({"type": "reward_pairs", "layout": "axolotl"}, {"messages": TURNS}, "several turns"),
        ({"type": "sft", "layout": "verl"}, {"metadata": {"answer": "10", "sampling": {"tools": [{"type": "f"}]}}},
         "'odd': metadata.sampling has tools"),
        ({"type": "rlvr"}, {"metadata": {"gold": "10"}}, "'odd': metadata has no answer"),
        ({"type": "sft", "columns": ["kind"]}, {}, "no prompt has metadata.kind"),
        ({"type": "sft", "columns": ["id"]}, {"metadata": {"answer": "10", "id": "x"}}, "the name of a column"),
    ],
)  # fmt: skip
def test_what_a_layout_cannot_hold_costs_nothing(
    formatter: dict[str, Any], change: dict[str, Any], saying: str, tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    odd = {"id": "odd", "messages": TURNS[1:2], "metadata": {"answer": "10"}} | change
    config = project(tmp_path, model_server, [*sums(1), odd], formatter=[formatter])
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 2 and saying in outcome.stderr, outcome.stderr
    assert not model_server.log


def test_quotas_and_the_most_rows(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    items = [
        {"id": f"q{n}", "messages": TURNS, "metadata": {"answer": "10", "kind": "chat" if n % 3 else "math"}}
        for n in range(12)
    ]
    quota = {"field": "kind", "rows": {"math": 2, "chat": 99}}
    formatters = [
        {"type": "top_k", "k": 2, "max_rows": 5}, {"type": "sft", "quota": quota},
        {"type": "sft", "name": "plain", "columns": ["kind"]},
    ]  # fmt: skip
    config = project(tmp_path, model_server, items, formatter=formatters, shard={"size": 5})
    outcome = rsr("run", config, "-w", tmp_path / "w")
    assert outcome.exit_code == 0 and "chat: 8 of 99" in outcome.stderr, outcome.stderr
    few = lines(tmp_path / "w", "top_k")
    assert len(few) == len({row["id"] for row in few}) == 5  # no prompt has two while another has none
    assert Counter(row["kind"] for row in lines(tmp_path / "w", "sft")) == {"math": 2, "chat": 8}
    assert len(lines(tmp_path / "w", "plain")) == 12
    assert few == rows(tmp_path / "w/train/top_k")
    assert rsr("check", tmp_path / "w").exit_code == 0
    assert "up to date" in rsr("format", "-w", tmp_path / "w").stdout
    more = rsr("format", "-w", tmp_path / "w", "formatter.0.max_rows=7")
    assert more.exit_code == 0, more.stderr
    assert len(rows(tmp_path / "w/train/top_k")) == 7


def test_the_card_names_every_folder_and_a_readme_of_others_stays(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    items = [{"id": "q", "messages": TURNS, "metadata": {"answer": "10"}}]
    config = project(tmp_path, model_server, items, formatter=["rollouts", "sft", {"type": "dpo", "layout": "axolotl"}])
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    card = tmp_path / "w/train/README.md"
    front = yaml.safe_load(card.read_text().split("---")[1])
    assert front["configs"] == [
        {"config_name": "rollouts", "data_files": "rollouts/*.parquet", "default": True},
        {"config_name": "sft", "data_files": "sft/*.parquet"},
        {"config_name": "dpo", "data_files": "dpo/*.parquet"},
    ]
    assert rsr("format", "-w", tmp_path / "w", "formatter=[sft]").exit_code == 0
    assert "dpo" not in card.read_text() and not (tmp_path / "w/train/dpo.axolotl.yaml").exists()
    card.write_text("mine")
    outcome = rsr("format", "-w", tmp_path / "w", "formatter=[sft, kto]")
    assert outcome.exit_code == 0 and "it stays as it is" in outcome.stderr and card.read_text() == "mine"
    assert not list(card.parent.glob("*README*.*[0-9]*"))
    assert "train/README.md" not in state(tmp_path / "w")["written"]
    assert rsr("check", tmp_path / "w").exit_code == 0


def test_a_band_of_pass_rates_needs_all_rollouts(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    items = [{"id": "q", "messages": TURNS, "metadata": {"answer": "10"}}]
    config = project(tmp_path, model_server, items, formatter=[{"type": "sft", "pass_rate": [0.4, 0.6]}])
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    assert len(rows(tmp_path / "w/rollout")) == 8
    assert len(lines(tmp_path / "w", "sft")) == 1
    assert rsr("format", "-w", tmp_path / "w", "formatter.0.pass_rate=[0.6, 1]").exit_code in (0, 3)
    assert lines(tmp_path / "w", "sft") == []


def test_every_row_leads_back_to_its_attempts(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    items = [{"id": f"q{n}", "messages": TURNS, "metadata": {"answer": "10"}} for n in range(4)]
    formatters = ["sft", "dpo", "kto", "rlvr", "rollouts", {"type": "reward_pairs", "layout": "nemo-rl"}]
    config = project(tmp_path, model_server, items, formatter=formatters, shard={"size": 3})
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    for name in ("sft", "dpo", "kto", "rlvr", "rollouts", "reward_pairs"):
        for number, row in enumerate(lines(tmp_path / "w", name)):
            outcome = rsr("show", tmp_path / "w", "--row", f"{name}:{number}", "--json")
            assert outcome.exit_code == 0, outcome.stderr
            shown = json.loads(outcome.stdout)
            wanted = [row[key] for key in ("attempt", "chosen_attempt", "rejected_attempt") if key in row]
            assert shown["id"] == row["id"]
            if wanted:
                assert [item["attempt"] for item in shown["attempts"]] == wanted
    assert "made from the prompt q3: chosen " in rsr("show", tmp_path / "w", "--row", "dpo:3").stdout
    for named, saying in (("sft:4", "has 4 rows"), ("nope:0", "known: dpo, kto"), ("sft", "names no row")):
        outcome = rsr("show", tmp_path / "w", "--row", named)
        assert outcome.exit_code == 2 and saying in outcome.stderr


END = "<|im_end|>"
TEMPLATES = {
    "whole": "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}",
    "lost": "{% for m in messages %}<{{ m.role }}>{{ m.content.split('</think>')[-1] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}",
    "doubled": "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}",
    "end_not_trained": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if not loop.last %}<|im_end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_end|><assistant>{% endif %}",
    "not_prefix": "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>THINK{% endif %}",
    "refused": "{{ raise_exception('no system here') }}",
}


def test_a_chat_template_is_asked_what_it_does_to_rows(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    items = [{"id": f"q{n}", "messages": TURNS, "metadata": {"answer": "10"}} for n in range(2)]
    formatters = ["sft", {"type": "dpo", "layout": "llama-factory"}, {"type": "kto", "layout": "ms-swift"}]
    config = project(tmp_path, model_server, items, formatter=formatters)
    model_server.scenario.reply = lambda ask: Reply(f"<think>why {ask.k}</think>\\boxed{{{10 if ask.k % 2 else 9}}}")
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    for kind, text in TEMPLATES.items():
        folder = tmp_path / kind
        folder.mkdir()
        settings = {"chat_template": text, "eos_token": {"content": END}}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        outcome = rsr("format", "-w", tmp_path / "w", "--check-template", folder, "--json")
        found = json.loads(outcome.stdout)
        assert outcome.exit_code == (0 if kind == "whole" else 1), (kind, outcome.stdout)
        for name, conversations in (("sft", 2), ("dpo", 4), ("kto", 4)):
            assert found[name]["conversations"] == conversations
            hit = {key for key in ("lost", "doubled", "end_not_trained", "not_prefix", "refused") if found[name][key]}
            assert hit == ({kind} - {"whole"}), (kind, name, found[name])
    plain = rsr("format", "-w", tmp_path / "w", "--check-template", tmp_path / "lost").stdout
    assert "2 lose their thinking: rsr show --row sft:0" in plain
    for place, saying in (("empty", "has no chat template"), ("bad", "can't be read")):
        (tmp_path / place).mkdir()
        if place == "bad":
            (tmp_path / place / "chat_template.jinja").write_text("{% for %}")
        outcome = rsr("format", "-w", tmp_path / "w", "--check-template", tmp_path / place)
        assert outcome.exit_code == 2 and saying in outcome.stderr
