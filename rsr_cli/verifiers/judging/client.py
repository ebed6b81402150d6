"""Ask a judge's servers for JSON of a schema, and go without the schema where they refuse it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from rsr_cli.clients.answers import Answer
from rsr_cli.clients.chat_completions import ChatClient, ChatRequest, ChatSettings
from rsr_cli.clients.failures import Failure, Fault
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import BackendError

log = logging.getLogger(__name__)


class SchemaClient:
    """An async context. With no schema it is a plain client."""

    def __init__(self, settings: ChatSettings, schema: dict[str, Any] | None, policy: RetryPolicy) -> None:
        self._plain = ChatClient(settings, policy)
        self._bound = self._plain
        if schema is not None:
            form = {"name": "verdict", "strict": True, "schema": schema}
            response_format = {"type": "json_schema", "json_schema": form}
            params = {**settings.params, "response_format": response_format}
            self._bound = ChatClient(replace(settings, params=params), policy)

    async def __aenter__(self) -> SchemaClient:
        await self._bound.__aenter__()
        if self._bound is not self._plain:
            await self._plain.__aenter__()
        self._client = self._bound
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._plain.__aexit__(*exc)
        await self._bound.__aexit__(*exc)

    async def complete(self, text: str) -> Answer:
        """The answer to one user message.

        Raises Failure where this request has failed for good, a BackendError where the run can't go on.
        """
        request = ChatRequest([{"role": "user", "content": text}])
        if self._client is self._plain:
            return await self._plain.complete(request)
        try:
            return await self._bound.complete(request)
        except BackendError as error:
            # A bad key or a server that is gone has nothing to do with the schema.
            if type(error) is not BackendError:
                raise
        except Failure as failure:
            if failure.fault is not Fault.REQUEST:
                raise
        # Refused, be it for the schema or not: where the plain request fails as well, its error tells why.
        answer = await self._plain.complete(request)
        if self._client is not self._plain:
            log.info("the judge's server takes no JSON schema: it is asked without one")
            self._client = self._plain
        return answer
