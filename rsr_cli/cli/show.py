"""`rsr show`: prompts with their attempts and verdicts, filtered, as text or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from rsr_cli.cli.terminal import Output, print_json
from rsr_cli.config.load import load_config
from rsr_cli.errors import InputError, printable
from rsr_cli.stages.training_files import training_row
from rsr_cli.store.groups import read_groups
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import REFERENCE, Attempt, Group, Verdict

_LINES = 8
_CHARACTERS = 800


@dataclass(frozen=True)
class Filter:
    """Which attempts to show; an attempt has to meet all that is asked."""

    id: str | None
    passed: bool
    failed: bool
    status: str | None
    truncated: bool
    errors: bool

    @property
    def narrows(self) -> bool:
        return self.passed or self.failed or self.truncated or self.errors or self.status is not None


def show_groups(work_dir: WorkDir, wanted: Filter, *, limit: int, full: bool, as_json: bool) -> None:
    """Print the groups that hold something to show, at most `limit` of them."""
    console = Output()
    thresholds = _thresholds(work_dir)
    shown = 0
    for group, attempts in _matching(work_dir, wanted, thresholds):
        if as_json:
            print_json(_as_json(group, attempts))
        else:
            _print_group(console, group, attempts, thresholds, full)
        shown += 1
        if shown == limit:
            break
    if not shown and wanted.id is not None and not wanted.narrows:
        raise InputError(f"there is no prompt {wanted.id!r} in {work_dir.root}")
    if not shown:
        print("nothing here meets all that is asked", file=sys.stderr)


def show_row(work_dir: WorkDir, named: str, *, full: bool, as_json: bool) -> None:
    """Print the prompt and the attempts that a training row was made from."""
    name, _, number = named.rpartition(":")
    if not name or not number.isdecimal():
        raise InputError(f"--row {named!r} names no row", "a row is NAME:N, as sft:17, the first one is sft:0")
    origin = training_row(work_dir, name, int(number))
    group = next(group for group in read_groups(work_dir, origin.shard) if group.prompt.id == origin.id)
    reference = group.reference()
    there = group.attempts | ({REFERENCE: reference.attempt} if reference else {})
    wanted = origin.attempts.values() if origin.attempts else sorted(group.attempts)
    attempts = [there[number] for number in wanted if number in there]
    if as_json:
        print_json({"row": {"formatter": name, "number": int(number), **origin.attempts}} | _as_json(group, attempts))
        return
    roles = ", ".join(f"{role} {number}" for role, number in origin.attempts.items()) or "all attempts"
    console = Output()
    console.print(escape(printable(f"{name}:{number} was made from the prompt {origin.id}: {roles}")), soft_wrap=True)
    _print_group(console, group, attempts, _thresholds(work_dir), full)


def _matching(
    work_dir: WorkDir, wanted: Filter, thresholds: tuple[float, float]
) -> Iterator[tuple[Group, list[Attempt]]]:
    pass_at, fail_at = thresholds

    def meets(group: Group, attempt: Attempt) -> bool:
        verdict = group.verdicts.get(attempt.attempt)
        score = verdict.score if verdict else None
        status = verdict.status if verdict else "unscored" if attempt.valid else None
        return (
            (not wanted.passed or (score is not None and score >= pass_at))
            and (not wanted.failed or (score is not None and score <= fail_at))
            and (not wanted.truncated or attempt.truncated)
            and (not wanted.errors or attempt.error is not None)
            and (wanted.status is None or wanted.status == status)
        )

    for shard in work_dir.shards():
        for group in read_groups(work_dir, shard):
            if wanted.id is not None and group.prompt.id != wanted.id:
                continue
            attempts = [group.attempts[number] for number in sorted(group.attempts)]
            chosen = [attempt for attempt in attempts if meets(group, attempt)]
            if chosen or not wanted.narrows:
                yield group, chosen


def _thresholds(work_dir: WorkDir) -> tuple[float, float]:
    """What a writer has found them to be: no code that a config names is loaded only to look."""
    if len(known := work_dir.load_state().thresholds) == 2:
        return known[0], known[1]
    formatters = load_config(work_dir.config_path, saved=True).config.formatter
    options = next((item.options for item in formatters if "pass_threshold" in item.options), {})
    return options.get("pass_threshold", 1.0), options.get("fail_threshold", 0.0)


def _as_json(group: Group, attempts: list[Attempt]) -> dict[str, Any]:
    def row(attempt: Attempt) -> dict[str, Any]:
        verdict = group.verdicts.get(attempt.attempt)
        return asdict(attempt) | {"verdict": asdict(verdict) if verdict else None}

    prompt = asdict(group.prompt)
    return prompt | {"attempts": [row(attempt) for attempt in attempts]}


def _print_group(
    console: Console, group: Group, attempts: list[Attempt], thresholds: tuple[float, float], full: bool
) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(f"[{style}]{escape(printable(text))}[/]" if style else escape(printable(text)), soft_wrap=True)

    answer = group.prompt.metadata.get("answer")
    say(f"━━ {group.prompt.id} · answer {answer}", "bold")
    for message in group.prompt.messages:
        say(f"{message['role']}:", "dim")
        say(_cut(str(message.get("content") or ""), full))
    for attempt in attempts:
        verdict = group.verdicts.get(attempt.attempt)
        say(
            f"── attempt {attempt.attempt} · step {attempt.step} · {_outcome(attempt, verdict)}",
            _style(verdict, *thresholds),
        )
        for rationale in _rationales(verdict):
            say(_cut(rationale, full), "dim")
        if attempt.reasoning:
            say(_cut(attempt.reasoning, full), "dim")
        if attempt.tool_calls:
            say(_cut(f"tool calls: {attempt.tool_calls}", full))
        say(_cut(attempt.error or attempt.response or _why_no_text(attempt), full))
    console.print()


def _outcome(attempt: Attempt, verdict: Verdict | None) -> str:
    if attempt.error is not None:
        return "error"
    if not attempt.valid:
        return "truncated" if attempt.truncated else f"{attempt.finish_reason}, no reply"
    if verdict is None:
        return "not scored"
    if verdict.score is None:
        return f"{verdict.status}, score unknown · {verdict.explanation or 'no reason given'}"
    score = f"score {verdict.score:g}"
    extracted = f" · extracted {verdict.extracted_answer}" if verdict.extracted_answer is not None else ""
    return f"{verdict.status} · {score}{extracted}"


def _style(verdict: Verdict | None, pass_at: float, fail_at: float) -> str:
    if verdict is None or verdict.score is None:
        return "yellow"
    return "green" if verdict.score >= pass_at else "red" if verdict.score <= fail_at else "yellow"


def _rationales(verdict: Verdict | None) -> list[str]:
    """Why a verifier or a judge says so: each reason once, a shortened one only where it is nowhere in full."""
    if verdict is None:
        return []
    own = verdict.explanation if verdict.score is not None else None  # that of an unknown one is in the headline
    try:
        reasons = [*([own] if own else []), *_reasons(json.loads(verdict.details or "null"))]
    except (ValueError, RecursionError):
        reasons = [own] if own else []
    whole = {" ".join(text.split()): text for text in reasons}
    shortened = {text for text in whole for other in whole if text != other and text.removesuffix("…") in other}
    return [whole[text] for text in whole if text not in shortened]


def _reasons(details: Any) -> Iterator[str]:
    """What judges and members of a composite have said, wherever it lies in the details of a verdict."""
    if isinstance(details, dict):
        said = details.get("rationale") or details.get("explanation")
        if isinstance(said, str) and said.strip():
            about = details.get("criterion")
            yield f"{about}: {said}" if isinstance(about, str) else said
        details = list(details.values())
    if isinstance(details, list):
        for part in details:
            yield from _reasons(part)


def _why_no_text(attempt: Attempt) -> str:
    """Why there is nothing to show of a reply."""
    if attempt.tool_calls:
        return "(no text: the answer is a call of tools)"
    if attempt.truncated and attempt.reasoning:
        return "(no text: cut at max_tokens while it was thinking)"
    if attempt.truncated:
        return "(no text: cut at max_tokens, and not kept: sampler.drop_truncated)"
    if attempt.finish_reason == "content_filter":
        return "(no text: held back by the server's content filter)"
    if attempt.reasoning:
        return "(no text: all of it is thinking)"
    return f"(no text: the answer was empty, its finish_reason is {attempt.finish_reason!r})"


def _cut(text: str, full: bool) -> str:
    lines = text.splitlines()
    if full or (len(lines) <= _LINES and len(text) <= _CHARACTERS):
        return text
    return "\n".join(lines[:_LINES])[:_CHARACTERS] + " …"
