"""TRL's own trainers read the rows as they are, and take a step on the tiny model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from rsr_cli.tiny.tokenizer import MODEL_DIR
from tests.conftest import Rsr
from tests.server.running import ModelServer
from tests.server.scenario import Reply
from tests.work_dirs import write_config, write_rows

pytestmark = pytest.mark.trainers
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_DISABLED", "true")
datasets = pytest.importorskip("datasets")
trl = pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")

PROMPTS = [
    [{"role": "user", "content": "3 + 7? 世界"}],
    [{"role": "system", "content": "Sei kurz."}, {"role": "user", "content": "What is 3 + 7?"}],
    [
        {"role": "user", "content": "3 + 6?"}, {"role": "assistant", "content": "9"},
        {"role": "user", "content": "And one more?"},
    ],
]  # fmt: skip
FORMATTERS = [
    {"type": "sft", "layout": "prompt_completion"}, {"type": "sft", "name": "chat"},
    "dpo", "kto", "reward_pairs", "rlvr",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(MODEL_DIR)


@pytest.fixture
def train(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> Path:
    """The training rows of a run whose answers think."""
    model_server.scenario.reply = lambda ask: Reply(
        f"<think>{ask.k}</think>" + ("No é." if ask.k % 2 else "\\boxed{10}")
    )
    items = [{"id": f"q{n}", "messages": messages, "metadata": {"answer": "10"}} for n, messages in enumerate(PROMPTS)]
    path = write_rows(tmp_path / "in.jsonl", items)
    config = write_config(tmp_path / "c.yaml", path, model_server.base_url, formatter=FORMATTERS)
    outcome = rsr("run", config, "-w", tmp_path / "w", "guards.identical.stop=null")
    assert outcome.exit_code == 0, outcome.stderr
    return tmp_path / "w/train"


def stepped(trainer: Any) -> None:
    """Take one step; the loss is a number."""
    loss = trainer.train().training_loss
    assert loss == loss and loss > 0


def options(folder: Path, **more: Any) -> dict[str, Any]:
    return {"output_dir": str(folder / "out"), "max_steps": 1, "per_device_train_batch_size": 2, "report_to": [],
            "use_cpu": True, "save_strategy": "no", "bf16": False, **more}  # fmt: skip


def test_the_card_makes_train_a_data_set(train: Path) -> None:
    for name in ("sft", "chat", "dpo", "kto", "reward_pairs", "rlvr"):
        found = datasets.load_dataset(str(train), name, split="train")
        lines = datasets.load_dataset("json", data_files=str(train / f"{name}.jsonl"), split="train")
        assert len(found) == len(lines) >= 3
    assert len(datasets.load_dataset(str(train), split="train")) == 3


def test_the_loss_is_on_the_completion_and_its_end_token_alone(train: Path, tokenizer: Any) -> None:
    rows = datasets.load_dataset(str(train), "sft", split="train")
    length = yaml.safe_load((train / "sft.trl.yaml").read_text())["max_length"]
    trainer = trl.SFTTrainer(str(MODEL_DIR), args=trl.SFTConfig(**options(train.parent, max_length=length)),
                             train_dataset=rows, processing_class=tokenizer)  # fmt: skip
    batches = [trainer.data_collator([trainer.train_dataset[n]]) for n in range(len(rows))]
    for row, batch in zip(rows, batches, strict=True):
        trained = [token for token in batch["labels"][0].tolist() if token != -100]
        expected = tokenizer.encode(row["completion"][0]["content"] + tokenizer.eos_token, add_special_tokens=False)
        assert tokenizer.decode(trained) == tokenizer.decode(expected)
        assert row["completion"][0]["content"].startswith("<think>\n")
    stepped(trainer)


def test_sft_reads_conversations(train: Path, tokenizer: Any) -> None:
    rows = datasets.load_dataset(str(train), "chat", split="train")
    stepped(trl.SFTTrainer(str(MODEL_DIR), args=trl.SFTConfig(**options(train.parent)), train_dataset=rows,
                           processing_class=tokenizer))  # fmt: skip


def test_dpo_reads_pairs(train: Path, tokenizer: Any) -> None:
    rows = datasets.load_dataset(str(train), "dpo", split="train")
    trainer = trl.DPOTrainer(str(MODEL_DIR), args=trl.DPOConfig(**options(train.parent)), train_dataset=rows,
                             processing_class=tokenizer)  # fmt: skip
    assert len(trainer.train_dataset) == len(rows)
    stepped(trainer)


def test_kto_reads_labels(train: Path, tokenizer: Any) -> None:
    rows = datasets.load_dataset(str(train), "kto", split="train")
    assert set(rows["label"]) == {True, False}
    stepped(trl.KTOTrainer(str(MODEL_DIR), args=trl.KTOConfig(**options(train.parent)), train_dataset=rows,
                           processing_class=tokenizer))  # fmt: skip


def test_reward_models_read_pairs_with_margins(train: Path, tokenizer: Any) -> None:
    rows = datasets.load_dataset(str(train), "reward_pairs", split="train")
    assert rows["margin"][0] == 1.0
    model = transformers.AutoModelForSequenceClassification.from_pretrained(MODEL_DIR, num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    stepped(trl.RewardTrainer(model, args=trl.RewardConfig(**options(train.parent)), train_dataset=rows,
                              processing_class=tokenizer))  # fmt: skip
