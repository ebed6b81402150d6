"""Whether a port speaks TLS, asked where a plain request to it came to nothing."""

from __future__ import annotations

import asyncio
import ssl

from yarl import URL

from rsr_cli.clients.failures import Failure, Fault

_PATIENCE_S = 5.0


async def failure_if_tls(url: URL) -> Failure | None:
    """The failure of a plain HTTP request to a port that speaks TLS; None where it does not."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _, writer = await asyncio.open_connection(url.host, url.port, ssl=context)
    except (OSError, TimeoutError):
        return None
    writer.close()
    hint = "begin {section}.base_url with https://"
    return Failure(Fault.UNREACHABLE, "the server speaks TLS there, and was asked in plain HTTP", hint=hint)
