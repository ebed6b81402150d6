"""The JSON of requests and answers: written strictly, read with all that servers put into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from rsr_cli.clients.failures import Failure, Fault


def write_body(document: Mapping[str, Any]) -> bytes:
    """Raises a Failure where something in the document has no JSON."""
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise Failure(Fault.PROMPT, f"the request can't be sent as JSON: {error}") from None


def read_body(body: bytes) -> Any:
    """The document in a body. Raises a Failure where it is not whole JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # The standard parser takes what orjson does not and servers do send: NaN (a logit), half a surrogate pair.
    try:
        text = json.dumps(json.loads(body.decode("utf-8", "replace")), ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        kind = "an HTML page" if body.lstrip()[:1] == b"<" else "not whole JSON"
        raise Failure(Fault.SERVER, f"the answer is {kind}") from None
