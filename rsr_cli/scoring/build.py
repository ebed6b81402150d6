"""The scorer that a config asks for, and the fingerprint of all that its verdicts depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rsr_cli.config.load import is_secret
from rsr_cli.config.settings import Config, Price, VerifierSettings
from rsr_cli.plugins import registry
from rsr_cli.plugins.composite import Composite
from rsr_cli.plugins.contracts import Judge, Verifier
from rsr_cli.scoring.scorer import JudgeScorer, PoolScorer, Scorer, owed_numbers
from rsr_cli.store.shards import combined
from rsr_cli.types import Group, Prompt, Verdict
from rsr_cli.verifiers.judging.calls import LlmOptions, money
from rsr_cli.verifiers.judging.ledger import read_ledger


class ConfiguredScorer:
    """The config's verifier, and which attempts it owes a verdict."""

    def __init__(self, config: Config, cache: Path | None = None) -> None:
        """`cache` is the folder in which judges keep what they were answered."""
        self._judges: list[LlmOptions] = []
        self._scorer = _build(config.verifier, cache, self._judges)
        self._with_reference = wants_reference(config)
        self.compares = self._scorer.compares

    async def __aenter__(self) -> ConfiguredScorer:
        await self._scorer.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._scorer.__aexit__(*exc)

    def cost(self) -> float:
        """What its judges were paid since it was made."""
        return sum(judge.cost for judge in self._judges)

    def owed(self, group: Group, *, retry_unknown: bool = False) -> list[int]:
        return owed_numbers(group, self.compares, with_reference=self._with_reference, retry_unknown=retry_unknown)

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        return await self._scorer.score(group, numbers)


class CompositeScorer:
    """Scores with the members of a composite, which makes one verdict of theirs."""

    def __init__(self, composite: Composite, members: dict[str, Scorer]) -> None:
        self._composite = composite
        self._members = members
        self._stack = AsyncExitStack()
        self.compares = composite.compares or any(member.compares for member in members.values())

    async def __aenter__(self) -> CompositeScorer:
        for member in self._members.values():
            await self._stack.enter_async_context(member)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        everything = list(numbers)

        async def ask(name: str, some: Sequence[int]) -> dict[int, Verdict]:
            if not some:
                return {}
            # A member that compares needs all replies, also where only some of its verdicts are wanted.
            member = self._members[name]
            found = await member.score(group, everything if member.compares else some)
            return {number: found[number] for number in some}

        return await self._composite.verdicts(group.prompt, everything, ask)


def wants_reference(config: Config) -> bool:
    """The reference completion is scored: it is not switched off, and a formatter compares."""
    return config.sampling.include_reference and any(
        registry.find("formatter", item.type).compares for item in config.formatter
    )


def verifier_fingerprint(config: Config) -> str:
    """Changes with whatever can change a verdict: the verifier, its options, its code, the reference beside it.

    Not with limits, workers or secrets, nor with the options that the verifier itself names in `no_verdict_change`.
    Options that it names in `file_options` are files, and count with their content.
    """
    return combined([_fingerprint(config.verifier), str(wants_reference(config))])


def composite_of(settings: VerifierSettings) -> Composite | None:
    """The verifier, where it is made of others."""
    if not issubclass(registry.find("verifier", settings.type), Composite):
        return None
    made: Composite = registry.build("verifier", settings.type, settings.options)
    return made


def member_settings(settings: VerifierSettings) -> dict[str, VerifierSettings]:
    """The members of a composite by name; the verifier itself where it is none."""
    composite = composite_of(settings)
    if composite is None:
        return {settings.type: settings}
    return {
        name: VerifierSettings.model_validate({"type": member.type, **member.options})
        for name, member in composite.named()
    }


def leaves(settings: VerifierSettings) -> list[VerifierSettings]:
    """The verifiers that score by themselves: the members of a composite, of its composites too; else the verifier."""
    if composite_of(settings) is None:
        return [settings]
    return [leaf for member in member_settings(settings).values() for leaf in leaves(member)]


def runs_in_processes(settings: VerifierSettings) -> bool:
    """The verifier is a rule, not a judge or a composite."""
    return issubclass(registry.find("verifier", settings.type), Verifier)


def is_rule(settings: VerifierSettings) -> bool:
    """It runs in worker processes, and so do all its members: it asks no server and holds no model."""
    return all(runs_in_processes(leaf) for leaf in leaves(settings))


def with_workers(settings: VerifierSettings) -> VerifierSettings:
    """With one worker process where the settings do not say how many; for each member of a composite too."""
    filled: dict[str, Any] = {"workers": settings.workers or 1}
    if composite_of(settings) is not None:
        members = [VerifierSettings.model_validate(item) for item in settings.options["members"]]
        filled["members"] = [with_workers(member).model_dump(exclude_unset=True) for member in members]
    return settings.model_copy(update=filled)


def unscorable(settings: VerifierSettings) -> Callable[[Prompt], str | None]:
    """Tells why no reply to a prompt can be scored; None where one can be, or where only trying shows it.

    A verifier that knows says it by `cannot_score`; a composite by what its members say.
    """
    composite = composite_of(settings)
    if composite is None:
        verifier: Verifier | Judge = registry.build("verifier", settings.type, settings.options)
        return verifier.cannot_score
    members = {name: unscorable(member) for name, member in member_settings(settings).items()}
    return lambda prompt: composite.cannot_score(prompt, {name: why(prompt) for name, why in members.items()})


def gold_checkers(settings: VerifierSettings) -> tuple[Callable[[Prompt], str | None], dict[str, VerifierSettings]]:
    """The rules among the verifier and its members by a name for each, and which of them is the first to be asked about
    the replies to a prompt; None where that is none."""
    composite = composite_of(settings)
    if composite is None:
        return (lambda _: ""), ({"": settings} if runs_in_processes(settings) else {})
    inner = {name: gold_checkers(member) for name, member in member_settings(settings).items()}
    rules = {f"{name}/{key}": rule for name, (_, found) in inner.items() for key, rule in found.items()}

    def first(prompt: Prompt) -> str | None:
        for name in composite.asked(prompt):
            key = inner[name][0](prompt)
            if f"{name}/{key}" in rules:
                return f"{name}/{key}"
        return None

    return first, rules


def score_range(settings: VerifierSettings) -> tuple[float, float] | None:
    """The lowest and the highest score that the verifier can give; None where that is not known."""
    made = registry.build("verifier", settings.type, settings.options)
    own: tuple[float, float] | None = made.score_range
    if own is not None or not isinstance(made, Composite):
        return own
    ranges = [score_range(member) for member in member_settings(settings).values()]
    known = [item for item in ranges if item is not None]
    if len(known) < len(ranges):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def judges_of(settings: VerifierSettings) -> list[LlmOptions]:
    """The judges among the verifier and its members."""
    made = [registry.build("verifier", item.type, item.options) for item in member_settings(settings).values()]
    return [item for item in made if isinstance(item, LlmOptions)]


def judge_prices(settings: VerifierSettings) -> Callable[[str], Price]:
    """The price of a judge by the name of its model. One that is not in the config has the price of the only one there
    is, else none."""
    judges = judges_of(settings)
    by_name = {judge.model: judge.price for judge in judges}
    other = judges[0].price if len(judges) == 1 else Price()
    return lambda model: by_name.get(model, other)


def judge_cost(settings: VerifierSettings, cache: Path) -> float:
    """What the judges of a work dir were paid in all its runs; `cache` is where they keep their answers."""
    price = judge_prices(settings)
    return sum(money(spent, price(model)) for model, spent in read_ledger(cache).items())


def most_workers(settings: VerifierSettings) -> int:
    """The worker processes of the verifier, or of that of its members that has the most; one if not said."""
    return max(leaf.workers or 1 for leaf in leaves(settings))


def compares(settings: VerifierSettings) -> bool:
    """Its verdict on a rollout depends on the group's others."""
    if runs_in_processes(settings):
        return False
    if (composite := composite_of(settings)) is not None:
        return composite.compares or any(compares(member) for member in member_settings(settings).values())
    return bool(registry.build("verifier", settings.type, settings.options).compares)


def _build(settings: VerifierSettings, cache: Path | None, judges: list[LlmOptions]) -> Scorer:
    if (composite := composite_of(settings)) is not None:
        members = {name: _build(member, cache, judges) for name, member in member_settings(settings).items()}
        return CompositeScorer(composite, members)
    if runs_in_processes(settings):
        return PoolScorer(settings)
    judge: Judge = registry.build("verifier", settings.type, settings.options)
    if isinstance(judge, LlmOptions):
        judges.append(judge)
    if cache is not None:
        judge.cache_in(cache)
    return JudgeScorer(judge)


def _fingerprint(settings: VerifierSettings) -> str:
    plugin = registry.find("verifier", settings.type)
    left_out = {*getattr(plugin, "no_verdict_change", ()), "members"}
    kept: dict[str, Any] = {
        name: value for name, value in settings.options.items() if name not in left_out and not is_secret(name)
    }
    for name in getattr(plugin, "file_options", ()):
        if kept.get(name):
            kept[name] = registry.file_digest(Path(kept[name]).expanduser())
    parts = [
        registry.identity(settings.type),
        repr(sorted(kept.items())),
        registry.code_digest("verifier", settings.type),
    ]
    if (composite := composite_of(settings)) is not None:
        parts.append(repr([(name, member.part) for name, member in composite.named()]))
        parts += [_fingerprint(member) for member in member_settings(settings).values()]
    return combined(parts)
