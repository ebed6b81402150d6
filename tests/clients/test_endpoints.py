from __future__ import annotations

import resource
import time

import pytest

from rsr_cli.clients.endpoints import Dialect, Endpoint, Endpoints
from rsr_cli.clients.open_files import allow_open_files, claim_connections
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import BackendUnavailable, ConfigError

ONE, TWO = "http://one/v1", "http://two/v1"
CHAT = "/chat/completions"


@pytest.mark.parametrize(
    ("base_url", "url", "name"),
    [
        ("http://h:8000/v1", "http://h:8000/v1/chat/completions", "http://h:8000/v1"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions", "http://h:8000/v1"),
        ("http://h", "http://h/chat/completions", "http://h"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/d/x?api-version=1&k=s", "https://h/d/x/chat/completions?api-version=1&k=s", "https://h/d/x"),
        ("https://me:pw@h/v1", "https://h/v1/chat/completions", "https://h/v1"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1/chat/completions", "http://[::1]:9/v1"),
    ],
)
def test_where_requests_go_and_what_is_shown(base_url: str, url: str, name: str) -> None:
    endpoint = Endpoint(base_url, CHAT, "", "sampler")
    assert (str(endpoint.url), endpoint.name) == (url, name)


@pytest.mark.parametrize("base_url", ["", "localhost:8000", "embedded", "ftp://h/v1", "http://", "http://me:pw@:x/v1"])
def test_what_is_no_url_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigError, match=r"^judge\.base_url") as caught:
        Endpoint(base_url, CHAT, "", "judge")
    assert "pw" not in str(caught.value)


def test_another_api_is_named_where_a_url_is_refused() -> None:
    assert str(Endpoint("http://h/classify/", "/classify", "", "verifier").url) == "http://h/classify"
    with pytest.raises(ConfigError, match="give the part before /classify"):
        Endpoint("localhost", "/classify", "", "verifier")


def test_the_key_goes_before_the_user_of_the_url() -> None:
    assert Endpoint("http://me:pw@h", CHAT, "", "sampler").headers["Authorization"] == "Basic bWU6cHc="
    assert Endpoint("http://me:pw@h", CHAT, "key", "sampler").headers["Authorization"] == "Bearer key"
    assert "Authorization" not in Endpoint("http://h", CHAT, "", "sampler").headers


async def test_the_least_busy_is_picked() -> None:
    endpoints = Endpoints([ONE, TWO], CHAT, "", RetryPolicy(), "sampler")
    first, second = endpoints
    first.in_flight = 1
    assert await endpoints.pick() is second
    second.in_flight = 2
    assert await endpoints.pick() is first


async def test_a_dead_one_is_left_out_and_tried_again_by_one_request() -> None:
    policy = RetryPolicy(first_wait=0.02)
    endpoints = Endpoints([ONE, TWO], CHAT, "", policy, "sampler")
    first, second = endpoints
    first.unreachable(now(), "refused", policy)
    assert {await endpoints.pick() for _ in range(5)} == {second}
    first.not_before = 0.0
    assert [await endpoints.pick() for _ in range(3)] == [first, second, second]
    first.responded()
    assert first.down_since is None


async def test_patience_ends_when_all_are_dead() -> None:
    policy = RetryPolicy(first_wait=0.01, startup_patience=5, outage_patience=100)
    endpoints = Endpoints([ONE, TWO], CHAT, "", policy, "sampler")
    first, second = endpoints
    first.unreachable(now() - 50, "refused", policy)
    endpoints.check_patience()
    second.unreachable(now() - 6, "refused", policy)
    with pytest.raises(BackendUnavailable, match=r"(?s)one.*two.*sampler\.base_url"):
        endpoints.check_patience()
    second.successes = 1
    endpoints.check_patience()


def test_what_several_refusals_leave() -> None:
    left = Dialect(n=False).common(Dialect(seed=False)).common(Dialect(limit_field="max_completion_tokens"))
    assert left == Dialect(n=False, seed=False, limit_field="max_completion_tokens")


def test_the_limit_on_open_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1000:
        pytest.skip("the hard limit is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        allow_open_files(600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (856, hard)
        allow_open_files(10)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (856, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("limit", "wanted", "granted"),
    [
        (100_000, 5000, 5000),
        (1024, 50, 50),
        (1024, 2000, 768),
        (512, 512, 256),
        (300, 512, 75),
        (64, 50, 16),
        (2, 9, 1),
    ],
)
def test_connections_leave_room_for_other_files(
    limit: int, wanted: int, granted: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit_open_files(limit, monkeypatch)
    with claim_connections(wanted) as given:
        assert given == granted
    assert (f"at most {granted} requests" in caplog.text) is (granted < wanted)


def test_several_clients_share_the_limit_on_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_open_files(1024, monkeypatch)
    with claim_connections(512) as sampler, claim_connections(512) as judge, claim_connections(50) as another:
        assert (sampler, judge, another) == (512, 256, 1)
    with claim_connections(512) as again:
        assert again == 512


def limit_open_files(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)


def now() -> float:
    return time.monotonic()
