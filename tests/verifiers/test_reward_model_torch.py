"""reward-model in process: the same scores as a plain transformers loop, whatever the batches, padding and templates.

The reward model is made on the spot: the body of the embedded model under a score head drawn from a seed.
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import rsr_cli
from rsr_cli.errors import ConfigError
from rsr_cli.types import Message, Prompt, Verdict
from rsr_cli.verifiers.reward_model import RewardModel
from rsr_cli.verifiers.rewards import sequence_classifier
from rsr_cli.verifiers.rewards.token_batches import Tokens, padded_tokens
from tests.conftest import Rsr
from tests.work_dirs import rows, sums, write_config, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

TINY = Path(rsr_cli.__file__).parent / "tiny/model"
PROMPT = Prompt("p", [{"role": "user", "content": "What is 3 + 4?"}], {})
REPLIES = {n: "3 + 4 = 7. " * (n % 5) + f"The answer is {n}." for n in range(24)}


def save_reward_model(folder: Path, labels: int = 1, **config: Any) -> Path:
    torch.manual_seed(0)
    model = transformers.LlamaForSequenceClassification.from_pretrained(TINY, num_labels=labels)
    for name, value in config.items():
        setattr(model.config, name, value)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(TINY / name, folder)
    return folder


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reward_model(tmp_path_factory.mktemp("reward"))


@pytest.fixture
def own_copy(reward_model: Path, tmp_path: Path) -> Path:
    """One that a test may spoil."""
    return Path(shutil.copytree(reward_model, tmp_path / "reward"))


def one_by_one(path: Path, conversations: Sequence[list[Message]], label: int = 0) -> list[float]:
    """The plain loop that all else is held against."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path).eval()
    scores = []
    for conversation in conversations:
        encoded = tokenizer.apply_chat_template(conversation, return_dict=True, return_tensors="pt")
        with torch.inference_mode():
            scores.append(float(model(input_ids=encoded["input_ids"]).logits[0, label]))
    return scores


def with_reply(reply: str) -> list[Message]:
    return [*PROMPT.messages, {"role": "assistant", "content": reply}]


async def ask(path: Path, replies: dict[int, str] = REPLIES, **options: Any) -> dict[int, Verdict]:
    async with RewardModel(model_path=str(path), **options) as judge:
        return await judge.judge(PROMPT, replies)


def scores(verdicts: dict[int, Verdict]) -> list[float | None]:
    return [verdict.score for verdict in verdicts.values()]


def edit(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None takes one out."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("options", [{}, {"batch_tokens": 1}, {"batch_tokens": 150}, {"devices": ["cpu", "cpu"]}])
async def test_scores_are_those_of_a_plain_loop(options: dict[str, Any], reward_model: Path) -> None:
    verdicts = await ask(reward_model, **options)
    expected = one_by_one(reward_model, [with_reply(reply) for reply in REPLIES.values()])
    assert len(set(expected)) > 20, "the model tells replies apart"
    assert scores(verdicts) == pytest.approx(expected, abs=1e-4)


async def test_without_a_padding_token_the_last_token_is_scored(own_copy: Path) -> None:
    """Padding with eos would move the score off the eos that the template ends with."""
    edit(own_copy / "config.json", pad_token_id=None)
    edit(own_copy / "tokenizer_config.json", pad_token=None)
    verdicts = await ask(own_copy)
    expected = one_by_one(own_copy, [with_reply(reply) for reply in REPLIES.values()])
    assert scores(verdicts) == pytest.approx(expected, abs=1e-4)


async def test_without_a_chat_template_the_text_is_joined(own_copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own_copy / "chat_template.jinja").unlink()
    verdicts = await ask(own_copy)
    assert caplog.text.count("has no chat template") == 1
    tokenizer = transformers.AutoTokenizer.from_pretrained(own_copy)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(own_copy).eval()
    text = f"user: What is 3 + 4?\n\nassistant: {REPLIES[3]}"
    with torch.inference_mode():
        expected = float(model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits)
    assert verdicts[3].score == pytest.approx(expected, abs=1e-4)


async def test_a_chat_template_of_ones_own(own_copy: Path, reward_model: Path) -> None:
    (own_copy / "chat_template.jinja").unlink()
    verdicts = await ask(own_copy, chat_template=str(reward_model / "chat_template.jinja"))
    assert scores(verdicts) == pytest.approx(scores(await ask(reward_model)), abs=1e-4)


async def test_what_is_too_long_is_not_cut(reward_model: Path) -> None:
    verdicts = await ask(reward_model, {0: "7", 1: "7 " * 2000, 2: "8"})
    assert verdicts[1].score is None and verdicts[1].status == "error"
    assert str(verdicts[1].explanation).endswith("tokens, the model takes 1024")
    fitting = one_by_one(reward_model, [with_reply("7"), with_reply("8")])
    assert [verdicts[0].score, verdicts[2].score] == pytest.approx(fitting, abs=1e-4)
    verdicts = await ask(reward_model, {0: "7", 1: "7 " * 40}, max_length=30)
    assert verdicts[0].status == "scored" and "the model takes 30" in str(verdicts[1].explanation)


async def test_out_of_memory(reward_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are halved until they fit; what does not fit by itself has no score."""
    forward = sequence_classifier.Replica._forward
    sizes: list[int] = []

    def small_memory(replica: sequence_classifier.Replica, batch: Sequence[Tokens]) -> list[list[float]]:
        sizes.append(padded_tokens(batch))
        if sizes[-1] > 120:
            kinds = (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: you tried"))
            raise kinds[len(sizes) % 2]
        return forward(replica, batch)

    monkeypatch.setattr(sequence_classifier.Replica, "_forward", small_memory)
    replies = REPLIES | {99: "7 " * 200}
    verdicts = await ask(reward_model, replies)
    expected = one_by_one(reward_model, [with_reply(reply) for reply in REPLIES.values()])
    assert "out of memory with this reply alone" in str(verdicts.pop(99).explanation)
    assert scores(verdicts) == pytest.approx(expected, abs=1e-4)
    assert max(sizes) > 120


async def test_several_labels_need_a_choice(tmp_path: Path) -> None:
    path = save_reward_model(tmp_path / "three", labels=3)
    with pytest.raises(ConfigError, match="has 3 labels"):
        await ask(path)
    with pytest.raises(ConfigError, match="3 is not among"):
        await ask(path, label=3)
    expected = one_by_one(path, [with_reply(reply) for reply in REPLIES.values()], label=2)
    assert scores(await ask(path, label=2)) == pytest.approx(expected, abs=1e-4)
    in_all = [scores(await ask(path, {0: "7"}, label=label, activation="softmax"))[0] or 0.0 for label in range(3)]
    assert sum(in_all) == pytest.approx(1.0)


async def test_a_score_that_is_no_number_is_an_error(own_copy: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(own_copy)
    model.score.weight.data.fill_(math.nan)
    model.save_pretrained(own_copy)
    verdicts = await ask(own_copy, {0: "7"})
    assert verdicts[0] == Verdict(None, "error", None, "the score is not a finite number: nan")


async def test_a_conversation_that_the_template_refuses(own_copy: Path) -> None:
    template = "{% for m in messages %}{{ raise_exception('no 8') if '8' in m.content }}{{ m.content }}{% endfor %}"
    (own_copy / "chat_template.jinja").write_text(template)
    verdicts = await ask(own_copy, {0: "7", 1: "8"})
    assert verdicts[0].status == "scored"
    assert verdicts[1].status == "error" and "no 8" in str(verdicts[1].explanation)


async def test_what_is_no_reward_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no reward model: it has no weights for score\.weight"):
        await ask(TINY)
    with pytest.raises(ConfigError, match=r"the tokenizer of .* can't be loaded"):
        await ask(tmp_path)
    with pytest.raises(ConfigError, match=r"verifier\.devices: .*cuda:7"):
        await ask(save_reward_model(tmp_path / "sound"), devices=["cuda:7"])


async def test_many_groups_at_a_time_do_not_block_the_loop(reward_model: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.002)
            ticks += 1

    async with RewardModel(model_path=str(reward_model), batch_tokens=600) as judge:
        ticking = asyncio.create_task(tick())
        groups = [Prompt(f"g{n}", [{"role": "user", "content": f"What is {n} + 4?"}], {}) for n in range(10)]
        found = await asyncio.gather(*(judge.judge(group, REPLIES) for group in groups))
        ticking.cancel()
    assert ticks > 5
    assert all(verdict.status == "scored" for verdicts in found for verdict in verdicts.values())


def test_end_to_end(reward_model: Path, tmp_path: Path, rsr: Rsr) -> None:
    verifier = {"type": "reward-model", "model_path": str(reward_model), "activation": "sigmoid"}
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(4)), "http://127.0.0.1:1/v1", verifier=verifier
    )
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    texts = ["7.", "<think>a long thought</think>8.", "9 " * 2000]
    made = [{"id": row["id"], "response": text} for row in sums(4) for text in texts]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", tmp_path / "w").exit_code == 0
    outcome = rsr("verify", "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    found = rows(tmp_path / "w/score")
    chats = [[*row["messages"], {"role": "assistant", "content": text}] for row in sums(4) for text in ("7.", "8.")]
    expected = [1 / (1 + math.exp(-logit)) for logit in one_by_one(reward_model, chats)]
    assert [row["score"] for row in found if row["status"] == "scored"] == pytest.approx(expected, abs=1e-4)
    assert [row["score"] for row in found if row["status"] == "error"] == [None] * 4
    before = (tmp_path / "w/score/shard_0000.parquet").stat().st_mtime_ns
    assert rsr("verify", "-w", tmp_path / "w", "verifier.batch_tokens=64").exit_code == 0
    assert (tmp_path / "w/score/shard_0000.parquet").stat().st_mtime_ns == before, "no verdict can change"
