"""OpenAI's batch API over HTTP: upload requests, have them worked on, look how far it is, download the answers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import aiohttp
from yarl import URL

from rsr_cli.clients.batches.lines import PATH
from rsr_cli.clients.batches.status import BatchStatus, object_in, objects_in, read_status
from rsr_cli.clients.bodies import read_body, reading, whole_body, write_body
from rsr_cli.clients.endpoints import Endpoint
from rsr_cli.clients.failures import Failure, Fault
from rsr_cli.clients.json_posts import Poster
from rsr_cli.errors import BackendError

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRANSFER = aiohttp.ClientTimeout(total=3600, sock_connect=10)
_CHUNK = 1 << 20
_FILE_NOT_READY = re.compile(r"\bpending\b|not (yet )?(been )?(ready|processed|available)|(being|is) process")

_FILE_PATIENCE = 1800.0
"""Seconds that an uploaded file may take to be processed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 15.0


class BatchApi(Poster):
    """An async context. Its methods wait out what passes, and raise a BackendError for what does not."""

    async def upload(self, path: Path, filled_in: Callable[[bytes], bytes] | None = None) -> str:
        """The id that the server gives to a file of requests, of which it gets what `filled_in` makes of each line."""

        async def ask(endpoint: Endpoint) -> str:
            with path.open("rb") as file:
                form = aiohttp.FormData({"purpose": "batch"})
                content = file if filled_in is None else await asyncio.to_thread(_joined, filled_in, file)
                form.add_field("file", content, filename=path.name, content_type="application/jsonl")
                headers = {name: value for name, value in endpoint.headers.items() if name != "Content-Type"}
                uploaded = await self._call(
                    endpoint, "POST", "files", object_in, data=form, headers=headers, timeout=_TRANSFER
                )
            return str(uploaded["id"])

        return await self._insist(ask, f"{path} could not be uploaded")

    async def submit(self, input_file_id: str) -> BatchStatus:
        """Have the requests of an uploaded file worked on. Where there is a batch of that file already, it is that one:
        a submission whose answer was lost is not paid twice."""

        async def ask(endpoint: Endpoint) -> BatchStatus:
            for document in await self._latest(endpoint):
                if document.get("input_file_id") == input_file_id:
                    return read_status(document)
            wanted = {"input_file_id": input_file_id, "endpoint": PATH, "completion_window": "24h"}
            waited, pause = 0.0, _FIRST_PAUSE
            while True:
                try:
                    return await self._call(endpoint, "POST", "batches", read_status, data=write_body(wanted))
                except Failure as failure:
                    # The server is still at the file: that is no failure, and no retry is spent on it.
                    if failure.fault is not Fault.REQUEST or not _FILE_NOT_READY.search(failure.message.lower()):
                        raise
                    if waited >= _FILE_PATIENCE:
                        raise
                await asyncio.sleep(pause)
                waited += pause
                pause = min(2 * pause, _LONGEST_PAUSE)

        return await self._insist(ask, "the batch was not accepted")

    async def look(self, batch_id: str, hint: str = "") -> BatchStatus:
        async def ask(endpoint: Endpoint) -> BatchStatus:
            return await self._call(endpoint, "GET", f"batches/{batch_id}", read_status)

        return await self._insist(ask, f"the server does not tell of the batch {batch_id}", hint)

    async def download(self, file_ids: Sequence[str], path: Path) -> None:
        """Write files of answers to `path`, one behind the other. Raises OSError where the disk does not take them."""

        async def ask(endpoint: Endpoint) -> OSError | None:
            with path.open("wb") as file:

                async def receive(response: aiohttp.ClientResponse) -> OSError | None:
                    chunk = b"\n"
                    async for chunk in response.content.iter_chunked(_CHUNK):
                        try:
                            file.write(chunk)
                        except OSError as error:
                            return error  # the disk's, not the connection's
                    file.write(b"" if chunk.endswith(b"\n") else b"\n")  # the next file begins with a line of its own
                    return None

                refused: list[Failure] = []
                for file_id in file_ids:
                    url = _url(endpoint, f"files/{file_id}/content")
                    try:
                        trouble = await self._exchange(
                            endpoint, "GET", url, receive, timeout=_TRANSFER, allow_redirects=True
                        )
                    except Failure as failure:
                        if failure.fault in (Fault.SERVER, Fault.RATE_LIMIT, Fault.UNREACHABLE):
                            raise
                        refused.append(failure)
                    else:
                        if trouble is not None:
                            return trouble
            if refused and len(refused) == len(file_ids):
                raise refused[0]
            for lost in refused:  # the file of errors, say: what the others hold is not lost for it
                log.warning("a file of a batch can't be downloaded: %s", lost.message)
            return None

        trouble = await self._insist(ask, "the answers could not be downloaded")
        if trouble is not None:
            raise trouble

    async def _latest(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        """The newest batches of the account; none where the server does not list them."""
        try:
            return await self._call(endpoint, "GET", "batches", objects_in, query={"limit": "100"})
        except Failure as failure:
            if failure.fault is Fault.PATH and endpoint.successes:
                return []
            raise

    async def _call(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        read: Callable[[Any], T],
        query: dict[str, str] | None = None,
        **options: Any,
    ) -> T:
        """One request to a path beside the base URL, and what `read` makes of the document that it brings."""

        async def receive(response: aiohttp.ClientResponse) -> T:
            return reading(lambda body: read(read_body(body)), await whole_body(response))

        url = _url(endpoint, path).extend_query(query or {})
        return await self._exchange(endpoint, method, url, receive, **options)

    async def _insist(self, ask: Callable[[Endpoint], Awaitable[T]], trouble: str, hint: str = "") -> T:
        try:
            return await self._persist(ask)
        except Failure as failure:
            again = "run the same command again: it goes on from here"
            raise BackendError(f"{trouble}: {failure.message}", f"{again}; {hint}" if hint else again) from None


def _url(endpoint: Endpoint, path: str) -> URL:
    """Beside /batches, where the endpoint is."""
    return endpoint.url.with_path(endpoint.url.path.removesuffix("batches") + path, keep_query=True)


def _joined(filled_in: Callable[[bytes], bytes], file: BinaryIO) -> bytes:
    return b"".join(map(filled_in, file))
