"""A server that fails: what is asked again, what fails for good, and what stops the run."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rsr_cli.errors import AuthError, BackendError, BackendUnavailable
from rsr_cli.types import Completion
from tests.samplers.drawing import draw, draw_once, prompt, sampler, until
from tests.server import ModelServer, Reply, Scenario, random_faults, scripted_faults
from tests.server.faults import PASSING


@pytest.mark.parametrize("fault", PASSING)
async def test_a_passing_fault_is_waited_out(fault: str, model_server: ModelServer) -> None:
    expected = await draw_once(model_server.base_url, [0], run_seed=1)
    model_server.scenario.hang_s = 1.0
    model_server.scenario.fault = lambda number: fault if number in (1, 2) else None
    completions = await draw_once(model_server.base_url, [0], run_seed=1, timeout=0.15)
    assert [served.fault for served in model_server.log] == [None, fault, fault, None]
    assert without_latency(completions) == without_latency(expected)


async def test_every_prompt_ends_as_without_faults(model_server: ModelServer) -> None:
    async def all_of_it() -> list[Completion]:
        async with sampler(model_server.base_url, run_seed=5, timeout=0.5, concurrent_requests=20) as backend:
            drawn = await asyncio.gather(*(draw(backend, range(4), prompt(f"p{i}", f"p{i}")) for i in range(40)))
        return [completion for completions in drawn for completion in completions]

    expected = await all_of_it()
    model_server.scenario.hang_s = 2.0
    model_server.scenario.fault = random_faults(0.3, seed=1)
    assert without_latency(await all_of_it()) == without_latency(expected)
    handed_out = [k for served in model_server.log for k in served.ks]
    assert len(handed_out) == 2 * len(expected)


@pytest.mark.parametrize("fault", ["500", "html", "null-content", "reset-before", "hang"])
async def test_a_lasting_failure_is_an_error_of_its_prompt_alone(fault: str, model_server: ModelServer) -> None:
    patience = {"max_retries": 2}
    async with sampler(model_server.base_url, patience=patience, timeout=0.05) as backend:
        await draw(backend)
        model_server.scenario.fault = lambda number: fault
        failed = await draw(backend, [1, 2])
        model_server.scenario.fault = None
        [fine] = await draw(backend, [3])
    assert [(c.response, c.finish_reason, c.seed) for c in failed] == [(None, "error", None)] * 2
    assert all(completion.error for completion in failed)
    assert fine.error is None
    assert len(model_server.log) == 1 + 3 + 1


async def test_rate_limits_do_not_eat_the_retries(model_server: ModelServer) -> None:
    model_server.scenario.fault = scripted_faults(["429"] * 20)
    [completion] = await draw_once(model_server.base_url, patience={"max_retries": 1})
    assert completion.error is None


async def test_rate_limits_with_no_progress_end_in_a_message(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "429"
    with pytest.raises(BackendUnavailable, match="rate limited"):
        await draw_once(model_server.base_url, patience={"rate_limit_patience": 0.1})


async def test_the_server_says_when_to_come_back(model_server: ModelServer) -> None:
    model_server.scenario.fault = scripted_faults(["429-retry-after-ms"])
    await draw_once(model_server.base_url, patience={"first_wait": 10.0, "longest_wait": 0.001})
    first, second = model_server.log
    assert 0.02 <= second.started - first.started < 0.5


@pytest.mark.parametrize("fault", ["401", "402", "403", "429-quota"])
async def test_a_refused_account_stops_at_once_and_says_what_to_do(fault: str, model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: fault
    with pytest.raises(AuthError, match=r"sampler\.api_key") as caught:
        await draw_once(model_server.base_url, [0, 1], run_seed=1)
    assert "sk-" not in str(caught.value)
    # 403 may be of the prompt: a plain one is tried.
    assert len(model_server.log) <= 2 + (fault == "403")


async def test_a_prompt_that_is_too_long_fails_alone_and_at_once(model_server: ModelServer) -> None:
    model_server.scenario.context_chars = 30
    async with sampler(model_server.base_url) as backend:
        failed = await draw(backend, [0, 1], prompt("long " * 20))
        fine = await draw(backend, [0])
    assert all("context length" in (completion.error or "") for completion in failed)
    assert [completion.finish_reason for completion in failed] == ["error", "error"]
    assert fine[0].error is None
    assert len(model_server.log) == 2


async def test_a_filtered_prompt_fails_alone(model_server: ModelServer) -> None:
    model_server.scenario.fault = scripted_faults(["400-filtered"])
    [completion] = await draw_once(model_server.base_url)
    assert completion.finish_reason == "content_filter"
    assert "filtered" in (completion.error or "")


async def test_a_refusal_of_every_request_stops_the_run(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "400"
    with pytest.raises(BackendError, match="Something about this is wrong"):
        await draw_once(model_server.base_url, [0, 1])


async def test_a_refusal_of_one_prompt_is_its_own_even_at_the_start(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "400" if "odd" in model_server.log[number].prompt else None
    async with sampler(model_server.base_url) as backend:
        [failed] = await draw(backend, [0], prompt("odd"))
        [fine] = await draw(backend, [0])
    assert "Something about this is wrong" in (failed.error or "")
    assert fine.error is None


async def test_an_unknown_model_stops_the_run_at_any_time(model_server: ModelServer) -> None:
    async with sampler(model_server.base_url) as backend:
        await draw(backend)
        model_server.scenario.only_model = True
        with pytest.raises(BackendError, match=r"(?s)does not exist.*sampler\.model"):
            await draw(backend, [1])


async def test_a_wrong_path_and_a_redirect_stop_the_run(model_server: ModelServer) -> None:
    with pytest.raises(BackendError, match=r"sampler\.base_url"):
        await draw_once(model_server.base_url + "/v2")
    model_server.scenario.fault = lambda number: "redirect"
    with pytest.raises(BackendError, match=r"elsewhere\.example") as caught:
        await draw_once(model_server.base_url)
    assert "secret" not in str(caught.value) and "pw" not in str(caught.value)


async def test_no_server_is_said_quickly() -> None:
    url = f"http://user:pass-word@127.0.0.1:{free_port()}/v1?key=secret"
    started = time.monotonic()
    with pytest.raises(BackendUnavailable, match=r"sampler\.base_url") as caught:
        async with sampler(url, run_seed=1) as backend:
            await asyncio.gather(*(draw(backend, range(8), prompt(id=str(number))) for number in range(8)))
    assert time.monotonic() - started < 3
    assert "127.0.0.1" in str(caught.value)
    assert "pass-word" not in str(caught.value) and "secret" not in str(caught.value)


async def test_an_unknown_host_is_said_quickly() -> None:
    with pytest.raises(BackendUnavailable, match=r"no-such-host\.invalid"):
        await draw_once("http://no-such-host.invalid/v1")


async def test_an_outage_is_waited_out() -> None:
    port = free_port()
    async with sampler(f"http://127.0.0.1:{port}/v1", run_seed=1, patience={"outage_patience": 20.0}) as backend:
        with ModelServer(port=port):
            await draw(backend)
        task = asyncio.create_task(draw(backend, range(1, 20)))
        await asyncio.sleep(0.5)
        assert not task.done()
        with ModelServer(port=port):
            completions = await task
    assert all(completion.error is None for completion in completions)


async def test_an_outage_that_lasts_stops_the_run_with_no_error_rows() -> None:
    async with sampler((server := ModelServer()).__enter__().base_url, run_seed=1) as backend:
        await draw(backend)
        server.__exit__()
        with pytest.raises(BackendUnavailable, match="any more"):
            await draw(backend, range(1, 5))


async def test_nothing_but_failures_stops_the_run(model_server: ModelServer) -> None:
    rows = []
    async with sampler(model_server.base_url, patience={"max_retries": 0, "failures_in_a_row": 5}) as backend:
        await draw(backend)
        model_server.scenario.fault = lambda number: "500"
        with pytest.raises(BackendUnavailable, match="Internal error"):
            for number in range(100):
                rows += await draw(backend, [number])
    assert len(rows) == 4


async def test_an_outage_behind_a_proxy_leaves_no_error_rows(model_server: ModelServer) -> None:
    patience = {"max_retries": 3, "failures_in_a_row": 10}
    rows: list[Completion] = []

    async def one(number: int) -> None:
        rows.extend(await draw(backend, [0], prompt(id=str(number))))

    async with sampler(model_server.base_url, run_seed=1, patience=patience) as backend:
        await draw(backend)
        model_server.scenario.fault = lambda number: "502"
        with pytest.raises(BackendUnavailable, match="Bad Gateway"):
            await asyncio.gather(*(one(number) for number in range(20)))
    assert rows == []


async def test_a_404_in_the_middle_of_a_run_passes(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "404" if number == 1 else None
    async with sampler(model_server.base_url) as backend:
        await draw(backend)
        [completion] = await draw(backend, [1])
    assert completion.error is None


async def test_the_least_busy_endpoint_is_used(model_servers: Callable[[Scenario], ModelServer]) -> None:
    quick = model_servers(Scenario(latency=lambda ask: 0.002))
    slow = model_servers(Scenario(latency=lambda ask: 0.1))
    async with sampler([slow.base_url, quick.base_url], run_seed=1, concurrent_requests=4) as backend:
        await asyncio.gather(*(draw(backend, range(4), prompt(id=str(i))) for i in range(20)))
    assert len(quick.log) > 3 * len(slow.log) > 0
    assert slow.peak + quick.peak >= 4 >= slow.peak


async def test_a_dead_endpoint_is_left_out_and_comes_back(model_servers: Callable[[Scenario], ModelServer]) -> None:
    alive, port = model_servers(Scenario()), free_port()
    async with sampler([f"http://127.0.0.1:{port}/v1", alive.base_url], run_seed=1) as backend:
        assert all(completion.error is None for completion in await draw(backend, range(20)))
        with ModelServer(port=port) as revived:
            await asyncio.sleep(0.05)
            await draw(backend, range(20, 60))
            await draw(backend, range(60, 100))
            assert len(revived.log) > 10


async def test_an_endpoint_that_only_fails_does_not_swallow_the_run(
    model_servers: Callable[[Scenario], ModelServer],
) -> None:
    broken = model_servers(Scenario(fault=lambda number: "500"))
    alive = model_servers(Scenario(latency=lambda ask: 0.002))
    async with sampler([broken.base_url, alive.base_url], run_seed=1) as backend:
        completions = [c for i in range(20) for c in await draw(backend, range(10), prompt(id=str(i)))]
    assert all(completion.error is None for completion in completions)
    assert len(broken.log) < 60


async def test_a_rate_limited_endpoint_gives_way_to_the_other(
    model_servers: Callable[[Scenario], ModelServer],
) -> None:
    limited, free = model_servers(Scenario(fault=lambda number: "429")), model_servers(Scenario())
    started = time.monotonic()
    async with sampler(
        [limited.base_url, free.base_url], run_seed=1, patience={"first_wait": 30.0, "longest_wait": 30.0}
    ) as backend:
        completions = await draw(backend, range(30))
    assert all(completion.error is None for completion in completions)
    assert time.monotonic() - started < 5


async def test_what_arrived_beside_a_fatal_failure_is_kept(model_server: ModelServer) -> None:
    kept = []
    model_server.scenario.latency = lambda ask: 0.02
    model_server.scenario.fault = lambda number: "401" if number >= 2 else None
    model_server.scenario.n = "ignore"
    with pytest.raises(AuthError):
        async with sampler(model_server.base_url) as backend:
            await draw(backend)
            async for completion in backend.sample(prompt(), [1, 2, 3]):
                kept.append(completion)
    assert [completion.attempt for completion in kept] == [1]
    await until(lambda: model_server.open == 0)


async def test_no_connection_is_left_open(model_server: ModelServer) -> None:
    model_server.scenario.fault = random_faults(0.5, seed=3, kinds=["500", "reset-midway", "truncated-json"])
    model_server.scenario.reply = lambda ask: Reply("x" * 5000)
    before = open_files()
    await draw_once(model_server.base_url, range(50), run_seed=1)
    await asyncio.sleep(0.05)
    assert open_files() <= before + 1


async def test_few_open_files_mean_few_requests(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (40, 40))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    model_server.scenario.latency = lambda ask: 0.01
    async with sampler(model_server.base_url, run_seed=1, concurrent_requests=64) as backend:
        assert backend.capacity == 10
        await draw(backend, range(40))
    assert model_server.peak == 10


def without_latency(completions: list[Completion]) -> list[tuple[object, ...]]:
    return [(c.attempt, c.response, c.finish_reason, c.seed, c.completion_tokens, c.error) for c in completions]


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
