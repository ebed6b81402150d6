"""vllm-offline as far as it goes without vLLM: its settings, how a completion ended, how engines share the work."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import pytest

import rsr_cli
from rsr_cli.config.settings import SamplerSettings
from rsr_cli.errors import BackendError, ConfigError
from rsr_cli.samplers.engines.finish_reasons import end_token_ids, finish_reason
from rsr_cli.samplers.engines.messages import Drawn, DrawRequest, EngineFailed, EngineGone, EngineSpec, Facts, Refused
from rsr_cli.samplers.engines.pool import EnginePool
from rsr_cli.samplers.engines.process import EngineProcess
from rsr_cli.samplers.engines.vllm_engine import cause, opened_tag, split_by_tags
from rsr_cli.samplers.vllm_offline import VllmOffline, with_new_seed

TINY = Path(rsr_cli.__file__).parent / "tiny/model"
DRAW = DrawRequest([{"role": "user", "content": "?"}], 8, {})
without_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")


class EngineDeadError(Exception):
    """As vLLM calls it."""


def settings(**fields: Any) -> SamplerSettings:
    return SamplerSettings(**({"type": "vllm-offline", "model_path": str(TINY)} | fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model_path": None}, "sampler.model_path: vllm-offline needs one"),
        ({"model_path": "no/such/folder"}, "sampler.model_path: there is no folder no/such/folder"),
        ({"model_path": "/nowhere"}, "sampler.model_path: there is no folder /nowhere"),
        ({"model_path": str(TINY.parent)}, "there is no config.json"),
        ({"num_gpus": 3, "tensor_parallel_size": 2}, "sampler.num_gpus: 3 is no multiple"),
        ({"engine_params": {"seed": 3}}, "sampler.engine_params.seed: this can't be passed through"),
        ({"engine_params": {"dtype": "half"}}, "use sampler.dtype"),
        ({"extra_params": {"n": 4}}, "sampler.extra_params.n: this can't be passed through"),
        ({"chat_template": "no.jinja"}, "sampler.chat_template: no.jinja can't be read"),
    ],
)
def test_settings_that_make_no_engine_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        VllmOffline(settings(**fields))
    assert words in str(caught.value)


@without_vllm
def test_where_vllm_is_missing_the_message_says_how_to_get_it() -> None:
    with pytest.raises(ConfigError, match=r"rsr-cli\[vllm\]"):
        VllmOffline(settings())


@without_vllm
async def test_an_engine_that_cannot_start_says_why() -> None:
    with pytest.raises(EngineFailed, match="No module named 'vllm'"):
        await EngineProcess.start(EngineSpec({}, None, None, {}, DRAW))


def test_each_start_of_an_engine_draws_anew() -> None:
    spec = EngineSpec({}, None, None, {}, DRAW)
    assert len({with_new_seed(spec).args["seed"] for _ in range(20)}) == 20


def save_model(folder: Path, **files: Any) -> Path:
    for name, document in files.items():
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_every_end_token_of_a_model_is_found(tmp_path: Path) -> None:
    several = save_model(
        tmp_path,
        generation_config={"eos_token_id": [7, 9]},
        tokenizer_config={
            "eos_token": {"content": "<|im_end|>"},
            "added_tokens_decoder": {"7": {"content": "<|im_end|>"}, "11": {"content": "<|eot|>"}},
        },
    )
    assert end_token_ids(several) == {7, 9}


def test_an_end_token_that_the_tokenizer_alone_tells_counts_too(tmp_path: Path) -> None:
    only_in_tokenizer = save_model(
        tmp_path,
        generation_config={"eos_token_id": 7},
        tokenizer_config={"eos_token": "<|eot|>"},
        tokenizer={"added_tokens": [{"id": 11, "content": "<|eot|>"}]},
    )
    assert end_token_ids(only_in_tokenizer) == {7, 11}
    assert end_token_ids(TINY) == {1}
    assert end_token_ids(tmp_path / "none") == frozenset()


@pytest.mark.parametrize(
    ("told", "tokens", "reason"),
    [
        ("stop", [5, 6], "stop"),  # a stop string: what was told counts, whatever stands at the end
        ("length", [5, 7], "length"),
        ("repetition", [5, 5], "length"),
        ("STOP", [5, 5], "stop"),
        ("brand new", [5, 7], "brand new"),
        ("brand new", [5, 6, 7], "length"),  # it reached the limit
        (None, [5, 7], "stop"),
        (None, [5, 9], "stop"),
        (None, [7, 5], "length"),
        (None, [], "length"),
    ],
)
def test_a_completion_was_cut_unless_it_has_an_end_token(told: str | None, tokens: list[int], reason: str) -> None:
    assert finish_reason(told, tokens, {7, 9}, 3) == reason


@pytest.mark.parametrize(
    ("prompt", "text", "parts"),
    [
        ("<|user|>2?<|assistant|>", "It is 2.\n", (None, "It is 2.\n")),
        ("<|user|>2?<|assistant|>", "<think>one</think>two", ("one", "two")),
        ("<|user|>2?<|assistant|>", "<think>one", ("one", None)),
        ("<|user|>2?<|assistant|><think>\n", "one\n</think>\n\ntwo", ("one", "two")),
        ("<|user|>2?<|assistant|><think>\n", "one", ("one", None)),
        ("<|user|>2?<|assistant|><think>\n\n</think>\n\n", "two", (None, "two")),
        ("<|user|>What is <think>?" + 40 * "." + "<|assistant|>", "A tag.", (None, "A tag.")),
    ],
)
def test_thinking_is_told_from_the_reply(prompt: str, text: str, parts: tuple[str | None, str | None]) -> None:
    """Also where the chat template has put the opening tag into the prompt."""
    assert split_by_tags(text, opened_tag(prompt)) == parts


class Bench:
    """Engines in this process that answer when told to. `made` holds every engine that was started, by its seat."""

    def __init__(self) -> None:
        self.made: list[tuple[int, BenchEngine]] = []
        self.fail_starts = 0

    async def start(self, seat: int) -> BenchEngine:
        if self.fail_starts:
            self.fail_starts -= 1
            raise EngineFailed("no memory is left")
        engine = BenchEngine()
        self.made.append((seat, engine))
        return engine

    def __getitem__(self, number: int) -> BenchEngine:
        return self.made[number][1]


class BenchEngine:
    facts = Facts(max_num_seqs=4, vllm_version="0")

    def __init__(self) -> None:
        self.drawing: list[asyncio.Future[Drawn | Refused]] = []
        self.runs = False
        self.asked_for_steps = 0
        self.killed = False

    async def draw(self, draw: DrawRequest) -> Drawn | Refused:
        if self.killed:
            raise EngineGone("killed")
        future: asyncio.Future[Drawn | Refused] = asyncio.get_running_loop().create_future()
        self.drawing.append(future)
        try:
            return await future
        finally:
            self.drawing.remove(future)

    async def steps(self) -> int:
        self.asked_for_steps += 1
        return self.asked_for_steps if self.runs else 0

    def kill(self, reason: str = "killed") -> None:
        self.killed = True
        for future in self.drawing:
            if not future.done():
                future.set_exception(EngineGone(reason))

    def finish(self) -> None:
        for future in (future for future in self.drawing if not future.done()):
            future.set_result(Drawn("text", None, "stop", 1, 1))


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_the_least_busy_engine_gets_the_draw_and_none_more_than_its_fill() -> None:
    bench = Bench()
    async with EnginePool(bench.start, 2, 60) as pool:
        assert pool.room == 14
        draws = [asyncio.create_task(pool.draw(DRAW)) for _ in range(20)]
        await until(lambda: len(bench[0].drawing) + len(bench[1].drawing) == 14)
        assert len(bench[0].drawing) == len(bench[1].drawing) == 7
        bench[0].finish()
        await until(lambda: len(bench[0].drawing) == 6)
        assert len(bench[1].drawing) == 7
        for draw in draws[:3]:
            draw.cancel()
        bench[0].finish()
        bench[1].finish()
        done = await asyncio.gather(*draws, return_exceptions=True)
    assert sum(isinstance(item, Drawn) for item in done) == 19  # one of the cancelled was still being drawn
    assert bench[0].killed and bench[1].killed


async def test_a_cancelled_draw_is_taken_off_its_engine() -> None:
    bench = Bench()
    async with EnginePool(bench.start, 1, 60) as pool:
        draw = asyncio.create_task(pool.draw(DRAW))
        await until(lambda: bench[0].drawing)
        draw.cancel()
        await until(lambda: not bench[0].drawing)


async def test_the_draws_of_a_dead_engine_are_asked_again() -> None:
    bench = Bench()
    async with EnginePool(bench.start, 2, 60) as pool:
        draws = [asyncio.create_task(pool.draw(DRAW)) for _ in range(8)]
        await until(lambda: len(bench[0].drawing) == len(bench[1].drawing) == 4)
        bench[0].kill()
        await until(lambda: len(bench.made) == 3)
        assert bench.made[2][0] == 0
        await until(lambda: len(bench[1].drawing) + len(bench[2].drawing) == 8)
        bench[1].finish()
        bench[2].finish()
        assert all(isinstance(drawn, Drawn) for drawn in await asyncio.gather(*draws))


async def test_an_engine_that_stands_still_is_killed_and_replaced() -> None:
    bench = Bench()
    async with EnginePool(bench.start, 1, 0.1) as pool:
        draw = asyncio.create_task(pool.draw(DRAW))
        await until(lambda: len(bench.made) == 2)
        assert bench[0].killed
        await until(lambda: bench[1].drawing)
        bench[1].finish()
        assert isinstance(await draw, Drawn)


async def test_an_engine_that_makes_steps_or_has_nothing_to_do_is_left_alone() -> None:
    bench = Bench()
    async with EnginePool(bench.start, 2, 0.3) as pool:
        bench[0].runs = True
        draw = asyncio.create_task(pool.draw(DRAW))
        await until(lambda: bench[0].drawing)
        seen = bench[0].asked_for_steps
        await until(lambda: bench[0].asked_for_steps > seen + 30 and bench[1].asked_for_steps > 30)
        bench[0].finish()
        await draw
    assert len(bench.made) == 2


async def test_a_draw_that_every_engine_dies_of_fails_alone() -> None:
    bench = Bench()
    async with EnginePool(bench.start, 1, 60) as pool:
        poison = asyncio.create_task(pool.draw(DRAW))
        for number in range(3):
            await until(lambda number=number: len(bench.made) > number and bench[number].drawing)
            if number:  # others finish in between, so the engine as such is sound
                other = asyncio.create_task(pool.draw(DRAW))
                await until(lambda number=number: len(bench[number].drawing) == 2)
                bench[number].drawing[1].set_result(Drawn("text", None, "stop", 1, 1))
                await other
            bench[number].kill()
        outcome = await poison
    assert isinstance(outcome, Refused) and "3 engines died" in outcome.reason


async def test_engines_that_die_one_after_the_other_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    async with EnginePool(bench.start, 1, 60) as pool:
        draws = [asyncio.create_task(pool.draw(DRAW)) for _ in range(9)]
        for number in range(3):
            await until(lambda number=number: len(bench.made) > number and bench[number].drawing)
            bench[number].kill()
        outcomes = await asyncio.gather(*draws, return_exceptions=True)
    assert any(isinstance(outcome, BackendError) and "keeps dying" in str(outcome) for outcome in outcomes)
    assert "engine 0 is gone" in caplog.text


async def test_engines_that_die_of_the_same_fault_at_once_are_not_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    async with EnginePool(bench.start, 1, 60) as pool:
        draws = [asyncio.create_task(pool.draw(DRAW)) for _ in range(9)]
        for number in range(2):
            await until(lambda number=number: len(bench.made) > number and bench[number].drawing)
            bench[number].kill("RuntimeError: CPU Generator does not use offset")
        outcomes = await asyncio.gather(*draws, return_exceptions=True)
    assert all(isinstance(outcome, BackendError) and "use offset" in str(outcome) for outcome in outcomes)
    assert len(bench.made) == 2
    assert "no more is started: RuntimeError: CPU Generator" in caplog.text


@pytest.mark.parametrize(
    ("own", "printed", "told"),
    [
        (
            EngineDeadError("EngineCore encountered an issue. See stack trace (above) for the root cause."),
            "(EngineCore pid=7) Traceback (most recent call last):\n"
            "(EngineCore pid=7) RuntimeError: CPU Generator does not use offset\n"
            "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above)\n",
            "RuntimeError: CPU Generator does not use offset",
        ),
        (
            RuntimeError("Engine core initialization failed. See root cause above. Failed core proc(s): {}"),
            "x" * 10**6 + "\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n",
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        ),
        (EngineDeadError("EngineCore encountered an issue."), "", "EngineDeadError: EngineCore encountered an issue."),
        (RuntimeError("a cause of its own"), "ValueError: an older one\n", "RuntimeError: a cause of its own"),
    ],
)
def test_the_cause_is_told_and_not_its_consequence(own: Exception, printed: str, told: str) -> None:
    assert cause(own, io.BytesIO(printed.encode())) == told


async def test_an_engine_that_fails_to_start_ends_the_others() -> None:
    bench = Bench()
    bench.fail_starts = 1
    with pytest.raises(BackendError, match="no memory is left"):
        async with EnginePool(bench.start, 2, 60):
            pass
    assert bench[0].killed
