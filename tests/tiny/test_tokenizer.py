import random

import pytest

from rsr_cli.tiny.problems import generate, training_pair
from rsr_cli.tiny.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer()


def test_generated_texts_round_trip_in_few_tokens(tokenizer: Tokenizer) -> None:
    rng = random.Random(0)
    for problem in generate(0, 200):
        messages, answer = training_pair(problem, rng)
        for text in (answer, *(message["content"] for message in messages)):
            assert tokenizer.decode(tokenizer.encode(text)) == text
        assert len(tokenizer.encode(problem.question)) < len(problem.question) / 2


@pytest.mark.parametrize(
    "text", ["", " ", "\n\r\t\x00", "Grüße, 世界 🎉", "a_b  c\u00a0d", "x\\boxed{é}", "3.14 ≤ π", "\\\\("]
)
def test_any_text_round_trips(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_lone_surrogates_and_cut_bytes_do_not_crash(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a?b"
    assert tokenizer.decode(tokenizer.encode("世")[:2]) == "\ufffd"
    assert tokenizer.decode([10**6]) == ""


def test_digits_are_single_tokens(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("12345")) == 5


def test_chat_messages_end_with_the_turn_of_the_assistant(tokenizer: Tokenizer) -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "How many {{ braces }}?\n"}]
    expected = "<|system|>S<|end|><|user|>How many {{ braces }}?\n<|end|><|assistant|>"
    assert tokenizer.encode_chat(messages) == tokenizer.encode(expected)
    assert tokenizer.encode_chat(messages).count(tokenizer.end_id) == 2
