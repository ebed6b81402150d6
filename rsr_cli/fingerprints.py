"""What each output depends on: one digest for each kind of file, one table of what is left out of them.

An output is up to date where its fingerprint is the recorded one. The digests of rows belong to the files themselves
(`store`), those of code to `plugins.registry`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rsr_cli import __version__
from rsr_cli.config.settings import Component, Config, SamplerSettings
from rsr_cli.plan import Plan
from rsr_cli.plugins import registry
from rsr_cli.scoring.verifier_tree import VerifierTree
from rsr_cli.secrecy import names_secret, without_secrets
from rsr_cli.store import shards
from rsr_cli.store.inputs import input_file
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.verifiers.judging.ledger import read_ledger

VERSION = 2
"""Raised where a fingerprint of the same config and files would change: what it covers is made again once."""

LEFT_OUT = {
    "sampler.base_url, api_key, headers": "where the model is served does not change what it is",
    "sampler.timeout, max_retries, concurrent_requests, …_per_minute": "they change when answers come, not which",
    "sampler.price, guards": "they change figures and warnings, no attempt",
    "verifier.time_limit, memory_limit_mb, workers": "a verdict that they prevent is unknown, and is asked for again",
    "options in a verifier's no_verdict_change": "its author says that they cannot change a verdict",
    "secrets, whatever came from a reference": "they must not be recovered from a digest, and may be renewed",
    "paths of inputs, transforms and plug-ins": "their content counts, so a project may be moved",
}
"""What no fingerprint covers, and why."""


def of_prompts(config: Config, has_transform: bool) -> str:
    """What `data/` depends on: the input files, the transform's file, the options that shape the prompts."""
    data = config.data.model_dump(mode="json")
    inputs = [_input(item.path) for item in config.data.input_path]
    transform = config.data.preprocess.transform
    code = registry.file_digest(Path(transform.rpartition(":")[0])) if transform and has_transform else ""
    for item in data["input_path"]:
        item.pop("path")
    data["preprocess"].pop("transform")
    if data["limit"] is None:
        data.pop("limit")  # as in work dirs of version 0.1, which had none
    return digest([data, inputs, code, config.shard.size])


def of_rollouts(plan: Plan, work_dir: WorkDir, numbers: list[int]) -> str:
    """What `rollout/` depends on: all that can make a group need more attempts, or other ones."""
    settings = plan.config.sampler
    sampler = identity(settings) | {
        "max_tokens": [backend.max_tokens for backend in settings.each()],
        "drop_truncated": settings.drop_truncated,
    }
    verifier = of_verifier(plan) if plan.scores_while_sampling else None
    data = [shards.digest(work_dir.data(number)) for number in numbers]
    return digest([plan.config.sampling.model_dump(mode="json"), sampler, _choice(plan), verifier, data])


def of_verifier(plan: Plan) -> str:
    """What verdicts depend on beside their texts and golds: the verifier, its options, its code, and whether the
    reference stands beside the rollouts."""
    return shards.combined([_of_tree(plan.verifier), str(plan.with_reference)])


def of_training_rows(plan: Plan, work_dir: WorkDir, numbers: list[int], columns: Any) -> dict[str, dict[int, str]]:
    """What the shards of `train/` depend on, per formatter and shard; `columns`: what all messages need a place for."""
    filters = [_component("filter", item) for item in plan.config.filters]
    inputs = {number: [*_inputs(work_dir, number), *filters] for number in numbers}
    result = {}
    for name, item in zip(plan.formatters, plan.config.formatter, strict=True):
        own = _component("formatter", item)
        result[name] = {number: digest([*own, inputs[number], columns]) for number in numbers}
    return result


def of_summary(plan: Plan, work_dir: WorkDir, numbers: list[int]) -> str:
    """What `summary/` depends on."""
    judges = {name: asdict(item) for name, item in read_ledger(work_dir.cache()).items()}
    prices = [plan.config.sampler.price, *(judge.price for judge in plan.verifier.llm_judges())]
    settings = [plan.config.sampling.model_dump(), [price.model_dump() for price in prices], judges]
    rows = [shards.digest(work_dir.train / name / work_dir.data(n).name) for name in plan.formatters for n in numbers]
    return digest([__version__, [_inputs(work_dir, number) for number in numbers], settings, _choice(plan), rows])


def identity(settings: SamplerSettings, *, by_value: bool = False) -> dict[str, Any]:
    """Return what must not change between the rollouts of a work dir: the model and its sampling parameters.

    References count as they are written, or (`by_value`) with what they stand for, as the first version had it.
    """
    extra_params = json.loads(json.dumps(settings.extra_params)) if by_value else settings.extra_params
    params = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "extra_params": without_secrets(extra_params),
    }
    if settings.members:
        params["members"] = [
            {"share": member.share, **identity(settings.in_full(member), by_value=by_value)}
            for member in settings.members
        ]
    return {"model": settings.model_path or settings.model, "params": params}


def _of_tree(tree: VerifierTree) -> str:
    settings, made = tree.settings, tree.made
    left_out = {*getattr(made, "no_verdict_change", ()), "members"}
    kept: dict[str, Any] = {
        name: value for name, value in settings.options.items() if name not in left_out and not names_secret(name)
    }
    for name in getattr(made, "file_options", ()):
        if kept.get(name):
            kept[name] = registry.file_digest(Path(kept[name]).expanduser())
    kept = without_secrets(kept)
    code = registry.code_digest("verifier", settings.type)
    parts = [str(VERSION), registry.identity(settings.type), repr(sorted(kept.items())), code]
    if tree.members:
        parts.append(repr([(name, member.part) for name, member in made.named()]))  # type: ignore[union-attr]
        parts += [_of_tree(member) for member in tree.members.values()]
    return shards.combined(parts)


def _choice(plan: Plan) -> list[Any]:
    """What decides which rollouts become training rows: the filters and the formatters."""
    filters = [_component("filter", item) for item in plan.config.filters]
    formatters = [_component("formatter", item) for item in plan.config.formatter]
    return [VERSION, filters, formatters]


def _component(kind: registry.Kind, item: Component) -> list[Any]:
    return [registry.identity(item.type), without_secrets(item.options), registry.code_digest(kind, item.type)]


def _inputs(work_dir: WorkDir, number: int) -> list[str]:
    return [shards.digest(work_dir.data(number)), work_dir.rollouts_digest(number), work_dir.scores_digest(number)]


def _input(path: str) -> str:
    return path if path.startswith("hf://") else registry.file_digest(input_file(path))


def digest(value: Any) -> str:
    """Return a digest of plain data."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
