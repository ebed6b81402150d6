"""The batch API of the test server, and `vllm run-batch` over the same answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
from aiohttp import web

from tests.server.scenario import Scenario

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Answering(Protocol):
    scenario: Scenario

    def answer(self, body: dict[str, Any], authorization: str | None) -> tuple[int, dict[str, Any]]: ...


@dataclass(slots=True)
class ServedBatch:
    id: str
    input_file_id: str
    requests: list[dict[str, Any]]
    authorization: str | None
    status: str = "validating"
    looks: int = 0
    files: dict[str, str] = field(default_factory=dict)
    """output_file_id and error_file_id, once it has ended."""
    errors: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": self.input_file_id,
            "status": self.status,
            "output_file_id": None,
            "error_file_id": None,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "request_counts": {"total": len(self.requests), "completed": 0, "failed": 0},
            **self.files,
        }


class BatchDesk:
    """Files in, batches, files out. A batch is worked on in the look that finds its end."""

    def __init__(self, app: Answering) -> None:
        self.submitted: list[ServedBatch] = []
        self.files: dict[str, bytes] = {}
        self._app = app

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/files", self._guarded(self._upload))
        router.add_get("/v1/files/{id}/content", self._guarded(self._content))
        router.add_post("/v1/batches", self._guarded(self._submit))
        router.add_get("/v1/batches", self._guarded(self._list))
        router.add_get("/v1/batches/{id}", self._guarded(self._look))

    def _guarded(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            key = self._app.scenario.api_key
            if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
                return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
            return await handler(request)

        return handle

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert form["purpose"] == "batch" and isinstance(file, web.FileField)
        return web.json_response({"id": self._keep(file.file.read()), "object": "file"})

    async def _content(self, request: web.Request) -> web.Response:
        content = self.files.get(request.match_info["id"])
        if content is None:
            return web.json_response({"error": {"message": "No such file"}}, status=404)
        return web.Response(body=self._app.scenario.batch_answers(content))

    async def _submit(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if self._app.scenario.batch_file_pending:
            self._app.scenario.batch_file_pending -= 1
            message = "The input file is in status pending; it must be processed."
            return web.json_response({"error": {"code": "invalid_file", "message": message}}, status=400)
        assert wanted["endpoint"] == "/v1/chat/completions" and wanted["completion_window"] == "24h"
        lines = self.files[wanted["input_file_id"]].splitlines()
        requests = [orjson.loads(line) for line in lines]
        assert len({item["custom_id"] for item in requests}) == len(requests)
        key = request.headers.get("Authorization")
        batch = ServedBatch(f"batch_{len(self.submitted)}", wanted["input_file_id"], requests, key)
        self.submitted.append(batch)
        return web.json_response(self._app.scenario.batch_document(batch.document()))

    async def _list(self, request: web.Request) -> web.Response:
        newest = self.submitted[::-1][: int(request.query["limit"])]
        return web.json_response({"object": "list", "data": [batch.document() for batch in newest]})

    async def _look(self, request: web.Request) -> web.Response:
        found = [batch for batch in self.submitted if batch.id == request.match_info["id"]]
        if not found:
            return web.json_response({"error": {"message": "No batch found"}}, status=404)
        [batch] = found
        batch.looks += 1
        if batch.looks <= self._app.scenario.batch_looks:
            batch.status = "in_progress"
        elif batch.status in ("validating", "in_progress"):
            self._end(batch, self._app.scenario.batch_fate(self.submitted.index(batch)))
        return web.json_response(self._app.scenario.batch_document(batch.document()))

    def _end(self, batch: ServedBatch, fate: str) -> None:
        batch.status = fate
        if fate == "failed":
            batch.errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}]
            return
        done = len(batch.requests) if fate == "completed" else len(batch.requests) // 2
        lines: dict[str, list[dict[str, Any]]] = {"output_file_id": [], "error_file_id": []}
        for item in batch.requests[:done]:
            status, body = self._app.answer(item["body"], batch.authorization)
            lines["output_file_id" if status == 200 else "error_file_id"].append(
                {
                    "id": f"batch_req_{item['custom_id']}",
                    "custom_id": item["custom_id"],
                    "response": {"status_code": status, "request_id": "r", "body": body},
                    "error": None,
                }
            )
        error = {"code": f"batch_{fate}", "message": "This request could not be executed before the end."}
        lines["error_file_id"] += [
            {"id": "batch_req", "custom_id": item["custom_id"], "response": None, "error": error}
            for item in batch.requests[done:]
        ]
        # In no particular order, as the API has it.
        batch.files = {name: self._keep(jsonl(found[::-1])) for name, found in lines.items() if found}

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name


def run_batch(app: Answering, requests: Path, responses: Path) -> None:
    """What `vllm run-batch -i REQUESTS -o RESPONSES` writes."""
    lines = []
    for item in map(orjson.loads, requests.read_bytes().splitlines()):
        status, body = app.answer(item["body"], None)
        response = {"status_code": status, "request_id": "vllm-batch", "body": body if status == 200 else None}
        error = None if status == 200 else {"error": {"code": status, **body["error"]}}
        lines.append({"id": "vllm-1", "custom_id": item["custom_id"], "response": response, "error": error})
    responses.write_bytes(jsonl(lines))


def jsonl(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)
