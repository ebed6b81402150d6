"""The test server itself: a fault that does not happen would make other tests say nothing."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException

import orjson
import pytest

from tests.server import FAULTS, ModelServer, arithmetic_prompt, model_server_process, random_faults
from tests.server.faults import PASSING


def ask(base_url: str, text: str, **fields: object) -> list[str]:
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **fields})
    with urllib.request.urlopen(f"{base_url}/chat/completions", body, timeout=5) as response:
        return [choice["message"]["content"] for choice in orjson.loads(response.read())["choices"]]


def test_the_kth_sample_is_the_same_for_every_client() -> None:
    text = arithmetic_prompt(17, 25)
    with ModelServer() as one:
        in_one_go = ask(one.base_url, text, n=4)
    with ModelServer() as other:
        one_by_one = [reply for _ in range(4) for reply in ask(other.base_url, text)]
        seeded = ask(other.base_url, text, seed=2)
    assert in_one_go == one_by_one
    assert seeded == in_one_go[2:3]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_happens_once_and_takes_no_sample(fault: str, model_server: ModelServer) -> None:
    model_server.scenario.hang_s = 0.05
    model_server.scenario.fault = lambda number: fault if number == 0 else None
    with suppress(OSError, HTTPException, ValueError, KeyError):
        spoiled = ask(model_server.base_url, "p")
        assert spoiled in ([], [None]) or fault == "abort"
    [reply] = ask(model_server.base_url, "p")
    assert reply.startswith("Sample 0")
    assert [served.fault for served in model_server.log][:2] == [fault, None]
    assert model_server.log[1].ks == [0]


def test_random_faults_have_their_share_and_are_the_same_again() -> None:
    fault = random_faults(0.3, seed=4)
    kinds = [fault(number) for number in range(3000)]
    assert 0.25 < sum(kind is not None for kind in kinds) / 3000 < 0.35
    assert set(kinds) == {None, *PASSING}
    assert kinds == [random_faults(0.3, seed=4)(number) for number in range(3000)]


def test_as_a_process() -> None:
    with model_server_process("--api-key", "k", "--slots", 2) as base_url:
        with pytest.raises(urllib.error.HTTPError):
            ask(base_url, "p")
        with urllib.request.urlopen(base_url.removesuffix("/v1") + "/log", timeout=5) as response:
            [served] = orjson.loads(response.read())
    assert (served["prompt"], served["status"]) == ("p", 401)
