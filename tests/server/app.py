"""The HTTP side of the test server, and its log of what it was asked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.server.batches import BatchDesk
from tests.server.faults import refusal, reset, spoiled
from tests.server.scenario import Ask, Reply, Scenario


@dataclass(slots=True)
class Served:
    """One request, and what became of it. `ks` are the samples that were handed out whole; times are monotonic."""

    number: int
    prompt: str
    n: int
    seed: int | None
    body: dict[str, Any]
    authorization: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """With their names in lower case."""
    query: str = ""
    fault: str | None = None
    status: int | None = None
    ks: list[int] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    busy_s: float = 0.0
    """Seconds of work, without the wait for a slot."""
    cancelled: bool = False
    """The client hung up before it had the answer."""


class Application:
    """`log` has one entry per request, in order of arrival; `peak` is the most that were open at a time."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.log: list[Served] = []
        self.open = 0
        self.peak = 0
        self.batches = BatchDesk(self)
        self._samples_of: Counter[str] = Counter()
        self._slots: Any = asyncio.Semaphore(scenario.slots) if scenario.slots else nullcontext()

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/log", self._show_log)
        self.batches.add_routes(app.router)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.scenario.model, "object": "model"}]})

    async def _show_log(self, _: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps([asdict(entry) for entry in self.log]), content_type="application/json")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.open += 1
        self.peak = max(self.peak, self.open)
        entry = self._note(orjson.loads(await request.read()), request.headers.get("Authorization"))
        entry.headers = {name.lower(): value for name, value in request.headers.items()}
        entry.query = request.query_string
        try:
            response = await self._serve(request, entry)
            entry.status = response.status
            return response
        except asyncio.CancelledError:
            entry.cancelled = True
            raise
        finally:
            entry.ended = time.monotonic()
            self.open -= 1

    def answer(self, body: dict[str, Any], authorization: str | None) -> tuple[int, dict[str, Any]]:
        """A request that came in a batch: the status and the document. Of the faults only refusals are known."""
        entry = self._note(body, authorization)
        refused = self._refuse(entry)
        if refused is None and self.scenario.fault:
            entry.fault = self.scenario.fault(entry.number)
            refused = refusal(entry.fault)
        entry.ended, entry.status = time.monotonic(), 200
        if refused is not None:
            assert isinstance(refused.body, bytes)
            entry.status = refused.status
            return refused.status, orjson.loads(refused.body)
        asks = self._asks(entry)
        entry.ks = [ask.k for ask in asks]
        return 200, self._document(entry, [self.scenario.reply(ask) for ask in asks])

    def _note(self, body: dict[str, Any], authorization: str | None) -> Served:
        prompt = "\n".join(str(message.get("content")) for message in body["messages"])
        entry = Served(len(self.log), prompt, body.get("n", 1), body.get("seed"), body, authorization)
        self.log.append(entry)
        return entry

    async def _serve(self, request: web.Request, entry: Served) -> web.StreamResponse:
        scenario = self.scenario
        refused = self._refuse(entry)
        if refused is not None:
            return refused
        entry.fault = fault = scenario.fault(entry.number) if scenario.fault else None
        if (response := refusal(fault)) is not None:
            return response
        if fault == "reset-before":
            reset(request)
            return web.Response()
        if fault == "hang":
            await asyncio.sleep(scenario.hang_s)
            return web.Response(status=504)
        asks = self._asks(entry)
        async with self._slots:
            if scenario.latency is not None:
                began = time.monotonic()
                try:
                    await asyncio.sleep(scenario.latency(asks[0]))
                finally:
                    entry.busy_s = time.monotonic() - began
        document = self._document(entry, [scenario.reply(ask) for ask in asks])
        if fault is not None:
            return await spoiled(fault, document, request, scenario.hang_s)
        # Only a sample that is handed out counts: what a fault has spoiled comes again as it was.
        entry.ks = [ask.k for ask in asks]
        blanks = b"\n" * scenario.keep_alive_blanks
        return web.Response(body=blanks + orjson.dumps(document), content_type="application/json")

    def _asks(self, entry: Served) -> list[Ask]:
        number = {"serve": entry.n, "ignore": 1, "refuse": 1, "double": 2 * entry.n}[self.scenario.n]
        if entry.seed is not None:
            return [Ask(entry.prompt, entry.seed + index, entry.body) for index in range(number)]
        first = self._samples_of[entry.prompt]
        if entry.fault is None:
            self._samples_of[entry.prompt] += number
        return [Ask(entry.prompt, first + index, entry.body) for index in range(number)]

    def _document(self, entry: Served, replies: list[Reply]) -> dict[str, Any]:
        choices = []
        tokens = 0
        for index, reply in enumerate(replies):
            message: dict[str, Any] = {"role": "assistant", "content": reply.content}
            if reply.reasoning is not None:
                message[self.scenario.reasoning_field] = reply.reasoning
            if reply.tool_calls is not None:
                message["tool_calls"] = reply.tool_calls
            choices.append({"index": index, "message": message, "finish_reason": reply.finish_reason})
            words = len(f"{reply.reasoning or ''} {reply.content or ''}".split())
            tokens += words if reply.completion_tokens is None else reply.completion_tokens
        document: dict[str, Any] = {
            "id": f"chatcmpl-{entry.number}",
            "object": "chat.completion",
            "model": self.scenario.model,
            "choices": choices,
        }
        if self.scenario.usage:
            prompt_tokens = len(entry.prompt.split())
            document["usage"] = {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": tokens,
                "total_tokens": prompt_tokens + tokens,
            }
        return document

    def _refuse(self, entry: Served) -> web.Response | None:
        """The 4xx of what this server does not take."""
        scenario, body = self.scenario, entry.body
        if scenario.api_key is not None and entry.authorization != f"Bearer {scenario.api_key}":
            return _error(401, f"Incorrect API key provided: {entry.authorization}")
        if scenario.only_model and body["model"] != scenario.model:
            return _error(404, f"The model `{body['model']}` does not exist.", code="model_not_found")
        if scenario.limit_field == "max_completion_tokens" and "max_tokens" in body:
            text = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return _error(400, f"Unsupported parameter: {text}", param="max_tokens")
        if scenario.temperature == "refuse" and body.get("temperature") != 1:
            text = "'temperature' does not support 0.7 with this model. Only the default (1) value is supported."
            return _error(400, f"Unsupported value: {text}", param="temperature")
        if scenario.n == "refuse" and entry.n > 1:
            return _error(400, "Invalid value: only one candidate can be specified")
        if scenario.seed == "refuse" and entry.seed is not None:
            return _error(400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.')
        if scenario.continuing == "refuse" and body.get("continue_final_message"):
            return _error(400, "Unrecognized request argument supplied: continue_final_message")
        if scenario.context_chars is not None and len(entry.prompt) > scenario.context_chars:
            text = f"This model's maximum context length is {scenario.context_chars} tokens. Reduce the length."
            return _error(400, text, code="context_length_exceeded")
        return None


def _error(status: int, message: str, **fields: str) -> web.Response:
    return web.json_response({"error": {"message": message, **fields}}, status=status)
