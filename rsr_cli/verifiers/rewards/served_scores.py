"""A reward model behind HTTP: what vLLM and SGLang are asked, and where their answers hold the logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import TemplateError

from rsr_cli.clients.failures import Failure
from rsr_cli.clients.json_posts import JsonClient, PostSettings
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import ConfigError
from rsr_cli.types import Message
from rsr_cli.verifiers.rewards.conversation import TemplateRenderer, conversation, prompt_text, read_template
from rsr_cli.verifiers.rewards.logits import NoScoreError

Api = Literal["vllm-classify", "vllm-pooling", "vllm-score", "sglang"]

# vLLM puts a sigmoid on one label and a softmax on several unless it is told not to. The older name of the field,
# `activation`, must not be sent beside it: some versions take its mere presence for true.
_RAW = {"use_activation": False}
_PLAIN: tuple[list[Message], str] = [{"role": "user", "content": "Say hello."}], "Hello."


@dataclass(frozen=True, slots=True)
class Protocol:
    """Where an API is asked for a score, with what, and how its answer is read."""

    path: str
    fields: Callable[[list[Message], str], dict[str, Any]]
    """The body for a reply to a prompt's messages, less the model."""
    read: Callable[[Any], Any]
    """The logits in an answer; KeyError, IndexError or TypeError where it holds none."""


class ServedModel:
    """A LogitSource. Each reply is a request of its own, so one that is refused takes no other with it."""

    def __init__(
        self,
        settings: PostSettings,
        protocol: Protocol,
        model: str,
        extra_params: Mapping[str, Any],
        policy: RetryPolicy,
    ) -> None:
        self._protocol = protocol
        self._model = model
        self._extra_params = extra_params
        self._client = JsonClient(settings, policy, self._plain_document())

    async def __aenter__(self) -> ServedModel:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.__aexit__(*exc)

    async def logits(self, messages: list[Message], reply: str) -> list[float]:
        """One number per label, NaN where the server gives null.

        Raises NoScoreError where this request failed for good, a BackendError where every one would.
        """
        document = self._document(messages, reply)
        try:
            return await self._client.post(document, self._read)
        except Failure as failure:
            raise NoScoreError(failure.message, "timeout" if failure.timed_out else "error") from failure

    def _document(self, messages: list[Message], reply: str) -> dict[str, Any]:
        """Raises NoScoreError where the chat template refuses the conversation."""
        try:
            fields = self._protocol.fields(messages, reply)
        except (TemplateError, TypeError, ValueError) as error:
            raise NoScoreError(f"the chat template refuses the conversation: {error}") from error
        return {"model": self._model, **fields, **self._extra_params}

    def _plain_document(self) -> dict[str, Any] | None:
        try:
            return self._document(*_PLAIN)
        except NoScoreError:
            return None

    def _read(self, document: Any) -> list[float]:
        try:
            values = [math.nan if value is None else float(value) for value in self._protocol.read(document)]
        except (KeyError, IndexError, TypeError, ValueError):
            values = []
        if not values:
            raise ValueError(f"the answer holds no score: {str(document)[:200]}")
        return values


def protocol_of(api: Api, chat_template: str | None) -> Protocol:
    """ConfigError where the API needs a chat template, or can't be given one."""
    if api == "sglang":
        if chat_template is None:
            raise ConfigError(
                "verifier.chat_template: SGLang takes text, so the chat template must be given",
                "the model's own: its chat_template.jinja, or chat_template in its tokenizer_config.json",
            )
        render = TemplateRenderer(read_template(chat_template))
        return Protocol(
            "/classify",
            lambda messages, reply: {"text": render(conversation(messages, reply))},
            lambda document: _first(document)["embedding"],
        )
    if chat_template is not None:
        raise ConfigError(
            f"verifier.chat_template: with {api} the server has the template",
            "give it to the server: vllm serve --chat-template FILE",
        )
    return _VLLM[api]


def _chat(messages: list[Message], reply: str) -> dict[str, Any]:
    return {"messages": conversation(messages, reply), **_RAW}


def _query_and_document(messages: list[Message], reply: str) -> dict[str, Any]:
    return {"text_1": prompt_text(messages), "text_2": reply, **_RAW}


def _pooled(document: Any) -> Any:
    """The logits of a sequence, or of its last token where the model answers with a row for each."""
    data = document["data"][0]["data"]
    return data[-1] if isinstance(data[0], Sequence) else data


def _first(document: Any) -> Any:
    return document[0] if isinstance(document, list) else document


_VLLM: dict[Api, Protocol] = {
    "vllm-classify": Protocol("/classify", _chat, lambda document: document["data"][0]["probs"]),
    "vllm-pooling": Protocol("/pooling", _chat, _pooled),
    "vllm-score": Protocol("/score", _query_and_document, lambda document: [document["data"][0]["score"]]),
}
