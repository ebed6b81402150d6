"""What a stage depends on, part by part, so that `rsr status` can say which of them has changed.

Whether a stage is up to date is decided by its fingerprint. The parts are recorded beside it, and told without running
any code of a plug-in: a user's own counts with its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rsr_cli import __version__
from rsr_cli.config.settings import Component, Config
from rsr_cli.fingerprints import digest
from rsr_cli.plugins import registry
from rsr_cli.secrecy import names_secret, without_secrets
from rsr_cli.store import shards
from rsr_cli.store.work_dir import WorkDir

_UNKNOWN = ""
"""A part that can't be told now: no reason to call a stage stale."""

CHANGES = {
    "input": "the input has changed",
    "data": "the settings of data have changed",
    "transform": "the transform has changed",
    "sampling": "the settings of sampling have changed",
    "sampler": "the model or its parameters have changed",
    "verifier": "the verifier has changed",
    "formatters": "the formatters or their options have changed",
    "filters": "the filters or their options have changed",
    "prompts": "the prompts or their golds have changed",
    "rollouts": "the rollouts have changed",
    "scores": "the verdicts have changed",
    "price": "the prices have changed",
    "rsr": "it was made by another version of rsr",
}
"""What is said of a stage when a part is not what it was."""
_OF = {
    "prepare": ("input", "data", "transform"),
    "sample": ("sampling", "sampler", "verifier", "formatters", "filters", "prompts"),
    "verify": ("verifier", "prompts", "rollouts"),
    "format": ("formatters", "filters", "prompts", "rollouts", "scores"),
    "analyze": ("sampling", "price", "formatters", "filters", "prompts", "rollouts", "scores", "rsr"),
}


def parts(stage: str, config: Config, work_dir: WorkDir) -> dict[str, str]:
    """Return a digest of each part that the stage depends on, by name."""
    numbers = work_dir.shards()
    return {name: _PARTS[name](config, work_dir, numbers) for name in _OF[stage]}


def changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return what has changed, in words."""
    return [CHANGES[name] for name, value in now.items() if before.get(name) and value and before[name] != value]


def _input(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    paths = [Path(item.path).expanduser() for item in config.data.input_path if not item.path.startswith("hf://")]
    if not all(path.is_file() for path in paths):
        return _UNKNOWN  # prepare takes data/ as it is then
    return digest([registry.file_digest(path) for path in paths])


def _data(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    data = config.data.model_dump(mode="json")
    for item in data["input_path"]:
        item.pop("path")
    data["preprocess"].pop("transform")
    return digest([data, config.shard.size])


def _transform(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    transform = config.data.preprocess.transform
    return "none" if transform is None else _own_code(transform)


def _sampling(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return digest(config.sampling.model_dump(mode="json"))


def _sampler(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    names = ("model", "model_path", "temperature", "top_p", "max_tokens")
    return digest(
        [
            [{name: getattr(item, name) for name in names}, without_secrets(item.extra_params), item.drop_truncated]
            for item in config.sampler.each()
        ]
    )


def _verifier(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return _component("verifier", config.verifier.type, config.verifier.options)


def _formatters(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return digest([_component("formatter", item.type, item.options) for item in config.formatter])


def _filters(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return digest([_component("filter", item.type, item.options) for item in config.filters])


def _component(kind: registry.Kind, name: str, options: dict[str, Any]) -> str:
    """A plug-in with its options; files that they name count with their content."""
    own = ".py:" in name
    left_out = () if own else getattr(registry.find(kind, name), "no_verdict_change", ())
    kept = {key: _value(value) for key, value in options.items() if key not in left_out and not names_secret(key)}
    code = _own_code(name) if own else registry.code_digest(kind, name)
    return digest([registry.identity(name), kept, code]) if code else _UNKNOWN


def _value(value: Any) -> Any:
    if isinstance(value, Component):
        return _component("verifier", value.type, value.options)
    if isinstance(value, dict):
        inner = {key: _value(item) for key, item in value.items() if not names_secret(str(key))}
        own = value.get("type")
        return [inner, _own_code(own)] if isinstance(own, str) and ".py:" in own else inner
    if isinstance(value, list | tuple):
        return [_value(item) for item in value]
    if isinstance(value, str) and value.startswith("/") and Path(value).is_file():
        return registry.file_digest(Path(value))
    return without_secrets(value)


def _own_code(spec: str) -> str:
    path = Path(spec.rpartition(":")[0])
    return registry.file_digest(path) if path.is_file() else _UNKNOWN


def _prompts(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return digest([shards.digest(work_dir.data(n)) for n in numbers])


def _rollouts(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return digest([work_dir.rollouts_digest(n) for n in numbers])


def _scores(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return digest([work_dir.scores_digest(n) for n in numbers])


def _price(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return digest([config.sampler.price.model_dump(), list(_all_of("price", config.verifier.options))])


def _all_of(key: str, value: Any) -> Iterator[Any]:
    """What stands under this key, however deep: a verifier may have members."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from [item] if name == key else _all_of(key, item)
    elif isinstance(value, list):
        for item in value:
            yield from _all_of(key, item)


def _rsr(config: Config, work_dir: WorkDir, numbers: Sequence[int]) -> str:
    return __version__


_PARTS: dict[str, Callable[[Config, WorkDir, Sequence[int]], str]] = {
    "input": _input,
    "data": _data,
    "transform": _transform,
    "sampling": _sampling,
    "sampler": _sampler,
    "verifier": _verifier,
    "formatters": _formatters,
    "filters": _filters,
    "prompts": _prompts,
    "rollouts": _rollouts,
    "scores": _scores,
    "price": _price,
    "rsr": _rsr,
}
