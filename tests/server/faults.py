"""The ways in which servers fail. Each is a name; a scenario says which request meets which."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiohttp import web

from tests.server.odd_bodies import UNUSABLE, WHOLE, WHOLE_IN_LATIN_1

_HTML = "<html><head><style>b {}</style></head><body><h1>502 Bad Gateway</h1></body></html>"

# Sent instead of any work: status, headers, body.
_REFUSALS: dict[str, tuple[int, dict[str, str], str]] = {
    "429": (429, {}, '{"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}'),
    "429-retry-after": (429, {"Retry-After": "0.02"}, '{"error": {"message": "Rate limit reached"}}'),
    "429-retry-after-ms": (429, {"retry-after-ms": "20"}, '{"error": {"message": "Rate limit reached"}}'),
    "429-quota": (429, {}, '{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'),
    "400": (400, {}, '{"error": {"message": "Something about this is wrong", "type": "BadRequestError"}}'),
    "400-filtered": (400, {}, '{"error": {"message": "The prompt was filtered", "code": "content_filter"}}'),
    "401": (401, {}, '{"error": {"message": "Incorrect API key provided: sk-abc**********wxyz."}}'),
    "402": (402, {}, '{"error": {"message": "Insufficient credits", "code": 402}}'),
    "403": (403, {}, '{"error": {"message": "Not allowed in your country"}}'),
    "404": (404, {"Content-Type": "text/html"}, "<html><body>Tunnel offline</body></html>"),
    "408": (408, {}, ""),
    "500": (500, {}, '{"object": "error", "message": "Internal error", "code": 500}'),
    "502": (502, {"Content-Type": "text/html"}, _HTML),
    "503": (503, {}, '{"error": "loading"}'),
    "redirect": (307, {"Location": "https://user:pw@elsewhere.example/v1?key=secret"}, ""),
    "html": (200, {"Content-Type": "text/html"}, _HTML),
    "error-in-200": (200, {}, '{"error": {"message": "Provider returned error", "code": 502}}'),
    "rate-limit-in-200": (200, {}, '{"error": {"message": "Slow down", "code": 429}}'),
    "empty-choices": (200, {}, '{"model": "test-model", "choices": []}'),
}
_CHANGED_ANSWERS = ("truncated-json", "null-content", "abort", "slow-bytes", "reset-midway")
_OTHERS = ("reset-before", "reset-after", "hang")

FAULTS: tuple[str, ...] = (*_REFUSALS, *_CHANGED_ANSWERS, *_OTHERS)

# Those that go away by themselves: a run ends with them as it would without.
PASSING = (
    "429",
    "429-retry-after",
    "429-retry-after-ms",
    "408",
    "500",
    "502",
    "503",
    "html",
    "error-in-200",
    "rate-limit-in-200",
    "empty-choices",
    *_CHANGED_ANSWERS,
    *_OTHERS,
)


def random_faults(share: float, seed: int = 0, kinds: Sequence[str] = PASSING) -> Callable[[int], str | None]:
    """A fault for this share of the requests, the same ones whenever the seed is the same."""

    def fault(number: int) -> str | None:
        generator = random.Random(f"{seed} {number}")
        return generator.choice(kinds) if generator.random() < share else None

    return fault


def scripted_faults(script: Sequence[str | None]) -> Callable[[int], str | None]:
    """These faults for the first requests, in this order; the later ones are served."""
    return lambda number: script[number] if number < len(script) else None


def refusal(fault: str | None) -> web.Response | None:
    """The response to a fault that needs no work: one of the above, or `403 words of the error`."""
    if fault is not None and fault[:3].isdecimal() and fault[3:4] == " ":
        return web.json_response({"error": {"message": fault[4:]}}, status=int(fault[:3]))
    if fault not in _REFUSALS:
        return None
    status, headers, text = _REFUSALS[fault]
    return web.Response(status=status, headers={"Content-Type": "application/json", **headers}, text=text)


def reset(request: web.Request) -> None:
    """Ends the connection without a word."""
    if request.transport is not None:
        request.transport.abort()


def odd_body(fault: str, document: dict[str, Any]) -> web.Response | None:
    """The answer in odd bytes, None where the fault is of another kind."""
    make = (WHOLE | WHOLE_IN_LATIN_1 | UNUSABLE).get(fault)
    return make(document) if make else None


async def spoiled(fault: str, document: dict[str, Any], request: web.Request, hang_s: float) -> web.StreamResponse:
    """The answer to a request whose work was done, but which does not arrive as it should."""
    if (response := odd_body(fault, document)) is not None:
        return response
    choices = document["choices"]
    if fault == "null-content":
        choices = [{**choice, "message": {"role": "assistant", "content": None}} for choice in choices]
    elif fault == "abort":
        choices = [{**choice, "finish_reason": "abort"} for choice in choices]
    body = orjson.dumps({**document, "choices": choices})
    if fault == "reset-after":
        reset(request)
    elif fault == "truncated-json":
        body = body[: len(body) // 2]
    elif fault in ("slow-bytes", "reset-midway"):
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        for byte in body[:20]:
            await response.write(bytes([byte]))
            if fault == "slow-bytes":
                await asyncio.sleep(hang_s / 20)
        reset(request)
        return response
    return web.Response(body=body, content_type="application/json")
