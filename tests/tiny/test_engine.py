from collections.abc import Callable
from concurrent.futures import CancelledError

import numpy as np
import pytest

from rsr_cli.tiny.engine import Completion, ContextLengthError, Engine, SamplingParams, _nucleus
from rsr_cli.tiny.problems import generate

Ask = Callable[[str], list[int]]

QUESTIONS = [problem.prompt() for problem in generate(11, 24)]


def run_together(engine: Engine, prompts: list[list[int]], params: SamplingParams) -> list[Completion]:
    return [future.result(30) for future in [engine.submit(prompt, params) for prompt in prompts]]


def run_alone(engine: Engine, prompts: list[list[int]], params: SamplingParams) -> list[Completion]:
    return [engine.submit(prompt, params).result(30) for prompt in prompts]


@pytest.mark.parametrize("params", [SamplingParams(temperature=0), SamplingParams(temperature=0.8, top_p=0.95, seed=1)])
def test_a_text_does_not_depend_on_the_batch(engine: Engine, ask: Ask, params: SamplingParams) -> None:
    prompts = [ask(question) for question in QUESTIONS]
    assert run_together(engine, prompts, params) == run_alone(engine, prompts, params)


def test_more_sequences_than_slots(ask: Ask, engine: Engine) -> None:
    prompts = [ask(question) for question in QUESTIONS]
    with Engine(slots=3) as small:
        params = SamplingParams(temperature=0)
        assert run_together(small, prompts, params) == run_together(engine, prompts, params)


def test_seeds_and_streams(engine: Engine, ask: Ask) -> None:
    prompt = ask(QUESTIONS[0])

    def texts(seed: int | None) -> list[str]:
        futures = [engine.submit(prompt, SamplingParams(seed=seed, stream=stream)) for stream in range(8)]
        return [future.result(30).text for future in futures]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)
    assert len(set(texts(1))) > 1
    assert texts(-1) == texts(-1)
    assert texts(None) != texts(None)


def test_a_solvable_problem_is_solved(engine: Engine, ask: Ask) -> None:
    prompt = ask("Anna has 4 apples. Anna gets 3 more apples. How many apples does Anna have now?")
    completion = engine.submit(prompt, SamplingParams(temperature=0)).result(30)
    assert completion.text.endswith("\\boxed{7}")
    assert completion.finish_reason == "stop"
    assert completion.prompt_tokens == len(prompt)
    assert completion.completion_tokens == len(engine.tokenizer.encode(completion.text)) + 1


def test_max_tokens_cuts(engine: Engine, ask: Ask) -> None:
    whole = engine.submit(ask(QUESTIONS[0]), SamplingParams(temperature=0)).result(30)
    cut = engine.submit(ask(QUESTIONS[0]), SamplingParams(temperature=0, max_tokens=2)).result(30)
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 2)
    assert whole.text.startswith(cut.text)


def test_stop_strings_end_the_text_before_them(engine: Engine, ask: Ask) -> None:
    params = SamplingParams(temperature=0, stop=("never", "oxed{"))
    completion = engine.submit(ask(QUESTIONS[0]), params).result(30)
    assert completion.text.endswith("\\b")
    assert completion.finish_reason == "stop"


def test_a_prompt_that_is_too_long_is_refused_alone(engine: Engine, ask: Ask) -> None:
    with pytest.raises(ContextLengthError, match="1024"):
        engine.submit(ask("word " * 1100), SamplingParams())
    longest = engine.submit([5] * 1020, SamplingParams(max_tokens=100, temperature=0)).result(30)
    assert longest.completion_tokens <= 4
    assert engine.submit(ask(QUESTIONS[0]), SamplingParams(max_tokens=1)).result(30).completion_tokens == 1


def test_cancelling_frees_the_slot(ask: Ask) -> None:
    with Engine(slots=1) as engine:
        endless = engine.submit([5] * 10, SamplingParams(temperature=2.0, seed=1))
        waiting = engine.submit(ask(QUESTIONS[0]), SamplingParams(max_tokens=1))
        assert endless.cancel()
        assert waiting.result(30).completion_tokens == 1


def test_close_cancels_what_is_unfinished() -> None:
    engine = Engine(slots=1)
    futures = [engine.submit([5] * 10, SamplingParams(temperature=2.0)) for _ in range(50)]
    engine.close()
    assert futures[-1].cancelled()
    with pytest.raises(CancelledError):
        futures[-1].result(0)


def test_nucleus_is_the_smallest_set_with_enough_weight() -> None:
    weights = np.array([1.0, 5.0, 3.0, 1.0])
    assert _nucleus(weights, 0.5).tolist() == [False, True, False, False]
    assert _nucleus(weights, 0.6).tolist() == [False, True, True, False]
    assert _nucleus(weights, 0.001).tolist() == [False, True, False, False]


def test_an_error_in_a_step_reaches_the_callers(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine(slots=2) as engine:
        monkeypatch.setattr(engine._model, "decode", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.submit(ask(QUESTIONS[0]), SamplingParams(max_tokens=5)).result(30)
        monkeypatch.undo()
        assert engine.submit(ask(QUESTIONS[0]), SamplingParams(max_tokens=2)).result(30)
