"""The sampling parameters of a request: the sampler's settings, overlaid with the prompt's own `metadata.sampling`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rsr_cli.config.settings import SamplerSettings
from rsr_cli.secrecy import without_secrets
from rsr_cli.types import Prompt

OWN_FIELDS = {
    "model": "use sampler.model",
    "messages": "it is the prompt's; see data.preprocess",
    "n": "use sampling.step_size",
    "temperature": "use sampler.temperature",
    "top_p": "use sampler.top_p",
    "max_tokens": "use sampler.max_tokens",
    "max_completion_tokens": "use sampler.max_tokens: the name that the server wants is found out",
    "seed": "use sampling.seed",
    "stream": "answers are taken whole; leave it out",
}
"""The fields of a request that have a setting of their own, or that rsr decides on, and what to do instead."""

_OF_A_PROMPT = {"temperature", "top_p", "max_tokens"}


@dataclass(frozen=True, slots=True)
class Params:
    """What a request is sampled with. A temperature or top_p of None is not sent.

    `text` is the JSON that stands in the row: the same, with secrets left out.
    """

    temperature: float | None
    top_p: float | None
    max_tokens: int
    extra: dict[str, Any]
    text: str

    def fields(self) -> dict[str, Any]:
        """The fields of a request, without the limit, which has a name of its own on every backend."""
        own = {"temperature": self.temperature, "top_p": self.top_p}
        return {name: value for name, value in own.items() if value is not None} | self.extra


def common_params(settings: SamplerSettings) -> Params:
    """The parameters of every prompt that sets none of its own."""
    return _params(settings.temperature, settings.top_p, settings.max_tokens, settings.extra_params)


def request_params(settings: SamplerSettings, prompt: Prompt) -> Params:
    """The parameters of one prompt. ValueError says what is wrong with its `metadata.sampling`."""
    overrides = prompt.metadata.get("sampling")
    if overrides is None:
        return common_params(settings)
    problem = sampling_problem(overrides)
    if problem:
        raise ValueError(problem)
    others = {name: value for name, value in overrides.items() if name not in _OF_A_PROMPT}
    extra = {
        name: value for name, value in (settings.extra_params | others).items() if others.get(name, value) is not None
    }
    return _params(
        overrides.get("temperature", settings.temperature),
        overrides.get("top_p", settings.top_p),
        overrides.get("max_tokens", settings.max_tokens),
        extra,
    )


def sampling_problem(overrides: Any) -> str | None:
    """What is wrong with a `metadata.sampling`, None where it is right. Null takes a field away."""
    if overrides is None:
        return None
    if not isinstance(overrides, dict):
        return f"metadata.sampling is a {type(overrides).__name__}, not an object"
    for name in overrides:
        if name in OWN_FIELDS and name not in _OF_A_PROMPT:
            return f"metadata.sampling.{name} can't be set for one prompt: {OWN_FIELDS[name]}"
    if "extra_params" in overrides:
        return "metadata.sampling.extra_params is not a field of a request: put what it holds into metadata.sampling"
    temperature, top_p = overrides.get("temperature"), overrides.get("top_p")
    if temperature is not None and not (_is_number(temperature) and temperature >= 0):
        return f"metadata.sampling.temperature is no number of 0 or more: {temperature!r:.60}"
    if top_p is not None and not (_is_number(top_p) and 0 < top_p <= 1):
        return f"metadata.sampling.top_p is no number above 0 and up to 1: {top_p!r:.60}"
    max_tokens = overrides.get("max_tokens", 1)
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
        return f"metadata.sampling.max_tokens is no whole number of 1 or more: {max_tokens!r:.60}"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _params(temperature: float | None, top_p: float | None, max_tokens: int, extra: dict[str, Any]) -> Params:
    shown = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "extra_params": extra}
    return Params(temperature, top_p, max_tokens, extra, json.dumps(without_secrets(shown), sort_keys=True))
