"""The verifier of a config, resolved once: found, made and checked, with its members if it is made of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rsr_cli.config.load import explain
from rsr_cli.config.settings import VerifierSettings
from rsr_cli.errors import ConfigError
from rsr_cli.plugins import registry
from rsr_cli.plugins.composite import Composite
from rsr_cli.plugins.contracts import Judge, Verifier
from rsr_cli.scoring.scorer import CompositeScorer, JudgeScorer, PoolScorer, Scorer
from rsr_cli.types import Prompt
from rsr_cli.verifiers.judging.calls import LlmOptions


@dataclass(frozen=True)
class VerifierTree:
    """A rule, a judge, or a composite and its members by name. `made` checked the options; rules are made again in
    their worker processes."""

    settings: VerifierSettings
    made: Verifier | Judge | Composite
    members: Mapping[str, VerifierTree] = field(default_factory=dict)

    def leaves(self) -> Iterator[VerifierTree]:
        """Yield the verifiers that score by themselves: the members of a composite, of its composites too, else this
        one."""
        if not self.members:
            yield self
        for node in self.members.values():
            yield from node.leaves()

    def llm_judges(self) -> list[LlmOptions]:
        """Return the LLM judges among them."""
        return [node.made for node in self.leaves() if isinstance(node.made, LlmOptions)]

    def first_rule(self, prompt: Prompt) -> VerifierTree | None:
        """Return the first rule that a reply to this prompt comes to, None where that is none."""
        if not isinstance(self.made, Composite):
            return self if self.runs_in_processes else None
        found = (self.members[name].first_rule(prompt) for name in self.made.asked(prompt))
        return next((node for node in found if node is not None), None)

    @property
    def runs_in_processes(self) -> bool:
        """It is a rule, not a judge or a composite."""
        return isinstance(self.made, Verifier)

    @property
    def is_rule(self) -> bool:
        """It asks no server and holds no model: it runs in worker processes, and so do all its members."""
        return all(node.runs_in_processes for node in self.leaves())

    @property
    def compares(self) -> bool:
        """Its verdict on a rollout depends on the group's others."""
        own = not isinstance(self.made, Verifier) and self.made.compares
        return own or any(node.compares for node in self.members.values())

    @property
    def score_range(self) -> tuple[float, float] | None:
        """The lowest and the highest score that it can give; None where that is not known."""
        own = self.made.score_range
        if own is not None or not self.members:
            return own
        known = [item for node in self.members.values() if (item := node.score_range) is not None]
        if len(known) < len(self.members):
            return None
        return min(low for low, _ in known), max(high for _, high in known)

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to a prompt can be scored; None where one can be, or where only trying shows it."""
        if not isinstance(self.made, Composite):
            return self.made.cannot_score(prompt)
        return self.made.cannot_score(prompt, {name: node.cannot_score(prompt) for name, node in self.members.items()})

    @property
    def most_workers(self) -> int:
        """The worker processes of the verifier, or of that member which has the most; one if not said."""
        return max(node.settings.workers or 1 for node in self.leaves())

    def open(self, cache: Path | None) -> Scorer:
        """Return a scorer, not entered yet. Judges keep what they were answered in the folder `cache`."""
        if isinstance(self.made, Composite):
            return CompositeScorer(self.made, {name: node.open(cache) for name, node in self.members.items()})
        if isinstance(self.made, Verifier):
            return PoolScorer(self.settings)
        judge: Judge = registry.build("verifier", self.settings.type, self.settings.options)
        if cache is not None:
            judge.cache_in(cache)
        return JudgeScorer(judge)


def resolve_verifier(settings: VerifierSettings, where: str = "verifier") -> VerifierTree:
    """Return the verifier of these settings. Raises ConfigError with all that is wrong with it and its members."""
    made: Any = made_component("verifier", settings, where)
    if not isinstance(made, Composite):
        return VerifierTree(settings, made)
    members: dict[str, VerifierTree] = {}
    problems: list[str] = []
    for name, member in made.named():
        try:
            own = VerifierSettings.model_validate({"type": member.type, **member.options})
            members[name] = resolve_verifier(own, f"{where} {name}")
        except ValidationError as error:
            problems += [f"{where}.members: {line}" for line in explain(error)]
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return VerifierTree(settings, made, members)


def with_workers(settings: VerifierSettings) -> VerifierSettings:
    """Return the settings with one worker process where they do not say how many; those of members too."""
    filled: dict[str, Any] = {"workers": settings.workers or 1}
    if issubclass(registry.find("verifier", settings.type), Composite):
        members = [VerifierSettings.model_validate(item) for item in settings.options["members"]]
        filled["members"] = [with_workers(member).model_dump(exclude_unset=True) for member in members]
    return settings.model_copy(update=filled)


def made_component(kind: registry.Kind, settings: Any, where: str) -> Any:
    """Return the plug-in of a section, made with its options. Raises ConfigError that names the place."""
    try:
        return registry.build(kind, settings.type, settings.options)
    except ValidationError as error:
        fields = registry.find(kind, settings.type).model_fields
        known = [field.alias or name for name, field in fields.items()]
        raise ConfigError("\n".join(f"{where}.{line}" for line in explain(error, known=known))) from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
