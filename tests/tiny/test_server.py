import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from rsr_cli.tiny import server
from rsr_cli.tiny.server import embedded

QUESTION = "Ben has 12 pens. Ben loses 5 pens. Then the number of pens doubles. How many pens does Ben have now?"
USER = [{"role": "user", "content": QUESTION}]
ENDLESS = [{"role": "user", "content": "x"}]  # at the highest temperature, the model rarely finds an end to this


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embedded() as base_url:
        yield base_url


async def post(url: str, **body: Any) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", json=body) as response:
        return response.status, await response.json()


async def get(url: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("condition did not come true")


async def test_models_and_health(url: str) -> None:
    status, models = await get(f"{url}/models")
    assert (status, models["data"][0]["id"]) == (200, "rsr-tiny")
    assert await get(url.removesuffix("/v1") + "/health") == (200, {"status": "ok", "running": 0})


async def test_n_choices_with_usage(url: str) -> None:
    status, answer = await post(url, model="rsr-tiny", messages=USER, n=4, temperature=0.8, seed=1, max_tokens=200)
    assert status == 200
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) > 1
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"stop"}
    usage = answer["usage"]
    assert 0 < usage["prompt_tokens"] < 60
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_seed_makes_choices_reproducible(url: str) -> None:
    async def texts(**options: Any) -> list[str]:
        _, answer = await post(url, messages=USER, temperature=1.0, **options)
        return [choice["message"]["content"] for choice in answer["choices"]]

    eight = await texts(seed=3, n=8)
    assert eight == await texts(seed=3, n=8)
    assert eight[:1] == await texts(seed=3)
    assert eight != await texts(seed=4, n=8)


async def test_stop_and_length(url: str) -> None:
    _, stopped = await post(url, messages=USER, temperature=0, stop="oxed")
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert stopped["choices"][0]["message"]["content"].endswith("\\b")
    for name in ("max_tokens", "max_completion_tokens"):
        _, cut = await post(url, messages=USER, temperature=0, stop=["never"], **{name: 1})
        assert cut["choices"][0]["finish_reason"] == "length"
        assert cut["usage"]["completion_tokens"] == 1


async def test_roles_text_parts_and_nulls(url: str) -> None:
    parts = [{"type": "text", "text": QUESTION[:20]}, {"type": "text", "text": QUESTION[20:]}]
    _, plain = await post(url, messages=[{"role": "system", "content": "S"}, *USER], temperature=0)
    _, in_parts = await post(
        url,
        messages=[{"role": "developer", "content": "S"}, {"role": "user", "content": parts}],
        temperature=0,
        top_p=None,
        stop=None,
        seed=None,
    )
    assert in_parts["choices"] == plain["choices"]


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({}, "invalid_value", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_value", "role"),
        ({"messages": [{"role": "user", "content": None}]}, "invalid_value", "content"),
        ({"messages": USER, "n": 0}, "invalid_value", "n:"),
        ({"messages": USER, "n": "2"}, "invalid_value", "n:"),
        ({"messages": USER, "temperature": -0.1}, "invalid_value", "temperature"),
        ({"messages": USER, "top_p": 0}, "invalid_value", "top_p"),
        ({"messages": USER, "max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"messages": USER, "stop": ""}, "invalid_value", "stop"),
        ({"messages": USER, "top_k": 5}, "unsupported_parameter", "top_k"),
        ({"messages": USER, "stream": True}, "unsupported_value", "stream"),
        ({"messages": USER, "continue_final_message": True}, "unsupported_value", "add_generation_prompt"),
        ({"messages": [{"role": "user", "content": "word " * 1100}]}, "context_length_exceeded", "1024"),
    ],
)
async def test_bad_requests(url: str, body: dict[str, Any], code: str, named: str) -> None:
    status, answer = await post(url, **body)
    assert (status, answer["error"]["code"]) == (400, code)
    assert named in answer["error"]["message"]


async def test_other_errors_are_json_too(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", data="{no") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid_value")
    status, answer = await post(url, messages=USER, model="gpt-4")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert (await get(f"{url}/nowhere"))[0] == 404


async def test_max_tokens_is_lowered_to_the_room_that_is_left(url: str) -> None:
    status, answer = await post(url, messages=[{"role": "user", "content": "word " * 200}], max_tokens=10**6)
    assert status == 200
    assert answer["usage"]["total_tokens"] <= 1024


async def test_concurrent_requests_share_the_batch(url: str) -> None:
    requests = [asyncio.create_task(post(url, messages=USER, n=8, max_tokens=200)) for _ in range(40)]
    most_running = 0
    while not all(request.done() for request in requests):
        _, health = await get(url.removesuffix("/v1") + "/health")
        most_running = max(most_running, health["running"])
    assert all([(await request)[0] == 200 for request in requests])
    assert most_running > 8


async def test_a_client_that_leaves_frees_its_slots(url: str) -> None:
    health = url.removesuffix("/v1") + "/health"
    request = asyncio.create_task(post(url, messages=ENDLESS, n=128, temperature=2.0))

    async def is_running() -> bool:
        return bool((await get(health))[1]["running"])

    async def is_idle() -> bool:
        return not await is_running()

    await eventually(is_running)
    left_at = time.monotonic()
    request.cancel()
    await eventually(is_idle)
    assert time.monotonic() - left_at < 1.5


async def test_embedded_ends_with_its_context() -> None:
    with embedded() as url:
        assert (await get(f"{url}/models"))[0] == 200
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(f"{url}/models")


PARENT = """
import signal, time
from rsr_cli.tiny.server import embedded
signal.signal(signal.SIGINT, lambda *_: None)
with embedded() as url:
    print(url, flush=True)
    time.sleep(60)
"""


def test_embedded_outlives_ctrl_c_but_not_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(server.__file__).parents[2]))
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        os.killpg(parent.pid, signal.SIGINT)
        time.sleep(0.5)
        assert asyncio.run(get(f"{url}/models"))[0] == 200
        parent.kill()

    async def is_gone() -> bool:
        try:
            await get(f"{url}/models")
        except aiohttp.ClientConnectionError:
            return True
        return False

    asyncio.run(eventually(is_gone))


def test_embedded_says_why_it_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "__name__", "rsr_cli.tiny.nothing")
    with pytest.raises(RuntimeError, match=r"did not start.*rsr_cli\.tiny\.nothing"), embedded():
        pass


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_its_url_and_ends_cleanly(signal_number: int) -> None:
    command = [sys.executable, "-m", "rsr_cli.tiny.server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert urlsplit(process.stdout.readline().strip()).hostname == "127.0.0.1"
        process.send_signal(signal_number)
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout, stderr) == (0, "", "")
