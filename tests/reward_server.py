"""A small stand-in for vLLM's and SGLang's scoring endpoints, over real HTTP, strict about what it is sent."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

from tests.server.faults import refusal

Logits = Callable[[str], list[float]]


def length_logit(text: str) -> list[float]:
    """The score that the server gives a reply unless a test says otherwise."""
    return [len(text) / 10 - 1]


class RewardServer:
    """What it was asked stands in `asked` as (path, body); the other attributes are a test's to change.

    The vLLM endpoints apply a sigmoid (softmax over several labels) unless `use_activation` is false, as vLLM does.
    """

    model = "reward"

    def __init__(self) -> None:
        self.base_url = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.authorization: list[str | None] = []
        self.logits: Logits = length_logit
        self.fault: Callable[[int], str | None] = lambda number: None
        """A fault of tests.server.faults, `hang` or `nonsense` for the request with this number."""
        self.most_chars = 10_000
        self.row_per_token = False

    def routes(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:classify|pooling|score}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        path = request.match_info["path"]
        fault = self.fault(len(self.asked))
        self.asked.append((path, body))
        self.authorization.append(request.headers.get("Authorization"))
        if fault == "hang":
            await asyncio.sleep(60)
        if fault == "nonsense":
            return web.json_response({"data": [{"label": "LABEL_0"}]})
        if response := refusal(fault):
            return response
        if body["model"] != self.model:
            message = f"The model `{body['model']}` does not exist."
            return web.json_response({"error": {"message": message, "code": 404}}, status=404)
        text = self._reply_in(path, body)
        if len(text) > self.most_chars:
            message = f"This model's maximum context length is {self.most_chars} tokens. Please reduce the length."
            return web.json_response({"error": {"message": message, "code": 400}}, status=400)
        logits = self.logits(text)
        if "text" not in body and body.get("use_activation") is not False:
            logits = _activated(logits)
        # The NaN of Python's JSON, which no strict parser takes.
        return web.json_response(self._document(path, body, logits))

    def _reply_in(self, path: str, body: dict[str, Any]) -> str:
        if "text" in body:
            return str(body["text"])
        if path == "score":
            return str(body["text_2"])
        assert body["messages"][-1]["role"] == "assistant"
        return str(body["messages"][-1]["content"])

    def _document(self, path: str, body: dict[str, Any], logits: list[float]) -> Any:
        if "text" in body:
            return {"embedding": logits, "meta_info": {"prompt_tokens": 5}}
        if path == "score":
            return {"object": "list", "data": [{"index": 0, "object": "score", "score": logits[0]}]}
        if path == "pooling":
            rows = [[9.9], [8.8], logits] if self.row_per_token else logits
            return {"object": "list", "data": [{"index": 0, "object": "pooling", "data": rows}]}
        row = {"index": 0, "label": "LABEL_0", "probs": logits, "num_classes": len(logits)}
        return {"object": "list", "data": [row]}


def _activated(logits: list[float]) -> list[float]:
    if len(logits) == 1:
        return [1 / (1 + math.exp(-logits[0]))]
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


@contextmanager
def reward_server() -> Iterator[RewardServer]:
    """The server in a thread of its own."""
    server = RewardServer()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(server.routes(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
