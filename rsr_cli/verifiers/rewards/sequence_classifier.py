"""A reward model in this process: a sequence classifier of transformers, one replica per device."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rsr_cli.errors import ConfigError
from rsr_cli.types import Message
from rsr_cli.verifiers.rewards.conversation import conversation, plain_text, read_template
from rsr_cli.verifiers.rewards.logits import NoScoreError, checked_label
from rsr_cli.verifiers.rewards.token_batches import OutOfMemoryError, TokenBatcher, Tokens

log = logging.getLogger(__name__)

INSTALL = "pip install 'rsr-cli[reward]'"

# A tokenizer that knows no limit says so by an absurd one.
_NO_LIMIT = 10**9
_MEMORY_ERRORS = ("out of memory", "can't allocate memory", "alloc_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """The options of `RewardModel` that a model in this process has; they are documented there."""

    model_path: str
    chat_template: str | None
    dtype: str | None
    devices: list[str] | None
    batch_tokens: int
    max_length: int | None
    label: int | None
    trust_remote_code: bool


class LocalModel:
    """A LogitSource."""

    def __init__(self, settings: LocalSettings) -> None:
        """ConfigError where torch or transformers is missing."""
        missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
        if missing:
            raise ConfigError(f"a reward model in this process needs {' and '.join(missing)}", INSTALL)
        self._settings = settings

    async def __aenter__(self) -> LocalModel:
        """Loads the model; ConfigError where it can't be, or is no reward model."""
        self._encoder, replicas = await asyncio.to_thread(_load, self._settings)
        # One thread: a tokenizer is not to be used from several at a time.
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="reward-tokenizer")
        self._batcher = TokenBatcher(replicas, self._settings.batch_tokens)
        await self._batcher.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._batcher.__aexit__(*exc)
        self._encoding.shutdown()

    async def logits(self, messages: list[Message], reply: str) -> list[float]:
        """One number per label. Raises NoScoreError where the reply is too long, does not fit into memory or fails."""
        chat = conversation(messages, reply)
        try:
            tokens = await asyncio.get_running_loop().run_in_executor(self._encoding, self._encoder, chat)
        except Exception as error:
            raise NoScoreError(f"the chat template refuses the conversation: {error}") from error
        if not 0 < len(tokens) <= self._encoder.max_length:
            raise NoScoreError(f"{len(tokens)} tokens, the model takes {self._encoder.max_length}")
        try:
            return await self._batcher.logits(tokens)
        except OutOfMemoryError:
            raise NoScoreError(f"out of memory with this reply alone: {len(tokens)} tokens") from None
        except Exception as error:
            raise NoScoreError(f"the model failed: {type(error).__name__}: {error}") from error


class Encoder:
    """From a conversation to token ids, by the chat template where there is one."""

    def __init__(self, tokenizer: Any, template: str | None, max_length: int) -> None:
        self.max_length = max_length
        self._tokenizer = tokenizer
        self._template = template or tokenizer.chat_template
        if not self._template:
            log.warning(
                "the reward model has no chat template: it reads `user: …`, a blank line, `assistant: …` "
                "(see verifier.chat_template)"
            )

    def __call__(self, messages: Sequence[Message]) -> Tokens:
        if self._template:
            encoded = self._tokenizer.apply_chat_template(
                list(messages), chat_template=self._template, tokenize=True, return_dict=True, verbose=False
            )
        else:
            encoded = self._tokenizer(plain_text(messages), verbose=False)
        ids: list[int] = encoded["input_ids"]
        return ids


class Replica:
    """One copy of the model on one device. Called with a batch of token ids; returns logits (batch, labels)."""

    def __init__(self, model: Any, device: str) -> None:
        self._model = model.to(device).eval()
        self._device = device
        self._config = model.config.get_text_config()
        # Only a generation reads the cache again; here it would take memory for nothing.
        self._config.use_cache = False
        pad = self._config.pad_token_id
        self._pads = pad is not None and 0 <= pad < self._config.vocab_size

    def __call__(self, batch: Sequence[Tokens]) -> list[list[float]]:
        try:
            return self._forward(batch)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        # Outside of the handler: while that lasts, the error's traceback keeps the batch's tensors alive.
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
        raise OutOfMemoryError

    def _forward(self, batch: Sequence[Tokens]) -> list[list[float]]:
        import torch

        shape = len(batch), max(map(len, batch))
        ids = torch.full(shape, self._padding(batch))
        mask = torch.zeros(shape, dtype=torch.long)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        with torch.inference_mode():
            output = self._model(input_ids=ids.to(self._device), attention_mask=mask.to(self._device))
        rows: list[list[float]] = output.logits.float().cpu().tolist()
        return rows

    def _padding(self, batch: Sequence[Tokens]) -> int:
        """The id to pad with.

        A decoder scores at the last token that is no padding. A model without a padding token was trained to score at
        the very last one: eos as padding would move the score off the eos that a chat template ends with. So the
        padding of a batch is an id that none of its texts ends with; the attention mask hides it from the model.
        """
        if not self._pads:
            ends = {tokens[-1] for tokens in batch}
            self._config.pad_token_id = next(id_ for id_ in range(self._config.vocab_size) if id_ not in ends)
        return int(self._config.pad_token_id)


def _load(settings: LocalSettings) -> tuple[Encoder, list[Replica]]:
    import torch
    from transformers import AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    template = read_template(settings.chat_template) if settings.chat_template else None
    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.model_path, trust_remote_code=settings.trust_remote_code)
    except Exception as error:
        raise _not_loaded(settings, "tokenizer", error) from error
    devices = settings.devices or [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["cpu"]
    models = [_load_model(settings, device) for device in devices]
    config = models[0].config
    checked_label(config.num_labels, settings.label)
    limits = (tokenizer.model_max_length, getattr(config.get_text_config(), "max_position_embeddings", None))
    known = [limit for limit in limits if limit and 0 < limit < _NO_LIMIT]
    encoder = Encoder(tokenizer, template, settings.max_length or min(known, default=_NO_LIMIT))
    try:
        return encoder, [Replica(model, device) for model, device in zip(models, devices, strict=True)]
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"verifier.devices: the model can't be put on {', '.join(devices)}: {_first_line(error)}",
            "a GPU that is full, or not there? name others in verifier.devices, or [cpu]",
        ) from error


def _load_model(settings: LocalSettings, device: str) -> Any:
    """A sequence classifier; ConfigError where the checkpoint is none."""
    from transformers import AutoModelForSequenceClassification

    # On a CPU half precision is slow, and on some not there at all.
    dtype = settings.dtype or ("float32" if device == "cpu" else "auto")
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            settings.model_path, dtype=dtype, trust_remote_code=settings.trust_remote_code, output_loading_info=True
        )
    except Exception as error:
        raise _not_loaded(settings, "model", error) from error
    # transformers fills in what a checkpoint lacks with random numbers, and only warns.
    if lacking := sorted(report["missing_keys"]):
        raise ConfigError(
            f"verifier.model_path: {settings.model_path} is no reward model: it has no weights for {lacking[0]}",
            "give the checkpoint of a sequence classifier (*ForSequenceClassification)",
        )
    return model


def _not_loaded(settings: LocalSettings, what: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"verifier.model_path: the {what} of {settings.model_path} can't be loaded: "
        f"{type(error).__name__}: {_first_line(error)}",
        "give the folder or the hub name of a *ForSequenceClassification model, with its tokenizer",
    )


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY_ERRORS)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
