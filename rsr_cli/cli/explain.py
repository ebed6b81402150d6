"""`rsr verify --explain`: what a rule verifier reads in a reply, and how it compares it."""

from __future__ import annotations

from typing import Any

from rsr_cli.cli.terminal import Output, print_json
from rsr_cli.config.load import load_config
from rsr_cli.errors import InputError, printable
from rsr_cli.plugins import registry
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group

_RULES = ("math-rlvr", "mcq-rlvr")


def explain(work_dir: WorkDir, target: str, *, as_json: bool) -> None:
    """Print the claims of the rollouts of ID or ID:ATTEMPT. Nothing is written."""
    settings = load_config(work_dir.root / "config.yaml", [], saved=True).config.verifier
    if settings.type not in _RULES:
        raise InputError(f"{settings.type} reads no claims", f"--explain is for {' and '.join(_RULES)}")
    verifier = registry.build("verifier", settings.type, settings.options)
    group, number = _find(work_dir, target)
    shown = [rollout for rollout in group.rollouts() if number is None or rollout.attempt.attempt == number]
    if not shown:
        raise InputError(f"there is no rollout {target!r} in {work_dir.root}")
    for rollout in shown:
        told = verifier.explain(rollout.response, group.prompt.metadata)
        told = {"id": group.prompt.id, "attempt": rollout.attempt.attempt, **told}
        print_json(told) if as_json else _print(Output(), told)


def _find(work_dir: WorkDir, target: str) -> tuple[Group, int | None]:
    """The group of ID or ID:ATTEMPT; an id may itself end in a colon and a number."""
    name, _, attempt = target.rpartition(":")
    for shard in work_dir.shards():
        for group in read_groups(work_dir, shard):
            if group.prompt.id == target:
                return group, None
            if name and group.prompt.id == name and attempt.isdigit():
                return group, int(attempt)
    raise InputError(f"there is no prompt {target!r} in {work_dir.root}")


def _print(console: Output, told: dict[str, Any]) -> None:
    lines = [f"{told['id']} attempt {told['attempt']}: {told['verdict']}, score {told['score']}"]
    for claim in told["claims"]:
        mark = "=>" if claim.get("counts") else "  "
        stance = f" {claim['stance']}" if "stance" in claim else ""
        lines.append(f"  {mark} {claim['kind']}{stance} at {claim['place']}: {claim['text']}")
    lines.append(f"  why: {told['why']}")
    for pair in told["compared"]:
        forms = f" (read as {pair['read_as']} and {pair['gold_read_as']})" if "read_as" in pair else ""
        equal = {True: "equals", False: "is not", None: "can't be compared with"}[pair["equal"]]
        lines.append(f"  compared: {pair['answer']} {equal} {pair['gold']}{forms}")
    console.print(printable("\n".join(lines)), markup=False, highlight=False)
