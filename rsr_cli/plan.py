"""A config, resolved once: every plug-in found, checked and made, and what a pass, a fail and an end are.

Stages take a plan and never ask what the config meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from rsr_cli.config.settings import Backend, Config, SamplerSettings, VerifierSettings
from rsr_cli.errors import ConfigError
from rsr_cli.plugins.boundary import boundary
from rsr_cli.plugins.contracts import Filter, Formatter, Sampler
from rsr_cli.plugins.filtering import Filtering
from rsr_cli.samplers.build import build, draws_whole_steps
from rsr_cli.sampling.allocation import Passes
from rsr_cli.sampling.fold import Rules
from rsr_cli.scoring.scorer import ConfiguredScorer
from rsr_cli.scoring.verifier_tree import VerifierTree, made_component, resolve_verifier
from rsr_cli.types import Group

B = TypeVar("B", bound=Backend)

EMBEDDED = "embedded"
"""As a base_url: the model that comes with the package, served as long as it is used."""


@dataclass(frozen=True)
class Plan:
    """What a config comes to. Pickles as its config: another process resolves it again."""

    config: Config
    verifier: VerifierTree
    formatters: Mapping[str, Formatter]
    """By their names, which are those of their folders under train/."""
    filtering: Filtering

    def __reduce__(self) -> tuple[Callable[[Config], Plan], tuple[Config]]:
        return resolve, (self.config,)

    @cached_property
    def thresholds(self) -> tuple[float, float]:
        """The least score of a pass and the most of a fail, for figures: of the first formatter that has thresholds,
        else 1.0 and 0.0."""
        first = next((item for item in self.formatters.values() if hasattr(item, "pass_threshold")), None)
        return float(getattr(first, "pass_threshold", 1.0)), float(getattr(first, "fail_threshold", 0.0))

    def passes(self, score: float) -> bool:
        return score >= self.thresholds[0]

    def fails(self, score: float) -> bool:
        return score <= self.thresholds[1]

    @property
    def with_reference(self) -> bool:
        """The reference completion is scored: it is not switched off, and a formatter compares."""
        compares = any(item.compares for item in self.formatters.values())
        return self.config.sampling.include_reference and compares

    @cached_property
    def rules(self) -> Rules:
        """When a group has ended."""
        sampling = self.config.sampling
        satisfied = self._satisfied()
        whole_steps = self.verifier.compares or draws_whole_steps(self.config.sampler)
        return Rules(
            sampling.max_rollouts,
            sampling.step_size,
            sampling.max_steps,
            satisfied,
            whole_steps=satisfied is not None and whole_steps,
            whole_first_step=sampling.allocation == "prop2diff",
            worth=self._target().worth if sampling.allocation == "adaptive" else None,
        )

    @property
    def scores_while_sampling(self) -> bool:
        """Verdicts end groups, so sample scores; else verify does later."""
        return self.rules.satisfied is not None

    @property
    def stops_by_outcome(self) -> bool:
        """Verdicts decide how many attempts a prompt gets. They do not where a formatter takes the best of all there
        are: it is never satisfied."""
        takes_all = any(item.takes_all for item in self.formatters.values())
        return self.scores_while_sampling and not (self.config.sampling.allocation == "fixed" and takes_all)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """The money that tokens of the sampler cost, at prices per million."""
        price = self.config.sampler.price
        return (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6

    def scorer(self, cache: Path | None = None, verifier: VerifierTree | None = None) -> ConfiguredScorer:
        """Return the scorer of the verifier, or of another one, not entered yet."""
        tree = verifier or self.verifier
        return ConfiguredScorer(tree.open(cache), with_reference=self.with_reference)

    @contextmanager
    def sampler(self, folder: Path | None = None) -> Iterator[Sampler]:
        """The sampler, not entered yet, with a folder for the files that it may keep. With `base_url: embedded` the
        embedded model serves it as long as the block runs."""
        sampling, settings = self.config.sampling, self.config.sampler
        if EMBEDDED not in {url for item in (settings, *settings.members) for url in item.base_url or ()}:
            yield build(settings, sampling, folder)
            return
        from rsr_cli.tiny.server import embedded

        with embedded() as url:
            yield build(_located(settings, url), sampling, folder)

    def with_verifier(self, settings: VerifierSettings) -> Plan:
        """Return the plan with another verifier. Raises ConfigError."""
        return resolve(self.config.model_copy(update={"verifier": settings}))

    def _satisfied(self) -> Callable[[Group], bool] | None:
        sampling = self.config.sampling
        if sampling.allocation == "prop2diff":
            return self._target().prop2diff
        if sampling.allocation != "fixed":
            return self._target().uniform
        targets = [item for item in self.formatters.values() if item.has_target]
        if not targets or not sampling.early_stop:
            return None

        def satisfied(group: Group) -> bool:
            kept = self.filtering.kept(group)
            return all(_is_satisfied(item, kept) for item in targets)

        return satisfied

    def _target(self) -> Passes:
        """The passes that a prompt is to have."""
        sampling = self.config.sampling
        return Passes(self.passes, sampling.target_passes, sampling.step_size, self.filtering.kept)


def resolve(config: Config) -> Plan:
    """Return the plan of a config. Raises ConfigError with all that is wrong at once."""
    problems: list[str] = []

    def attempt(make: Callable[[], Any]) -> Any:
        try:
            return make()
        except ConfigError as error:
            problems.append(str(error))

    verifier = attempt(lambda: resolve_verifier(config.verifier))
    formatters: dict[str, Formatter] = {}
    for index, (name, item) in enumerate(zip(config.formatter_names(), config.formatter, strict=True)):
        formatters[name] = attempt(lambda: made_component("formatter", item, f"formatter.{index}"))  # noqa: B023
    filters: dict[str, Filter] = {}
    for index, (name, part) in enumerate(zip(config.filter_names(), config.filters, strict=True)):
        filters[name] = attempt(lambda: made_component("filter", part, f"filters.{index}"))  # noqa: B023
    attempt(lambda: build(_located(config.sampler, "http://127.0.0.1/v1"), config.sampling))
    if problems:
        raise ConfigError("\n".join(problems))
    return Plan(config, verifier, formatters, Filtering(filters))


def _is_satisfied(formatter: Formatter, group: Group) -> bool:
    with boundary("formatter", formatter, f"the prompt {group.prompt.id!r}"):
        return bool(formatter.is_satisfied(group))


def _located(settings: SamplerSettings, url: str) -> SamplerSettings:
    """The sampler with the embedded model, of the sampler and of its members, at this URL."""
    members = [_at(member, url) for member in settings.members]
    return _at(settings.model_copy(update={"members": members}), url)


def _at(section: B, url: str) -> B:
    return section.model_copy(update={"base_url": [url]}) if section.base_url == [EMBEDDED] else section
