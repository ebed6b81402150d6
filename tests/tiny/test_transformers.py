"""The shipped model folder, read by transformers unchanged, gives what the embedded engine gives."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rsr_cli.tiny.engine import Engine, SamplingParams
from rsr_cli.tiny.model import Llama
from rsr_cli.tiny.problems import generate, training_pair
from rsr_cli.tiny.tokenizer import MODEL_DIR, Tokenizer

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def their_tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(MODEL_DIR)


@pytest.fixture(scope="module")
def their_model() -> Any:
    torch.set_num_threads(1)
    return transformers.AutoModelForCausalLM.from_pretrained(MODEL_DIR)


def test_same_token_ids_and_texts(their_tokenizer: Any) -> None:
    ours = Tokenizer()
    rng = random.Random(0)
    texts = ["", "Grüße, 世界 🎉", "a_b  c\u00a0d\r\n", "\\boxed{é} <|end|> <|user|", " - 5 -- 6\nA) x\nE) y", "Ⅷ²٣"]
    texts += [training_pair(problem, rng)[1] for problem in generate(0, 100)]
    texts += [problem.prompt() for problem in generate(1, 100)]
    for text in texts:
        ids = their_tokenizer.encode(text)
        assert ours.encode(text) == ids
        assert ours.decode(ids) == their_tokenizer.decode(ids, skip_special_tokens=True)


def test_same_chat_template(their_tokenizer: Any) -> None:
    messages = [
        {"role": "system", "content": " S\n"},
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "\\boxed{3}"},
        {"role": "user", "content": "Sure?"},
    ]
    theirs = their_tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert Tokenizer().encode_chat(messages) == theirs


def test_same_logits(their_model: Any, ask: Callable[[str], list[int]]) -> None:
    ours = Llama(slots=4)
    for problem in generate(2, 10):
        ids = [*ask(problem.prompt()), 7]
        with torch.no_grad():
            theirs = their_model(torch.tensor([ids])).logits[0, -2:].numpy()
        np.testing.assert_allclose(ours.prefill(ids[:-1], 0), theirs[0], atol=2e-3)
        np.testing.assert_allclose(ours.decode(np.array(ids[-1:]), np.array([len(ids) - 1]))[0], theirs[1], atol=2e-3)


def test_same_greedy_answers(
    their_model: Any, their_tokenizer: Any, engine: Engine, ask: Callable[[str], list[int]]
) -> None:
    for problem in generate(3, 20):
        ids = ask(problem.prompt())
        with torch.no_grad():
            output = their_model.generate(torch.tensor([ids]), max_new_tokens=150, do_sample=False)
        text = their_tokenizer.decode(output[0][len(ids) :], skip_special_tokens=True)
        assert engine.submit(ids, SamplingParams(temperature=0, max_tokens=150)).result(30).text == text
