"""The JSON of requests and answers: written strictly, read with all that servers put into it.

A body is hostile: it may be endless, in any charset, nested beyond measure, or no JSON at all. Whatever it is, reading
it ends in a document or in a Failure of this one request.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import orjson

from rsr_cli.clients.event_streams import assembled, is_event_stream, without_comments
from rsr_cli.clients.failures import Failure, Fault

T = TypeVar("T")

LARGEST = 64 << 20
"""Bytes of an answer, unpacked: a few megabytes of gzip become gigabytes."""
LARGEST_ERROR = 1 << 20
"""Bytes of an error that are looked into."""
_ONE_BYTE_CHARSETS = ("iso8859", "cp125", "koi8")
_CHARSETS = (*_ONE_BYTE_CHARSETS, "gb", "hz", "big5", "shift_jis", "euc", "iso2022", "cp9", "utf-16", "utf-32")
_LONGEST_INTEGER = 300
"""Digits. A longer one is read as a float, since Python refuses those of thousands of digits."""


def write_body(document: Mapping[str, Any]) -> bytes:
    """Raises a Failure where something in the document has no JSON."""
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise Failure(Fault.PROMPT, f"the request can't be sent as JSON: {error}") from None


async def whole_body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body in UTF-8. Raises a Failure where it is too large, or no text in its charset."""
    body = await _read_at_most(response, LARGEST)
    if len(body) > LARGEST:
        raise Failure(Fault.SERVER, f"the answer has more than {LARGEST >> 20} MB", paid=True)
    try:
        return _in_utf8(body, _charset(response))
    except UnicodeDecodeError as error:
        raise Failure(Fault.SERVER, f"the answer is no text in the charset {error.encoding}", paid=True) from None


async def error_body(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body of an error, in UTF-8 where it is text."""
    body = (await _read_at_most(response, LARGEST_ERROR))[:LARGEST_ERROR]
    try:
        return _in_utf8(body, _charset(response))
    except UnicodeDecodeError:
        return body


async def _read_at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    """All of the body, or a little more than `most` bytes of a larger one, whose connection is then of no more use."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            break
    return bytes(body)


def _charset(response: aiohttp.ClientResponse) -> str | None:
    """The charset that the server declares, None where it declares UTF-8, none or one that there is not."""
    try:
        name = codecs.lookup(response.charset or "utf-8").name
    except (LookupError, ValueError):
        return None
    return name if name.startswith(_CHARSETS) else None  # Python's codecs have others that are no charsets


def _in_utf8(body: bytes, charset: str | None) -> bytes:
    """Raises UnicodeDecodeError."""
    if charset is None:
        return body
    # In a charset of one byte a character everything is text, UTF-8 too, and servers declare latin-1 by default.
    if charset.startswith(_ONE_BYTE_CHARSETS):
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            return body.decode(charset).encode()
        return body
    try:
        return body.decode(charset).encode()
    except UnicodeDecodeError:
        body.decode("utf-8")
        return body


def read_body(body: bytes) -> Any:
    """The document in a body. Raises a Failure where it is not whole JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        # JSON that begins with the mark of its byte order, or is UTF-16, is known by its first bytes.
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        raise Failure(Fault.SERVER, "the answer is no UTF-8", paid=True) from None
    try:
        text = without_comments(text)
        return _without_half_characters(assembled(text) if is_event_stream(text) else _read_leniently(text))
    except (ValueError, RecursionError):
        kind = "an HTML page" if text.lstrip()[:1] == "<" else "not whole JSON"
        raise Failure(Fault.SERVER, f"the answer is {kind}") from None


def _read_leniently(text: str) -> Any:
    """What orjson does not take and servers do send: NaN (a logit), raw line ends in a text, half a surrogate pair,
    something behind the document."""
    decoder = json.JSONDecoder(strict=False, parse_int=_read_integer)
    document, _ = decoder.raw_decode(text.lstrip())
    return document


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _without_half_characters(document: Any) -> Any:
    text = json.dumps(document, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def reading(read: Callable[[bytes], T], body: bytes) -> T:
    """What `read` makes of a body. Whatever shape it stumbles over is a broken answer, and no end of the run."""
    try:
        return read(body)
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise Failure(
            Fault.SERVER, f"the answer is of no known shape: {type(error).__name__}: {error}", paid=True
        ) from error
