"""Reaching servers as people do: proxies, headers of gateways, TLS, open files; and what is said where that fails."""

from __future__ import annotations

import asyncio
import base64
import errno
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import aiohttp.connector
import pytest

from rsr_cli.errors import BackendUnavailable
from tests.samplers.drawing import draw, draw_once, sampler
from tests.server import ModelServer, scripted_faults

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def listening(answer: bytes, seen: list[bytes], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port that sends the same bytes whatever comes, and notes what came."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(4096))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_requests_go_through_the_proxy_of_the_environment(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # It gets `POST http://api.example.invalid/v1/chat/completions`, and answers itself.
    monkeypatch.setenv("HTTP_PROXY", model_server.base_url.removesuffix("/v1"))
    (tmp_path / ".netrc").write_text("machine api.example.invalid login other password other\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    [completion] = await draw_once("http://api.example.invalid/v1", api_key="the-key")
    assert completion.error is None
    assert [served.authorization for served in model_server.log] == ["Bearer the-key"]


async def test_the_password_of_a_proxy_goes_to_the_proxy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with listening(answer, seen) as port:
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://me:proxy-pass@127.0.0.1:{port}")
            with pytest.raises(BackendUnavailable, match=rf"(?s)127\.0\.0\.1:{port}.*407.*HTTP_PROXY") as caught:
                await draw_once(f"{scheme}://api.example.invalid/v1")
            assert "proxy-pass" not in str(caught.value)
    credentials = base64.b64encode(b"me:proxy-pass")
    plain, tunnel = seen
    assert plain.startswith(b"POST http://api.example.invalid/v1/chat") and credentials in plain
    assert tunnel.startswith(b"CONNECT api.example.invalid:443") and credentials in tunnel


async def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:proxy-pass@127.0.0.1:9")
    with pytest.raises(BackendUnavailable, match=r"refused through the proxy http://127\.0\.0\.1:9") as caught:
        await draw_once("http://api.example.invalid/v1")
    assert "proxy-pass" not in str(caught.value)


async def test_headers_of_the_config_are_sent(model_server: ModelServer) -> None:
    headers = {"api-key": "azure-key-1234", "HTTP-Referer": "https://me.example", "X-Empty": ""}
    url = model_server.base_url + "?api-version=2024-10-21"
    [completion] = await draw_once(url, api_key="other-key", headers=headers)
    assert completion.error is None
    [sent] = [served.headers for served in model_server.log]
    assert sent["api-key"] == "azure-key-1234" and sent["http-referer"] == "https://me.example"
    assert "x-empty" not in sent and "authorization" not in sent
    assert model_server.log[0].query == "api-version=2024-10-21"


async def test_the_key_stands_beside_other_headers_and_gives_way_to_its_own(model_server: ModelServer) -> None:
    await draw_once(model_server.base_url, api_key="the-key", headers={"X-Gateway": "team"})
    await draw_once(model_server.base_url, api_key="the-key", headers={"Authorization": "Token mine"})
    assert [served.authorization for served in model_server.log] == ["Bearer the-key", "Token mine"]


async def test_the_values_of_headers_are_never_shown(model_server: ModelServer) -> None:
    model_server.scenario.fault = lambda number: "400 odd header value gateway-secret-1"
    async with sampler(model_server.base_url, headers={"X-Gateway": "gateway-secret-1"}) as backend:
        with pytest.raises(Exception, match=r"odd header value \[secret\]") as caught:
            await draw(backend)
    assert "gateway-secret-1" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """One for `localhost` that nobody has signed, and what serves with it."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-keyout", key, "-out", cert, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


async def test_a_certificate_that_nobody_trusts_is_said_at_once(certificate: tuple[Path, ssl.SSLContext]) -> None:
    seen: list[bytes] = []
    async with listening(b"", seen, certificate[1]) as port:
        with pytest.raises(BackendUnavailable, match=r"(?s)certificate verify failed: self.signed.*SSL_CERT_FILE"):
            await draw_once(f"https://localhost:{port}/v1", patience={"startup_patience": 60})
    assert seen == []


async def test_a_certificate_of_another_host_is_said_at_once(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Read when aiohttp is imported, from SSL_CERT_FILE.
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    async with listening(b"", [], certificate[1]) as port:
        with pytest.raises(
            BackendUnavailable, match=r"(?s)certificate verify failed: .*127\.0\.0\.1.*sampler\.base_url"
        ):
            await draw_once(f"https://127.0.0.1:{port}/v1", patience={"startup_patience": 60})


async def test_https_to_a_plain_port_is_said_at_once() -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", []) as port:
        with pytest.raises(BackendUnavailable, match=r"(?s)TLS: .*begin sampler\.base_url with http://"):
            await draw_once(f"https://127.0.0.1:{port}/v1", patience={"startup_patience": 60})


async def test_http_to_a_tls_port_is_said_at_once(certificate: tuple[Path, ssl.SSLContext]) -> None:
    async with listening(b"", [], certificate[1]) as port:
        with pytest.raises(BackendUnavailable, match=r"(?s)TLS.*begin sampler\.base_url with https://"):
            await draw_once(f"http://localhost:{port}/v1", patience={"first_wait": 60})


async def test_too_many_open_files_are_no_outage(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = aiohttp.TCPConnector.connect
    left = [3]

    async def full(*arguments: object, **options: object) -> object:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return await connect(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", full)
    [completion] = await draw_once(model_server.base_url, patience={"max_retries": 0})
    assert completion.error is None


async def test_a_redirect_in_mid_run_is_asked_again(model_server: ModelServer) -> None:
    model_server.scenario.fault = scripted_faults([None, "redirect", "redirect"])
    async with sampler(model_server.base_url) as backend:
        await draw(backend)
        [completion] = await draw(backend, [1])
    assert completion.error is None
