"""Build the sampler of a config: by its type, several in a mixture, each with the truncation ladder over it."""

from __future__ import annotations

from pathlib import Path

from rsr_cli.config.settings import SamplerSettings, Sampling
from rsr_cli.errors import ConfigError
from rsr_cli.plugins import registry
from rsr_cli.plugins.boundary import boundary
from rsr_cli.plugins.contracts import Sampler
from rsr_cli.samplers.mixture import Mixture
from rsr_cli.samplers.truncation import TruncationLadder


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
    plugin = registry.find("sampler", settings.type)
    own = settings.model_copy(update=keeps_truncated)
    with boundary("sampler", plugin):
        base: Sampler = plugin(own, sampling.seed)
        if not hasattr(base, "settings"):  # a class with an `__init__` of its own; the defaults rely on it
            base.settings = own
        if folder is not None:
            base.work_in(folder)
    if sampling.on_truncation == "drop":
        return base
    if type(base).extend is Sampler.extend:
        raise ConfigError(
            f"sampling.on_truncation: {sampling.on_truncation} can't be done with the sampler {settings.type}: "
            "it has no method extend"
        )
    return TruncationLadder(base, settings, sampling)


def draws_whole_steps(settings: SamplerSettings) -> bool:
    """Return whether the sampler, or a member of it, takes so long that a step is better asked for as a whole."""
    return any(registry.find("sampler", member.type).whole_steps for member in settings.each())
