"""Whole answers in bytes that servers and gateways are known to send, and bodies that no client should swallow."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from aiohttp import web

_JSON = "application/json"


def _with_charset(charset: str) -> Callable[[dict[str, Any]], web.Response]:
    def respond(document: dict[str, Any]) -> web.Response:
        text = orjson.dumps(document).decode()
        return web.Response(body=text.encode(charset), headers={"Content-Type": f"{_JSON}; charset={charset}"})

    return respond


def _raw(prefix: bytes = b"", suffix: bytes = b"", **headers: str) -> Callable[[dict[str, Any]], web.Response]:
    def respond(document: dict[str, Any]) -> web.Response:
        body = prefix + orjson.dumps(document) + suffix
        return web.Response(body=body, headers={"Content-Type": _JSON} | headers)

    return respond


def _event_stream(document: dict[str, Any]) -> web.Response:
    """Two characters an event, the usage in one of its own."""
    lines = [": keep-alive", ""]
    for choice in document["choices"]:
        text = choice["message"]["content"]
        pieces: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
        pieces += [{"delta": {"content": text[i : i + 2]}, "finish_reason": None} for i in range(0, len(text), 2)]
        pieces.append({"delta": {}, "finish_reason": choice["finish_reason"]})
        for piece in pieces:
            event = {"model": document["model"], "choices": [piece | {"index": choice["index"]}]}
            lines += ["data: " + orjson.dumps(event).decode(), ""]
    usage = {"model": document["model"], "choices": [], "usage": document["usage"]}
    lines += ["data: " + orjson.dumps(usage).decode(), "", "data: [DONE]", "", ""]
    return web.Response(text="\r\n".join(lines), headers={"Content-Type": "text/event-stream"})


def _with_raw_newlines(document: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(document).replace(b"\\n", b"\n\t"), headers={"Content-Type": _JSON})


def _declared_latin_1_but_utf_8(document: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(document), headers={"Content-Type": f"{_JSON}; charset=iso-8859-1"})


WHOLE: dict[str, Callable[[dict[str, Any]], web.Response]] = {
    "gb18030": _with_charset("gb18030"),
    "gbk": _with_charset("gbk"),
    "utf-16": _with_charset("utf-16"),
    "utf-8-sig": _with_charset("utf-8-sig"),
    "unknown charset": _raw(**{"Content-Type": f"{_JSON}; charset=hex"}),
    "latin-1 in name only": _declared_latin_1_but_utf_8,
    "comment lines": _raw(b": OPENROUTER PROCESSING\n\n" * 3 + b"  \n"),
    "byte order mark": _raw(b"\xef\xbb\xbf"),
    "something behind": _raw(suffix=b"\nnull\n"),
    "raw newlines": _with_raw_newlines,
    "event stream": _event_stream,
    "a large header": _raw(**{"Content-Security-Policy": "a" * 200_000}),
    "many headers": _raw(**{f"X-Header-{number}": "v" * 300 for number in range(1000)}),
}


@cache
def _bomb() -> bytes:
    return gzip.compress(b'{"choices": "' + b"a" * (8 << 20), compresslevel=1)


def _larger_than_any_answer(_: dict[str, Any]) -> web.Response:
    return web.Response(body=_bomb(), headers={"Content-Type": _JSON, "Content-Encoding": "gzip"})


WHOLE_IN_LATIN_1 = {"iso-8859-1": _with_charset("iso-8859-1")}
UNUSABLE: dict[str, Callable[[dict[str, Any]], web.Response]] = {
    "no UTF-8": lambda document: web.Response(
        body=orjson.dumps(document).replace("答".encode(), "答".encode()[:2]), content_type=_JSON
    ),
    "an object for a text": lambda document: web.json_response(
        {"choices": [{"message": {"content": {"a": {}}}, "finish_reason": "stop"}]}
    ),
    "too large": _larger_than_any_answer,
}
