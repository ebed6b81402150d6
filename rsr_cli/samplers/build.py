"""Build the sampler of a config: by its type, several in a mixture, each with the truncation ladder over it."""

from __future__ import annotations

from pathlib import Path

from rsr_cli import registry
from rsr_cli.config.settings import SamplerSettings, Sampling
from rsr_cli.errors import ConfigError
from rsr_cli.samplers.mixture import Mixture
from rsr_cli.samplers.truncation import ExtendingSampler, TruncationLadder
from rsr_cli.types import Sampler


def build(settings: SamplerSettings, sampling: Sampling, folder: Path | None = None) -> Sampler:
    """A sampler that has not been entered. ConfigError where its settings do not go together.

    `folder` is where one that has a method `work_in` keeps its files; each of several has a folder in it.
    """
    if settings.members:
        folders = [folder and folder / str(place) for place in range(len(settings.members))]
        members = [
            (member.share, build(settings.in_full(member), sampling, own))
            for member, own in zip(settings.members, folders, strict=True)
        ]
        return Mixture(members)
    keeps_truncated = {} if sampling.on_truncation == "drop" else {"drop_truncated": False}
    base: ExtendingSampler = registry.find("sampler", settings.type)(
        settings.model_copy(update=keeps_truncated), sampling.seed
    )
    if folder is not None and hasattr(base, "work_in"):
        base.work_in(folder)
    if sampling.on_truncation == "drop":
        return base
    if not callable(getattr(base, "extend", None)):
        raise ConfigError(
            f"sampling.on_truncation: {sampling.on_truncation} can't be done with the sampler {settings.type}: "
            "it has no method extend"
        )
    return TruncationLadder(base, settings, sampling)
