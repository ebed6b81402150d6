"""The typed settings: every key of a config, its type, its default and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rsr_cli.config.scalars import resolve_plain

Params = Annotated[dict[str, Any], BeforeValidator(resolve_plain)]
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = ("content-type", "content-length", "host", "connection", "transfer-encoding")


def _check_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"rsr sets {name} itself")
        text = value.get_secret_value()
        if not (text.isascii() and (text.isprintable() or not text)):
            raise ValueError(f"the value of {name} has characters that no HTTP header can carry")
    return headers


Headers = Annotated[dict[str, SecretStr], AfterValidator(_check_headers)]


def header_texts(headers: Mapping[str, SecretStr]) -> dict[str, str]:
    """The headers to send: those that have a value."""
    texts = {name: value.get_secret_value().strip() for name, value in headers.items()}
    return {name: text for name, text in texts.items() if text}


MIXTURE = "mixture"
"""The type of a sampler that stands for several."""
BATCH = "openai-batch"
"""The type of the sampler that may leave it to the user to have its requests answered."""


class Settings(BaseModel):
    """A section: unknown keys are refused, values are coerced to the type of their key."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _an_empty_section_has_the_defaults(cls, value: Any) -> Any:
        """`sampling:` with nothing below it is null in YAML."""
        if not isinstance(value, dict):
            return value
        empty = {name for name, field in cls.model_fields.items() if isinstance(field.default, Settings | dict | list)}
        return {name: item for name, item in value.items() if item is not None or name not in empty}


class Component(Settings):
    """A section that names a plugin by `type` and hands it every other key as an option."""

    model_config = ConfigDict(extra="allow")

    type: str

    @property
    def options(self) -> dict[str, Any]:
        return {key: resolve_plain(value) for key, value in (self.model_extra or {}).items()}


class Input(Settings):
    """One of several inputs that are mixed."""

    path: str
    count: int | None = Field(None, ge=0)
    """Take this many rows, drawn with `data.seed`."""
    fraction: float | None = Field(None, ge=0, le=1)
    """Take this share of the rows, drawn with `data.seed`."""

    @model_validator(mode="after")
    def _one_way_to_say_how_many(self) -> Input:
        if self.count is not None and self.fraction is not None:
            raise ValueError("give a count or a fraction, not both")
        return self


class Preprocess(Settings):
    transform: str | None = None
    """`file.py:function`, (item: dict) -> dict | None; None skips the row."""
    system_prompt: str | None = None
    """Put before the messages of every row that has no system message."""
    instruction: str | None = None
    """Appended to the last user message of every row."""
    on_invalid: Literal["fail", "skip"] = "fail"


class Data(Settings):
    input_path: Annotated[list[Input], Field(min_length=1)]
    """jsonl, json, parquet or csv, .gz or .zst of them, hf://dataset, or a list of them."""
    preprocess: Preprocess = Preprocess()
    seed: int = 0
    """Decides which rows a count or a fraction takes, and how several inputs are mixed."""
    limit: int | None = Field(None, ge=1)
    """Take only so many prompts, the first ones. It may grow later."""

    @field_validator("input_path", mode="before")
    @classmethod
    def _paths_as_inputs(cls, value: Any) -> Any:
        items = value if isinstance(value, list) else [value]
        return [{"path": item} if isinstance(item, str) else item for item in items]


class Sampling(Settings):
    max_rollouts: int = Field(16, ge=1)
    """The most valid rollouts of a prompt."""
    step_size: int = Field(4, ge=1)
    """The most attempts that a prompt draws at a time."""
    max_steps: int = Field(8, ge=1)
    """A prompt draws at most max_steps * step_size attempts; more than max_rollouts leaves room for truncated ones."""
    early_stop: bool = True
    """Stop a prompt as soon as every formatter has what it needs of it (with the allocation `fixed`)."""
    allocation: Literal["fixed", "uniform", "prop2diff", "adaptive"] = "fixed"
    """How draws are shared out: max_rollouts each; until each has target_passes; the more passes the harder; where
    a draw is most likely to satisfy one more prompt per token."""
    target_passes: int = Field(1, ge=1)
    """The passes that a prompt is to have; with `prop2diff` those of the hardest."""
    token_budget: int | None = Field(None, ge=1)
    """The most tokens, of prompts and completions, that the work dir may cost."""
    cost_budget: float | None = Field(None, gt=0)
    """The most money that the work dir may cost, at sampler.price."""
    seed: int | None = None
    """Seeds every request from (seed, prompt id, attempt); null sends no seed."""
    on_truncation: Literal["drop", "continue", "raise_limit"] = "drop"
    """What becomes of an attempt that max_tokens cut: nothing, it goes on from its text, or it is drawn again with
    twice the limit."""
    truncation_limit: int | None = Field(None, ge=1)
    """The most tokens that an attempt which was cut may have; null: four times its max_tokens."""
    include_reference: bool = True
    """Score `metadata.reference` too where it exists and a formatter compares (dpo, best_of_n)."""


class Price(Settings):
    """Money per million tokens."""

    prompt: float = Field(0.0, ge=0)
    completion: float = Field(0.0, ge=0)


class Backend(Settings):
    """One sampler."""

    type: str = "openai-compatible-api"
    model: str = "DeepSeek-R1"
    base_url: list[str] | None = None
    """A URL or a list of URLs (the least busy one is used), or `embedded`; null: https://api.openai.com/v1."""
    api_key: SecretStr = SecretStr("")
    headers: Headers = {}
    """Sent with every request (Azure's api-key, a gateway's own); the values are secrets and are not saved."""
    model_path: str | None = None
    """vllm-offline: a folder with a model, or its name on the Hugging Face hub."""
    num_gpus: int | None = Field(None, ge=1)
    """vllm-offline: how many to use; null: all. Without a GPU: how many engines, null: one."""
    tensor_parallel_size: int = Field(1, ge=1)
    """vllm-offline: the GPUs of one engine."""
    max_model_len: int | None = Field(None, ge=1)
    """vllm-offline: the most tokens of a prompt and its completion together; null: what the model was made for."""
    dtype: str | None = None
    """vllm-offline: bfloat16, float16, float32; null: the model's own."""
    engine_params: Params = {}
    """vllm-offline: any other argument of the engine (gpu_memory_utilization, quantization, max_num_seqs …)."""
    chat_template: str | None = None
    """vllm-offline: a file with a Jinja chat template; null: the model's own."""
    reasoning_parser: str | None = None
    """vllm-offline: vLLM's parser that tells thinking from reply (deepseek_r1, qwen3 …); null: by the think tags."""
    temperature: float | None = Field(0.7, ge=0)
    """null: not sent, for models that refuse it."""
    top_p: float | None = Field(1.0, gt=0, le=1)
    """null: not sent."""
    max_tokens: int = Field(2048, ge=1)
    concurrent_requests: int = Field(50, ge=1)
    """The most requests in flight; fewer where the servers turn them away or let them queue."""
    requests_per_minute: float | None = Field(None, gt=0)
    """null: no limit but the server's own."""
    tokens_per_minute: float | None = Field(None, gt=0)
    """Of prompts and completions together; null: no limit but the server's own."""
    timeout: float = Field(300, gt=0)
    """Seconds for one request, from its sending to the last byte of its answer."""
    max_retries: int = Field(10, ge=0)
    """How often one request is sent again after a failure of the server."""
    drop_truncated: bool = True
    """Leave out the text of a truncated attempt; kept or not, it is never a rollout."""
    extra_params: Params = {}
    """Passed through to the server (reasoning_effort, top_k, chat_template_kwargs …)."""
    price: Price = Price()
    batch_requests: int = Field(50_000, ge=1)
    """openai-batch: the most requests of one file."""
    batch_files: bool = False
    """openai-batch: only write the files of requests, and read the answers that someone puts beside them."""
    poll_interval: float = Field(60, gt=0)
    """openai-batch: the most seconds from one look at a batch to the next, and how long to wait for further requests
    before a file is closed."""

    @field_validator("base_url", mode="before")
    @classmethod
    def _one_url_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class MixtureMember(Backend):
    """One of several samplers. What it does not set it has from the section around it."""

    share: float = Field(1.0, gt=0)
    """How much of the attempts it draws, in proportion to the others."""

    @model_validator(mode="after")
    def _has_no_price_of_its_own(self) -> MixtureMember:
        if "price" in self.model_fields_set:
            raise ValueError("one price is reckoned with for all: set it beside `type: mixture` and its `members`")
        return self


class SamplerSettings(Backend):
    members: list[MixtureMember] = []
    """Of the type `mixture`: the samplers that draw the attempts together."""

    @model_validator(mode="after")
    def _a_mixture_has_members(self) -> SamplerSettings:
        if (self.type == MIXTURE) != bool(self.members):
            raise ValueError("`type: mixture` and `members` go together")
        if self.batch_files and self.type not in (BATCH, MIXTURE):
            raise ValueError(f"`batch_files` is for `type: {BATCH}`")
        if any(member.type == MIXTURE for member in self.members):
            raise ValueError("a mixture can't be a member of another: name its members here")
        return self

    def each(self) -> list[SamplerSettings]:
        """The members of a mixture in full, else this one."""
        return [self.in_full(member) for member in self.members] or [self]

    def in_full(self, member: MixtureMember) -> SamplerSettings:
        """A member as a sampler of its own, with what it has from this section."""
        own = {name: getattr(member, name) for name in member.model_fields_set - {"share"}}
        return self.model_copy(update={"members": [], "type": member.type, **own})


class VerifierSettings(Component):
    type: str = "math-rlvr"
    score_type: Literal["float"] = "float"
    """Accepted for old configs; every score is a float."""
    time_limit: float = Field(10.0, gt=0)
    """Seconds for one reply; then its status is timeout."""
    memory_limit_mb: int = Field(2048, ge=256)
    """Address space of one worker beyond what it starts with."""
    workers: int | None = Field(None, ge=1)
    """Worker processes; null: one per core."""


class FormatterSettings(Component):
    type: str = "sft"
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """The folder under train/; null: the type."""


class FilterSettings(Component):
    """A filter, and its options."""

    name: str | None = None
    """What it is called in counts and reports; null: the type."""


class Shard(Settings):
    size: int = Field(10000, ge=1)
    """Prompts per shard."""


class Limits(Settings):
    """The shares, from 0 to 1, beyond which a guard warns and beyond which it stops; null: never."""

    warn: float | None = Field(None, ge=0, le=1)
    """Warn beyond this share."""
    stop: float | None = Field(None, ge=0, le=1)
    """Stop beyond this share, with exit code 3."""


class GuardSettings(Settings):
    """Shares that stop a run or are told. Each looks at the last hundred prompts or so, every prompt counting once."""

    truncation: Limits = Limits(warn=0.2, stop=0.5)
    """Completions cut at max_tokens."""
    errors: Limits = Limits(warn=0.1, stop=0.5)
    """Attempts that failed for good."""
    empty: Limits = Limits(warn=0.1, stop=0.5)
    """Completions without a reply: empty, filtered, or nothing but thinking."""
    no_answer: Limits = Limits(warn=0.3, stop=0.8)
    """Replies in which the verifier finds no answer."""
    unscored: Limits = Limits(warn=0.2, stop=0.5)
    """Replies that the verifier could not score."""
    no_pass: Limits = Limits(warn=0.95)
    """Scored replies that do not pass."""
    identical: Limits = Limits(stop=0.9)
    """Prompts that all get one and the same response."""
    repeated: Limits = Limits(warn=0.5)
    """Responses that say again, word for word, what the same prompt has got before."""

    @field_validator("*", mode="before")
    @classmethod
    def _one_limit_leaves_the_other(cls, value: Any, info: ValidationInfo) -> Any:
        default = cls.model_fields[info.field_name or ""].default
        return default.model_dump() | value if isinstance(value, dict) else value


class Config(Settings):
    data: Data
    work_dir: str | None = None
    """null: output/YYYYMMDD_HHMMSS/"""
    sampling: Sampling = Sampling()
    sampler: SamplerSettings = SamplerSettings()
    verifier: VerifierSettings = VerifierSettings()
    filters: list[FilterSettings] = []
    """What formatters do not see, and early stop does not count: a pass that is filtered is no pass."""
    formatter: list[FormatterSettings] = [FormatterSettings()]
    """None of them ([]): nothing is written into train/, as for an evaluation."""
    guards: GuardSettings = GuardSettings()
    shard: Shard = Shard()

    @model_validator(mode="after")
    def _a_cost_needs_prices(self) -> Config:
        price = self.sampler.price
        verifiers = [self.verifier.options, *(self.verifier.options.get("members") or [])]
        judges = any(isinstance(item, dict) and item.get("price") for item in verifiers)
        if self.sampling.cost_budget is not None and not (price.prompt or price.completion or judges):
            raise ValueError("sampling.cost_budget has no prices to reckon with: set sampler.price")
        return self

    @model_validator(mode="after")
    def _formatter_names_differ(self) -> Config:
        given = [item.name for item in self.formatter if item.name]
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise ValueError(f"formatter: the name {twice[0]!r} is given twice")
        return self

    def formatter_names(self) -> list[str]:
        """The name of each formatter, in order: the one given, else its type, numbered from the second on."""
        return _names(self.formatter)

    def filter_names(self) -> list[str]:
        """The name of each filter, in the same way."""
        return _names(self.filters)


def _names(components: Sequence[FormatterSettings | FilterSettings]) -> list[str]:
    taken = {item.name for item in components if item.name}
    result: list[str] = []
    for item in components:
        name, base, number = item.name, _file_name(item.type), 1
        while name is None or (name != item.name and name in taken):
            name = base if number == 1 else f"{base}_{number}"
            number += 1
        taken.add(name)
        result.append(name)
    return result


def _file_name(type_name: str) -> str:
    """`my_formatter.py:Pairs` writes into train/Pairs."""
    return type_name.rpartition(":")[2]
