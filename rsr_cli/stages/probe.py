"""probe: a few prompts of the input, drawn and scored as the run would do it, before the run is paid for.

It samples into a work dir of its own, which goes away; the input and the work dir proper are only read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from rsr_cli import fingerprints
from rsr_cli.clients.estimates import usage_of
from rsr_cli.config.load import LoadedConfig
from rsr_cli.config.settings import BATCH, Backend, Config, GuardSettings, Limits, SamplerSettings, Shard
from rsr_cli.errors import ConfigError, GuardStop
from rsr_cli.formatters.messages import Seen
from rsr_cli.plan import Plan, resolve
from rsr_cli.scoring.judge_costs import judge_cost
from rsr_cli.stages.findings import Finding, Light, findings
from rsr_cli.stages.forecast import Forecast, forecast
from rsr_cli.stages.hopeless import refuse_hopeless
from rsr_cli.stages.prepare import Counts, read_dataset
from rsr_cli.stages.progress import Progress
from rsr_cli.stages.sampling_run import SamplingRun
from rsr_cli.stages.session import Session
from rsr_cli.stages.verify import score_shards
from rsr_cli.stages.writable import refuse_unwritable
from rsr_cli.storage.interface import Storage
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store import shards
from rsr_cli.store.groups import read_groups, read_prompts
from rsr_cli.store.state import State
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group, Prompt

T = TypeVar("T")
B = TypeVar("B", bound=Backend)


@dataclass(frozen=True)
class Spent:
    """What the probe itself has cost."""

    prompts: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    seconds: float


@dataclass(frozen=True)
class Probe:
    findings: list[Finding]
    forecast: Forecast
    spent: Spent

    @property
    def light(self) -> Light:
        """The worst of all."""
        lights = {finding.light for finding in self.findings}
        return "red" if "red" in lights else "yellow" if "yellow" in lights else "green"

    def raise_if_red(self) -> None:
        """Raises GuardStop with what to change."""
        red = [finding for finding in self.findings if finding.light == "red"]
        if red:
            told = "; ".join(f"{finding.name}: {finding.told}" for finding in red)
            raise GuardStop(f"the probe is red: {told}", "\n  ".join(finding.change or "" for finding in red))

    def as_dict(self) -> dict[str, Any]:
        return {"light": self.light, **asdict(self)}


def probe(loaded: LoadedConfig, work_dir: Storage | None, progress: Progress, *, prompts: int, attempts: int) -> Probe:
    """Draw `attempts` for each of about `prompts` prompts, spread evenly over the work dir's data or the input."""
    plan = resolve(loaded.config)
    refuse_hopeless(plan, _prompts(loaded, plan, work_dir, progress))
    seen = Seen()
    chosen, total = spread(_looked_at(_prompts(loaded, plan, work_dir, progress), seen), prompts)
    refuse_unwritable(plan, seen)
    with TemporaryDirectory(prefix="rsr-probe-") as folder:
        probing = resolve(_probing(plan.config, attempts))
        session = Session(WorkDir(LocalStorage(folder)), loaded, probing, State(), progress, "probe")
        _write(session.work_dir, chosen)
        began = time.monotonic()
        SamplingRun(session, [0], None, retry_errors=False).run()
        seconds = time.monotonic() - began
        score_shards(session, [0], fingerprints.of_verifier(plan))
        groups = list(read_groups(session.work_dir, 0))
        judged = judge_cost(plan.verifier, session.work_dir.cache())
    return Probe(
        findings(plan.config, groups, plan.passes),
        forecast(plan, groups, total, seconds, judged),
        _spent(plan, groups, seconds, judged),
    )


def _looked_at(prompts: Iterable[Prompt], seen: Seen) -> Iterator[Prompt]:
    for prompt in prompts:
        seen.add(prompt)
        yield prompt


def spread(items: Iterable[T], wanted: int) -> tuple[list[T], int]:
    """About `wanted` of the items at even distances, in bounded memory, and how many there are."""
    kept: list[T] = []
    total, stride = 0, 1
    for item in items:
        if total % stride == 0:
            kept.append(item)
            if len(kept) > 4 * wanted:
                kept, stride = kept[::2], 2 * stride
        total += 1
    if len(kept) > wanted:
        kept = [kept[(2 * place + 1) * len(kept) // (2 * wanted)] for place in range(wanted)]
    return kept, total


def _prompts(loaded: LoadedConfig, plan: Plan, root: Storage | None, progress: Progress) -> Iterator[Prompt]:
    """Those of a prepared work dir, else those that prepare would make of the input."""
    if root is not None and (root / "state.json").exists():
        work_dir = WorkDir(root)
        state = work_dir.load_state()
        session = Session(work_dir, loaded, plan, state, progress, "probe")
        if state.stages["prepare"].status == "done" and not session.changes("data"):
            for number in session.require_data():
                yield from read_prompts(work_dir.data(number))
            return
    yield from read_dataset(plan, Counts())


def _probing(config: Config, attempts: int) -> Config:
    """The config, but every prompt gets the same number of attempts, whatever comes."""
    sampling = {"max_rollouts": attempts, "step_size": attempts, "max_steps": 1, "early_stop": False}
    free = {"allocation": "fixed", "token_budget": None, "cost_budget": None}
    return config.model_copy(
        update={
            "sampling": config.sampling.model_copy(update=sampling | free),
            "sampler": _asking_singly(config.sampler),
            "guards": GuardSettings(**{name: Limits() for name in GuardSettings.model_fields}),
            "shard": Shard(),
        }
    )


def _asking_singly(settings: SamplerSettings) -> SamplerSettings:
    """The sampler, but a server of batches is asked for each answer alone: a batch takes hours."""
    if settings.batch_files and settings.base_url is None:
        raise ConfigError(
            "a probe needs a server to ask, and sampler.batch_files has none", "give sampler.base_url for the probe"
        )
    members = [_singly(member) for member in settings.members]
    return _singly(settings).model_copy(update={"members": members})


def _singly(backend: B) -> B:
    single = {"type": Backend.model_fields["type"].default, "batch_files": False}
    return backend.model_copy(update=single) if backend.type == BATCH else backend


def _write(work_dir: WorkDir, prompts: list[Prompt]) -> None:
    with shards.writing_shard(work_dir.data(0), shards.DATA) as writer:
        for prompt in prompts:
            writer.write(
                {
                    "id": prompt.id,
                    "messages": json.dumps(prompt.messages, ensure_ascii=False),
                    "metadata": json.dumps(prompt.metadata, ensure_ascii=False),
                }
            )


def _spent(plan: Plan, groups: list[Group], seconds: float, judged: float) -> Spent:
    drawn = [attempt for group in groups for attempt in group.attempts.values()]
    usages = [usage_of(attempt, group.prompt.messages) for group in groups for attempt in group.attempts.values()]
    prompt_tokens, completion_tokens = sum(usage.prompt for usage in usages), sum(usage.completion for usage in usages)
    cost = plan.cost(prompt_tokens, completion_tokens) + judged
    return Spent(len(groups), len(drawn), prompt_tokens, completion_tokens, cost, round(max(seconds, 1e-3), 3))
