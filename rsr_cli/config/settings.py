"""The typed settings: every key of a config, its type, its default and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from rsr_cli.config.scalars import resolve_plain

Params = Annotated[dict[str, Any], BeforeValidator(resolve_plain)]


class Settings(BaseModel):
    """A section: unknown keys are refused, values are coerced to the type of their key."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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
    """The most steps of a prompt; more than max_rollouts / step_size leaves room for truncated attempts."""
    early_stop: bool = True
    """Stop a prompt as soon as every formatter has what it needs of it."""
    seed: int | None = None
    """Seeds every request from (seed, prompt id, attempt); null sends no seed."""
    include_reference: bool = True
    """Score `metadata.reference` too where it exists and a formatter compares (dpo, best_of_n)."""


class Price(Settings):
    """Money per million tokens."""

    prompt: float = Field(0.0, ge=0)
    completion: float = Field(0.0, ge=0)


class SamplerSettings(Settings):
    type: str = "openai-compatible-api"
    model: str = "DeepSeek-R1"
    base_url: list[str] | None = None
    """A URL or a list of URLs (the least busy one is used), or `embedded`; null: https://api.openai.com/v1."""
    api_key: SecretStr = SecretStr("")
    model_path: str | None = None
    num_gpus: int | None = Field(None, ge=1)
    temperature: float | None = Field(0.7, ge=0)
    """null: not sent, for models that refuse it."""
    top_p: float | None = Field(1.0, gt=0, le=1)
    """null: not sent."""
    max_tokens: int = Field(2048, ge=1)
    concurrent_requests: int = Field(50, ge=1)
    timeout: float = Field(300, gt=0)
    """Seconds for one request, from its sending to the last byte of its answer."""
    max_retries: int = Field(10, ge=0)
    """How often one request is sent again after a failure of the server."""
    drop_truncated: bool = True
    """Leave out the text of a truncated attempt; kept or not, it is never a rollout."""
    extra_params: Params = {}
    """Passed through to the server (reasoning_effort, top_k, chat_template_kwargs …)."""
    price: Price = Price()

    @field_validator("base_url", mode="before")
    @classmethod
    def _one_url_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


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


class Shard(Settings):
    size: int = Field(10000, ge=1)
    """Prompts per shard."""


class Config(Settings):
    data: Data
    work_dir: str | None = None
    """null: output/YYYYMMDD_HHMMSS/"""
    sampling: Sampling = Sampling()
    sampler: SamplerSettings = SamplerSettings()
    verifier: VerifierSettings = VerifierSettings()
    formatter: Annotated[list[FormatterSettings], Field(min_length=1)] = [FormatterSettings()]
    shard: Shard = Shard()

    @model_validator(mode="after")
    def _formatter_names_differ(self) -> Config:
        given = [item.name for item in self.formatter if item.name]
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise ValueError(f"formatter: the name {twice[0]!r} is given twice")
        return self

    def formatter_names(self) -> list[str]:
        """The name of each formatter, in order: the one given, else its type, numbered from the second on."""
        taken = {item.name for item in self.formatter if item.name}
        result: list[str] = []
        for item in self.formatter:
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
