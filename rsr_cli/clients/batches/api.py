"""OpenAI's batch API over HTTP: upload requests, have them worked on, look how far it is, download the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from rsr_cli.clients.batches.lines import PATH
from rsr_cli.clients.bodies import read_body, whole_body, write_body
from rsr_cli.clients.endpoints import Endpoint
from rsr_cli.clients.failures import Failure, Fault, error_in
from rsr_cli.clients.json_posts import Poster
from rsr_cli.errors import BackendError

T = TypeVar("T")

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_TRANSFER = aiohttp.ClientTimeout(total=3600, sock_connect=10)
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """What the server says of a batch. `files` are the ids of its files of answers and of errors."""

    id: str
    status: str
    files: tuple[str, ...]
    done: int
    total: int
    message: str


class BatchApi(Poster):
    """An async context. Its methods wait out what passes, and raise a BackendError for what does not."""

    async def upload(self, path: Path) -> str:
        """The id that the server gives to a file of requests."""

        async def ask(endpoint: Endpoint) -> str:
            with path.open("rb") as file:
                form = aiohttp.FormData({"purpose": "batch"})
                form.add_field("file", file, filename=path.name, content_type="application/jsonl")
                headers = {name: value for name, value in endpoint.headers.items() if name != "Content-Type"}
                document = await self._call(endpoint, "POST", "files", data=form, headers=headers, timeout=_TRANSFER)
            return str(document["id"])

        return await self._insist(ask, f"{path} could not be uploaded")

    async def submit(self, input_file_id: str) -> BatchStatus:
        """Have the requests of an uploaded file worked on. Where there is a batch of that file already, it is that one:
        a submission whose answer was lost is not paid twice."""

        async def ask(endpoint: Endpoint) -> BatchStatus:
            for document in await self._latest(endpoint):
                if document.get("input_file_id") == input_file_id:
                    return _status(document)
            wanted = {"input_file_id": input_file_id, "endpoint": PATH, "completion_window": "24h"}
            return _status(await self._call(endpoint, "POST", "batches", data=write_body(wanted)))

        return await self._insist(ask, "the batch was not accepted")

    async def look(self, batch_id: str) -> BatchStatus:
        async def ask(endpoint: Endpoint) -> BatchStatus:
            return _status(await self._call(endpoint, "GET", f"batches/{batch_id}"))

        return await self._insist(ask, f"the server does not tell of the batch {batch_id}")

    async def download(self, file_ids: Sequence[str], path: Path) -> None:
        """Files of answers, one behind the other, as `path`. Raises OSError where the disk does not take them."""
        temporary = path.with_name(f".{path.name}.tmp")

        async def ask(endpoint: Endpoint) -> OSError | None:
            with temporary.open("wb") as file:

                async def receive(response: aiohttp.ClientResponse) -> OSError | None:
                    async for chunk in response.content.iter_chunked(_CHUNK):
                        try:
                            file.write(chunk)
                        except OSError as error:
                            return error  # the disk's, not the connection's
                    return None

                for file_id in file_ids:
                    url = _url(endpoint, f"files/{file_id}/content")
                    trouble = await self._exchange(
                        endpoint, "GET", url, receive, timeout=_TRANSFER, allow_redirects=True
                    )
                    if trouble is not None:
                        return trouble
            return None

        trouble = await self._insist(ask, "the answers could not be downloaded")
        if trouble is not None:
            raise trouble
        temporary.replace(path)

    async def _latest(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        """The newest batches of the account; none where the server does not list them."""
        try:
            document = await self._call(endpoint, "GET", "batches", query={"limit": "100"})
        except Failure as failure:
            if failure.fault is Fault.PATH and endpoint.successes:
                return []
            raise
        return [item for item in document.get("data") or () if isinstance(item, dict)]

    async def _call(
        self, endpoint: Endpoint, method: str, path: str, query: dict[str, str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """One request to a path beside the base URL, and the object that it brings."""

        async def receive(response: aiohttp.ClientResponse) -> dict[str, Any]:
            document = read_body(await whole_body(response))
            if not isinstance(document, dict) or not ("id" in document or "data" in document):
                raise Failure(Fault.SERVER, "the answer is no object of the batch API")
            return document

        url = _url(endpoint, path).extend_query(query or {})
        return await self._exchange(endpoint, method, url, receive, **options)

    async def _insist(self, ask: Callable[[Endpoint], Awaitable[T]], trouble: str) -> T:
        try:
            return await self._persist(ask)
        except Failure as failure:
            raise BackendError(
                f"{trouble}: {failure.message}", "run the same command again: it goes on from here"
            ) from None


def _url(endpoint: Endpoint, path: str) -> URL:
    """Beside /batches, where the endpoint is."""
    return endpoint.url.with_path(endpoint.url.path.removesuffix("batches") + path, keep_query=True)


def _status(document: dict[str, Any]) -> BatchStatus:
    counts = document.get("request_counts") or {}
    errors = (document.get("errors") or {}).get("data") or ()
    told = [error for item in errors if (error := error_in(item)) is not None]
    files = (document.get("output_file_id"), document.get("error_file_id"))
    return BatchStatus(
        id=str(document["id"]),
        status=str(document.get("status")),
        files=tuple(file for file in files if file),
        done=int(counts.get("completed") or 0) + int(counts.get("failed") or 0),
        total=int(counts.get("total") or 0),
        message="; ".join(dict.fromkeys(f"{error.code}: {error.message}" for error in told[:3])),
    )
