"""Whether training rows can hold what the prompts hold: looked at before anything is paid for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rsr_cli.errors import ConfigError, InputError
from rsr_cli.formatters.base import UNWRITABLE_HINT
from rsr_cli.formatters.messages import Seen
from rsr_cli.plan import Plan
from rsr_cli.plugins.contracts import Formatter
from rsr_cli.store import shards
from rsr_cli.store.groups import read_prompts
from rsr_cli.store.work_dir import WorkDir

SEEN_KEY = "rsr.seen"
"""In the footer of a data shard: what its messages hold."""


def seen_in_data(work_dir: WorkDir, numbers: list[int]) -> Seen:
    """What the messages of these shards hold."""
    found = Seen()
    for number in numbers:
        text = shards.footer(work_dir.data(number)).get(SEEN_KEY)
        found.merge(Seen.from_json(text) if text else Seen.of(read_prompts(work_dir.data(number))))
    return found


def seen_in_rollouts(work_dir: WorkDir, numbers: list[int]) -> Seen:
    """What the messages and the answers of these shards hold."""
    found = seen_in_data(work_dir, numbers)
    found.answers_call = any(
        batch.num_columns and batch.column(0).null_count < batch.num_rows
        for number in numbers
        for batch in shards.read_batches(work_dir.rollout(number), ["tool_calls"])
    )
    return found


def refuse_unwritable(plan: Plan, seen: Seen) -> None:
    """InputError, or ConfigError, where a formatter can't write rows of such prompts."""
    if common_tools(plan):
        seen = replace(seen, odd={"tools": "sampler.extra_params has tools"} | seen.odd)
    for name, item in plan.formatters.items():
        if why := item.refusal(seen):
            raise InputError(f"{why}: the formatter {name} can't write that", UNWRITABLE_HINT)


def common_tools(plan: Plan) -> list[Any] | None:
    """The tools of all prompts that have none of their own; ConfigError where samplers differ in them."""
    found: list[Any] = []
    for settings in plan.config.sampler.each():
        tools = settings.extra_params.get("tools")
        if tools not in found:
            found.append(tools)
    if len(found) > 1 and any(hasattr(item, "tools") for item in plan.formatters.values()):
        raise ConfigError("sampler.members: they have different extra_params.tools, and a training row has one list")
    return found[0] if found else None


def fitted(plan: Plan, seen: Seen) -> dict[str, Formatter]:
    """The formatters by their names, with a place for all that messages hold; a user's own get them as they are."""
    tools = common_tools(plan)
    return {name: item.fitted(seen, tools) for name, item in plan.formatters.items()}
