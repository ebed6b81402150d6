"""`reward-model`: the score is what a sequence classifier says of the conversation with the reply in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator

from rsr_cli.clients.json_posts import PostSettings
from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.config.settings import Headers, header_texts
from rsr_cli.errors import ConfigError
from rsr_cli.plugins.contracts import Judge
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.rewards.logits import Activation, LogitSource, NoScoreError, score_of
from rsr_cli.verifiers.rewards.sequence_classifier import LocalModel, LocalSettings
from rsr_cli.verifiers.rewards.served_scores import Api, ServedModel, protocol_of

_SERVED_ONLY = ("model", "api", "api_key", "headers", "timeout", "max_retries", "concurrent_requests", "extra_params")
_LOCAL_ONLY = ("dtype", "devices", "batch_tokens", "max_length", "trust_remote_code")


class RewardModel(BaseModel, Judge):
    """A Judge. The model runs in this process (`model_path`) or is served over HTTP (`base_url` and `model`).

    A reply that it can't score (too long, out of memory, a failed request, NaN) has no score: it is never cut.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    compares: ClassVar[bool] = False
    no_verdict_change: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "api_key", "headers", "timeout", "max_retries", "concurrent_requests", "devices", "batch_tokens"}
    )
    """The options that can't change a score."""
    file_options: ClassVar[frozenset[str]] = frozenset({"chat_template"})
    """The options that name a file, whose content can change a score."""

    label: int | None = Field(None, ge=0)
    """Which label's logit is the score, counted from 0; needed where the model has several."""
    activation: Activation = "none"
    """`none`: the raw logit. `sigmoid`: that in 0..1. `softmax`: the label's share among several."""
    chat_template: str | None = None
    """A Jinja file in place of the tokenizer's template. SGLang needs one; vLLM has its own."""

    model_path: str | None = None
    """A folder or a hub name, loaded with transformers as *ForSequenceClassification."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """null: the checkpoint's own on a GPU, float32 on a CPU."""
    devices: list[str] | None = Field(None, min_length=1)
    """Such as [cuda:0, cuda:1], one copy of the model on each. null: all GPUs, or the CPU where there is none."""
    batch_tokens: int = Field(16384, ge=1)
    """The most tokens of one batch on one device, padding included; halved for a while when memory runs out."""
    max_length: int | None = Field(None, ge=1)
    """The most tokens of a conversation. null: what the model and its tokenizer state."""
    trust_remote_code: bool = False
    """Run the Python code that comes with the model."""

    base_url: list[str] | None = Field(None, min_length=1)
    """A URL or a list of URLs (the least busy one is used), with or without /v1."""
    model: str | None = None
    """The name that the server serves the model under."""
    api: Api = "vllm-classify"
    """Which of the servers' endpoints is asked."""
    api_key: SecretStr = SecretStr("")
    headers: Headers = {}
    """Sent with every request; the values are secrets."""
    timeout: float = Field(300, gt=0)
    """Seconds for one request, from its sending to the last byte of its answer."""
    max_retries: int = Field(5, ge=0)
    """How often one request is sent again after a failure of the server."""
    concurrent_requests: int = Field(50, ge=1)
    extra_params: dict[str, Any] = {}
    """Passed through to the server (chat_template_kwargs, add_special_tokens …)."""

    _source: LogitSource = PrivateAttr()

    @field_validator("base_url", "devices", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def __init__(self, **options: Any) -> None:
        """Raises ValidationError for an option by itself, ConfigError for what the options come to together."""
        super().__init__(**options)
        self._check()
        self._source = self._make_source()

    @property
    def score_range(self) -> tuple[float, float] | None:
        return (0.0, 1.0) if self.activation in ("sigmoid", "softmax") else None

    async def __aenter__(self) -> RewardModel:
        """Loads the model, where it runs in this process. Raises ConfigError."""
        await self._source.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._source.__aexit__(*exc)

    async def judge(self, prompt: Prompt, replies: Mapping[int, str]) -> dict[int, Verdict]:
        """A verdict for each reply. Raises ConfigError or BackendError where none of them can be scored."""
        verdicts = await asyncio.gather(*(self._verdict(prompt, reply) for reply in replies.values()))
        return dict(zip(replies, verdicts, strict=True))

    async def _verdict(self, prompt: Prompt, reply: str) -> Verdict:
        try:
            logits = await self._source.logits(prompt.messages, reply)
            return Verdict(score_of(logits, self.label, self.activation))
        except NoScoreError as error:
            return Verdict.unknown(error.status, str(error))

    def _check(self) -> None:
        if (self.model_path is None) == (self.base_url is None):
            raise ConfigError(
                "verifier: a reward model runs in this process or is served",
                "give either model_path, or base_url and model",
            )
        if self.base_url is not None and self.model is None:
            raise ConfigError("verifier.model is required: the name that the server serves the reward model under")
        local = self.base_url is None
        if given := [name for name in (_SERVED_ONLY if local else _LOCAL_ONLY) if name in self.model_fields_set]:
            place = "a model in this process (model_path)" if local else "a served model (base_url)"
            raise ConfigError(f"verifier.{given[0]} is no option of {place}")
        if self.activation == "softmax" and self.label is None:
            raise ConfigError("verifier.label is required with activation: softmax", "over one label it is always 1")

    def _make_source(self) -> LogitSource:
        if self.base_url is None:
            options = self.model_dump(include=set(LocalSettings.__dataclass_fields__))
            return LocalModel(LocalSettings(**options))
        protocol = protocol_of(self.api, self.chat_template)
        return ServedModel(
            PostSettings(
                base_urls=self.base_url,
                path=protocol.path,
                api_key=self.api_key.get_secret_value(),
                headers=header_texts(self.headers),
                concurrent_requests=self.concurrent_requests,
                timeout=self.timeout,
            ),
            protocol,
            str(self.model),
            self.extra_params,
            RetryPolicy(max_retries=self.max_retries, outage_patience=max(120.0, self.timeout)),
        )
