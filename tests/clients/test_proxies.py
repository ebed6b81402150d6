from __future__ import annotations

import pytest
from yarl import URL

from rsr_cli.clients.proxies import proxy_for
from rsr_cli.errors import ConfigError

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://h/v1", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://h/v1", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "http://h/v1", "http://p:1"),
        ({"http_proxy": "p:3128"}, "http://h/v1", "http://p:3128"),
        ({"HTTP_PROXY": "http://p:1"}, "https://h/v1", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://h/v1", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://h/v1", "http://p:1"),
        ({"all_proxy": "http://a:1", "https_proxy": "http://p:1"}, "https://h/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://me:secret@p:1"}, "http://h/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://localhost:8000/v1", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8000/v1", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://[::1]:8000/v1", None),
    ],
)
def test_the_proxy_of_the_environment(
    environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(URL(url))
    assert (None if found is None else str(found)) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "http://h/v1", True),
        ("h", "http://h/v1", True),
        ("other, h", "http://h/v1", True),
        ("corp.example", "http://gpu.corp.example/v1", True),
        (".corp.example", "http://gpu.corp.example/v1", True),
        ("*.corp.example", "http://gpu.corp.example/v1", True),
        ("corp.example", "http://notcorp.example/v1", False),
        ("H", "http://h/v1", True),
        ("h:8000", "http://h:8000/v1", True),
        ("h:8000", "http://h:9000/v1", False),
        ("10.0.0.0/8", "http://10.1.2.3/v1", True),
        ("10.0.0.0/8", "http://11.1.2.3/v1", False),
        ("10.1.2.3", "http://10.1.2.3:8000/v1", True),
        ("10.1.2.3:8000", "http://10.1.2.3:8000/v1", True),
        ("fd00::/8", "http://[fd00::1]/v1", True),
        ("[fd00::1]:80", "http://[fd00::1]/v1", True),
        ("", "http://h/v1", False),
    ],
)
def test_what_no_proxy_excepts(no_proxy: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(URL(url)) is None) is direct


@pytest.mark.parametrize("proxy", ["socks5://p:1080", "socks5h://me:secret@p:1080", "http://", "ftp://p"])
def test_a_proxy_of_another_kind_is_refused(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=r"(?s)ALL_PROXY.*NO_PROXY") as caught:
        proxy_for(URL("https://h/v1"))
    assert "secret" not in str(caught.value)
