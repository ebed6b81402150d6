"""When a group has ended and what a pass is, from the config."""

from __future__ import annotations

from collections.abc import Callable

from rsr_cli.config.settings import MIXTURE, Config
from rsr_cli.plugins import registry
from rsr_cli.plugins.boundary import boundary
from rsr_cli.plugins.contracts import Formatter
from rsr_cli.sampling.allocation import Passes
from rsr_cli.sampling.fold import Rules
from rsr_cli.scoring.build import compares
from rsr_cli.stages.session import build_filtering, build_formatters, threshold_values
from rsr_cli.types import Group


def group_rules(config: Config) -> Rules:
    sampling = config.sampling
    satisfied = _satisfied(config)
    return Rules(
        sampling.max_rollouts,
        sampling.step_size,
        sampling.max_steps,
        satisfied,
        whole_steps=satisfied is not None and (compares(config.verifier) or _draws_in_batches(config)),
        whole_first_step=sampling.allocation == "prop2diff",
        worth=target(config).worth if sampling.allocation == "adaptive" else None,
    )


def _draws_in_batches(config: Config) -> bool:
    """An answer takes a sampler so long that a step is asked for as a whole."""
    types = {settings.type for settings in (config.sampler, *config.sampler.members)} - {MIXTURE}
    return any(registry.find("sampler", name).whole_steps for name in types)


def _satisfied(config: Config) -> Callable[[Group], bool] | None:
    allocation = config.sampling.allocation
    if allocation == "prop2diff":
        return target(config).prop2diff
    if allocation != "fixed":
        return target(config).uniform
    targets = [item for item in build_formatters(config).values() if item.has_target]
    if not targets or not config.sampling.early_stop:
        return None

    filtering = build_filtering(config)

    def satisfied(group: Group) -> bool:
        kept = filtering.kept(group)
        return all(_is_satisfied(item, kept) for item in targets)

    return satisfied


def _is_satisfied(formatter: Formatter, group: Group) -> bool:
    with boundary("formatter", formatter, f"the prompt {group.prompt.id!r}"):
        return bool(formatter.is_satisfied(group))


def target(config: Config) -> Passes:
    """The passes that a prompt is to have."""
    passes, _ = thresholds(config)
    kept = build_filtering(config).kept
    return Passes(passes, config.sampling.target_passes, config.sampling.step_size, kept)


def thresholds(config: Config) -> tuple[Callable[[float], bool], Callable[[float], bool]]:
    """Whether a score is that of a pass, or of a fail."""
    pass_at, fail_at = threshold_values(config)
    return (lambda score: score >= pass_at), (lambda score: score <= fail_at)


def stops_by_outcome(config: Config) -> bool:
    """Verdicts decide how many attempts a prompt gets. They do not where a formatter takes the best of all there are:
    it is never satisfied."""
    if config.sampling.allocation == "fixed" and any(
        getattr(item, "takes_all", False) for item in build_formatters(config).values()
    ):
        return False
    return _satisfied(config) is not None
