"""The page of `rsr view`, over HTTP on the loopback interface: read only, for whoever knows the token in its URL.

Model output is hostile: it reaches the page as JSON and is put there as text, and the page's policy allows its own
script and style and nothing else. Requests under another host name are refused, so that no other site that resolves
its name to this machine (DNS rebinding) can read anything.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from aiohttp import web

from rsr_cli.cli.viewer.search import Search, Wanted
from rsr_cli.errors import RsrError
from rsr_cli.store.work_dir import WorkDir

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?", re.IGNORECASE)


class Viewer:
    """Serves one work dir as long as the block runs; `url` is where."""

    def __init__(self, work_dir: WorkDir, port: int = 0) -> None:
        self._search = Search(work_dir)
        self._token = secrets.token_urlsafe(24)
        self._wanted_port = port
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self._token}/"

    async def __aenter__(self) -> Viewer:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/{token}/", self._page)
        app.router.add_get("/{token}/about", self._about)
        app.router.add_get("/{token}/prompts", self._prompts)
        app.router.add_get("/{token}/prompt", self._prompt)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._wanted_port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await self._answer(request, handler)
        except web.HTTPException as refused:
            response = web.Response(status=refused.status, text=refused.reason)
        except (RsrError, OSError) as error:
            response = web.json_response({"error": str(error)}, status=500)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _HOST.fullmatch(request.headers.get("Host", "")):
            raise web.HTTPMisdirectedRequest
        if not hmac.compare_digest(request.match_info.get("token", "").encode(), self._token.encode()):
            raise web.HTTPNotFound
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPForbidden
        return await handler(request)

    async def _page(self, request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        page = _file("page.html").replace("NONCE", nonce)
        page = page.replace("/* STYLE */", _file("page.css")).replace("/* SCRIPT */", _file("page.js"))
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        )
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def _about(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._search.about))

    async def _prompts(self, request: web.Request) -> web.Response:
        query = request.query
        wanted = Wanted(
            query.get("outcome", ""),
            query.get("status", ""),
            _number(query.get("least")),
            _number(query.get("most")),
            query.get("text", ""),
            query.get("id", ""),
        )
        shard, place = _number(query.get("shard")) or 0, _number(query.get("place")) or 0
        return web.json_response(await asyncio.to_thread(self._search.page, wanted, shard, place))

    async def _prompt(self, request: web.Request) -> web.Response:
        shard, prompt_id = _number(request.query.get("shard")), request.query.get("id", "")
        found: dict[str, Any] | None = None
        if shard is not None:
            found = await asyncio.to_thread(self._search.prompt, shard, prompt_id)
        if found is None:
            raise web.HTTPNotFound
        return web.json_response(found)


def _number(text: str | None) -> int | None:
    """A whole number, None where there is none."""
    if not text:
        return None
    if not re.fullmatch(r"\d{1,9}", text):
        raise web.HTTPBadRequest
    return int(text)


def _file(name: str) -> str:
    return files("rsr_cli.cli.viewer").joinpath(name).read_text(encoding="utf-8")
