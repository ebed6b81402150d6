"""Samples with vLLM engines of our own, no server between: one in a process, several in Ray actors."""

from __future__ import annotations

import importlib.util
import os
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsr_cli.config.settings import SamplerSettings
from rsr_cli.errors import BackendError, ConfigError
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.runtime.as_completed import as_completed
from rsr_cli.samplers.continuing import CONTINUING_FIELDS, continued, open_message, redrawn
from rsr_cli.samplers.engines.gpus import count_gpus
from rsr_cli.samplers.engines.messages import Drawn, DrawRequest, Engine, EngineSpec, Refused
from rsr_cli.samplers.engines.plugin import WANTED
from rsr_cli.samplers.engines.pool import EnginePool
from rsr_cli.samplers.params import OWN_FIELDS, Params, common_params, request_params
from rsr_cli.samplers.seeds import attempt_seed
from rsr_cli.types import Completion, Prompt

_OWN_ENGINE_PARAMS = {
    "model": "use sampler.model_path",
    "tensor_parallel_size": "use sampler.tensor_parallel_size",
    "data_parallel_size": "use sampler.num_gpus: there is an engine for each tensor_parallel_size of them",
    "max_model_len": "use sampler.max_model_len",
    "dtype": "use sampler.dtype",
    "seed": "use sampling.seed: with a fixed one a resumed run would draw the same again",
}
"""The arguments of an engine that have a setting of their own, and what to do instead."""
_ENVIRONMENT = {
    WANTED: "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
"""What vLLM finds in its environment where the user has set nothing else."""
_DEFAULT_CONCURRENCY = SamplerSettings.model_fields["concurrent_requests"].default


class VllmOffline(Sampler):
    """Every attempt is a request of its own: vLLM would split a request for several anyway, a finished
    attempt need not wait for its siblings, and the prompt they share is computed once (prefix caching).

    Nothing of vLLM is imported here: the engines have processes of their own.
    """

    def __init__(self, settings: SamplerSettings, run_seed: int | None = None) -> None:
        """Raises ConfigError."""
        _check(settings)
        self._settings = settings
        self._run_seed = run_seed
        self._common = common_params(settings)
        self._model = Path(settings.model_path or "").name if _is_folder(settings) else str(settings.model_path)
        self._pool: EnginePool | None = None

    async def __aenter__(self) -> VllmOffline:
        """Starts the engines. Raises BackendError."""
        spec = self._spec()
        engines = await self._engine_count()
        if engines == 1 and "RAY_ADDRESS" not in os.environ:
            from rsr_cli.samplers.engines.process import EngineProcess

            async def start(number: int) -> Engine:
                return await EngineProcess.start(with_new_seed(spec))

        else:
            from rsr_cli.samplers.engines.ray_actor import RayEngines

            rays = RayEngines(engines, self._settings.tensor_parallel_size)

            async def start(number: int) -> Engine:
                return await rays.start(with_new_seed(spec))

        pool = EnginePool(start, engines, self._settings.timeout)
        self._pool = await pool.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._pool is not None:
            await self._pool.__aexit__(*exc)

    @property
    def capacity(self) -> int:
        concurrency = self._settings.concurrent_requests
        return concurrency if self._pool is None or concurrency != _DEFAULT_CONCURRENCY else self._pool.room

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        """One completion per attempt number, in order of arrival. Raises BackendError where the run can't go on."""
        async with aclosing(as_completed(self._attempt(prompt, attempt) for attempt in attempts)) as completions:
            async for completion in completions:
                yield completion

    async def extend(self, prompt: Prompt, cut: Completion, *, max_tokens: int, from_prefix: bool) -> Completion:
        """One more request for an attempt that was cut: from its prefix, or from its start with the same seed.

        The completion is that of the whole attempt, with the tokens and the time of this request added to those of the
        cut one; or one with an `error`. Raises BackendError where the run can't go on.
        """
        params = self._params_of(prompt)
        draw = replace(self._draw_of(prompt, cut.attempt, params), max_tokens=max_tokens)
        if from_prefix:
            messages, fields = [*prompt.messages, open_message(cut)], draw.fields | CONTINUING_FIELDS
            draw = replace(draw, messages=messages, fields=fields)
        more = await self._ask(cut.attempt, draw, params)
        if more.error is not None:
            return more
        return continued(cut, more) if from_prefix else redrawn(cut, more)

    async def _attempt(self, prompt: Prompt, attempt: int) -> Completion:
        try:
            params = self._params_of(prompt)
        except ValueError as error:
            return self._failed(attempt, str(error), self._common)
        return await self._ask(attempt, self._draw_of(prompt, attempt, params), params)

    async def _ask(self, attempt: int, draw: DrawRequest, params: Params) -> Completion:
        assert self._pool is not None, "the sampler was not entered"
        began = time.monotonic()
        drawn = await self._pool.draw(draw)
        if isinstance(drawn, Refused):
            return self._failed(attempt, drawn.reason, params)
        return self._completion(attempt, drawn, draw.seed, params, time.monotonic() - began)

    def _params_of(self, prompt: Prompt) -> Params:
        return request_params(self._settings, prompt) if "sampling" in prompt.metadata else self._common

    def _draw_of(self, prompt: Prompt, attempt: int, params: Params) -> DrawRequest:
        seed = None if self._run_seed is None else attempt_seed(self._run_seed, prompt.id, attempt)
        return DrawRequest(prompt.messages, params.max_tokens, params.fields(), seed)

    def _completion(self, attempt: int, drawn: Drawn, seed: int | None, params: Params, latency_s: float) -> Completion:
        dropped = drawn.finish_reason == "length" and self._settings.drop_truncated
        return Completion(
            attempt=attempt,
            response=None if dropped else drawn.response,
            reasoning=None if dropped else drawn.reasoning,
            finish_reason=drawn.finish_reason,
            model=self._model,
            prompt_tokens=drawn.prompt_tokens,
            completion_tokens=drawn.completion_tokens,
            seed=seed,
            latency_s=latency_s,
            params=params.text,
        )

    def _failed(self, attempt: int, reason: str, params: Params) -> Completion:
        return Completion(
            attempt=attempt,
            response=None,
            finish_reason="error",
            model=self._model,
            error=reason,
            params=params.text,
        )

    def _spec(self) -> EngineSpec:
        settings = self._settings
        own = {
            "model": settings.model_path,
            "tensor_parallel_size": settings.tensor_parallel_size,
            "max_model_len": settings.max_model_len,
            "dtype": settings.dtype,
        }
        args: dict[str, Any] = {"enable_prefix_caching": True, "disable_log_stats": True, "enable_log_requests": False}
        if settings.tensor_parallel_size > 1:
            args["distributed_executor_backend"] = "mp"  # in a Ray actor too: the GPUs are the actor's
        args |= {name: value for name, value in own.items() if value is not None} | settings.engine_params
        return EngineSpec(
            args=args,
            chat_template=_chat_template(settings),
            reasoning_parser=settings.reasoning_parser,
            environment={name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()},
            trial=DrawRequest([], self._common.max_tokens, self._common.fields()),
        )

    async def _engine_count(self) -> int:
        """How many engines there are GPUs for. Without any, num_gpus says how many engines there are on the cores."""
        wanted, of_one = self._settings.num_gpus, self._settings.tensor_parallel_size
        if wanted is None:
            wanted = await count_gpus() or of_one
        if wanted < of_one:
            raise BackendError(
                f"vllm-offline: there are {wanted} GPUs, and sampler.tensor_parallel_size wants {of_one} for one engine"
            )
        return wanted // of_one


def _check(settings: SamplerSettings) -> None:
    """ConfigError where an engine could not be made of these settings, as far as that is seen without vLLM."""
    if not settings.model_path:
        raise ConfigError("sampler.model_path: vllm-offline needs one", "a folder with a model, or a name on the hub")
    path = Path(settings.model_path).expanduser()
    if not path.exists() and (settings.model_path.count("/") != 1 or settings.model_path.startswith((".", "~", "/"))):
        raise ConfigError(f"sampler.model_path: there is no folder {path}")
    if path.is_dir() and not (path / "config.json").exists():
        raise ConfigError(f"sampler.model_path: there is no config.json in {path}: it is no model's folder")
    for name, refused in (("extra_params", OWN_FIELDS), ("engine_params", _OWN_ENGINE_PARAMS)):
        for key in getattr(settings, name):
            if key in refused:
                raise ConfigError(f"sampler.{name}.{key}: this can't be passed through", refused[key])
    if settings.num_gpus is not None and settings.num_gpus % settings.tensor_parallel_size:
        raise ConfigError(
            f"sampler.num_gpus: {settings.num_gpus} is no multiple of sampler.tensor_parallel_size, "
            f"{settings.tensor_parallel_size}"
        )
    _chat_template(settings)
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "sampler.type: vllm-offline needs vLLM, which is not installed", "pip install 'rsr-cli[vllm]'"
        )


def _chat_template(settings: SamplerSettings) -> str | None:
    if settings.chat_template is None:
        return None
    try:
        return Path(settings.chat_template).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"sampler.chat_template: {settings.chat_template} can't be read: {error}") from error


def _is_folder(settings: SamplerSettings) -> bool:
    return Path(settings.model_path or "").expanduser().exists()


def with_new_seed(spec: EngineSpec) -> EngineSpec:
    """With a new seed for each start: vLLM's default is constant, and a resumed run would draw the same again."""
    return replace(spec, args=spec.args | {"seed": secrets.randbelow(2**31)})
