"""Prompts that meet a filter, a page at a time, from where the last page ended."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any

from rsr_cli.store.live import read_live
from rsr_cli.store.lookup import Brief, End, briefs, holding, outcome_of, read_group
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.types import Group

_PAGE = 50
_SECONDS = 1.0
"""One answer takes about so long at most; the page asks for more where it has not found enough."""
_KEPT_SHARDS = 8
_QUESTION = 200


@dataclass(frozen=True)
class Wanted:
    """What a prompt has to have: an attempt of this outcome, this status and of a length between these, and a text."""

    outcome: str = ""
    status: str = ""
    least: int | None = None
    most: int | None = None
    text: str = ""
    id: str = ""

    def of_attempts(self) -> bool:
        return bool(self.outcome or self.status) or self.least is not None or self.most is not None

    def meets(self, end: End) -> bool:
        return (
            (not self.outcome or end.outcome == self.outcome)
            and (not self.status or (end.status or "none") == self.status)
            and (self.least is None or (end.tokens is not None and end.tokens >= self.least))
            and (self.most is None or (end.tokens is not None and end.tokens <= self.most))
        )


class Search:
    """Reads shards when they are asked for, and keeps what it read of the last few as long as they are the same."""

    def __init__(self, work_dir: WorkDir) -> None:
        self._work_dir = work_dir
        self._briefs: OrderedDict[tuple[int, str], list[Brief]] = OrderedDict()
        self._holding: OrderedDict[tuple[int, str, str], set[str]] = OrderedDict()
        self._lock = Lock()

    def about(self) -> dict[str, Any]:
        """What the work dir is, and a version that changes whenever something in it does."""
        state, numbers = self._work_dir.load_state(), self._work_dir.shards()
        live = read_live(self._work_dir) if self._work_dir.root.is_locked() else None
        prompts = state.stages["prepare"].counts.get("prompts")
        return {
            "name": self._work_dir.root.name,
            "prompts": prompts,
            "thresholds": self._thresholds(),
            "version": "/".join(self._digest(shard) for shard in numbers),
            "live": {"stage": live.stage, "done": live.done, "total": live.total} if live else None,
            "stages": {name: record.status for name, record in state.stages.items()},
        }

    def page(self, wanted: Wanted, shard: int, place: int) -> dict[str, Any]:
        """Return the prompts that meet what is wanted, from this place of this shard on, and where to go on (`next`,
        null at the end)."""
        end, found = time.monotonic() + _SECONDS, []
        with self._lock:
            for number in (number for number in self._work_dir.shards() if number >= shard):
                known = self._of(number)
                texts = self._texts(number, wanted.text) if wanted.text else None
                for at in range(place if number == shard else 0, len(known)):
                    brief = known[at]
                    if self._meets(wanted, brief, texts):
                        found.append(_told(number, brief))
                        if len(found) == _PAGE:
                            return {"prompts": found, "next": [number, at + 1]}
                if time.monotonic() > end:
                    return {"prompts": found, "next": [number + 1, 0]}
        return {"prompts": found, "next": None}

    def prompt(self, shard: int, prompt_id: str) -> dict[str, Any] | None:
        """Return all of one prompt, None where there is none of this id."""
        if shard not in self._work_dir.shards():
            return None
        group = read_group(self._work_dir, shard, prompt_id)
        return None if group is None else _whole(group, self._thresholds())

    def _meets(self, wanted: Wanted, brief: Brief, texts: set[str] | None) -> bool:
        if wanted.id and wanted.id not in brief.id:
            return False
        if texts is not None and brief.id not in texts:
            return False
        return not wanted.of_attempts() or any(map(wanted.meets, brief.ends))

    def _of(self, shard: int) -> list[Brief]:
        key = (shard, self._digest(shard))
        if key not in self._briefs:
            self._briefs[key] = briefs(self._work_dir, shard, self._thresholds())
            while len(self._briefs) > _KEPT_SHARDS:
                self._briefs.popitem(last=False)
        self._briefs.move_to_end(key)
        return self._briefs[key]

    def _texts(self, shard: int, text: str) -> set[str]:
        key = (shard, self._digest(shard), text)
        if key not in self._holding:
            self._holding[key] = holding(self._work_dir, shard, text)
            while len(self._holding) > _KEPT_SHARDS:
                self._holding.popitem(last=False)
        return self._holding[key]

    def _digest(self, shard: int) -> str:
        return f"{self._work_dir.rollouts_digest(shard)}-{self._work_dir.scores_digest(shard)}"

    def _thresholds(self) -> tuple[float, float]:
        """As a writer has found them to be: no code that a config names is loaded only to look."""
        known = self._work_dir.load_state().thresholds
        return (known[0], known[1]) if len(known) == 2 else (1.0, 0.0)


def _told(shard: int, brief: Brief) -> dict[str, Any]:
    return {"shard": shard, "id": brief.id, "outcomes": [end.outcome for end in brief.ends]}


def _whole(group: Group, thresholds: tuple[float, float]) -> dict[str, Any]:
    return {
        "id": group.prompt.id,
        "messages": [{"role": str(item["role"]), "text": _text(item)} for item in group.prompt.messages],
        "answer": _plain(group.prompt.metadata.get("answer")),
        "metadata": json.dumps(group.prompt.metadata, ensure_ascii=False, indent=1),
        "attempts": [_attempt(group, number, thresholds) for number in sorted(group.attempts)],
    }


def _attempt(group: Group, number: int, thresholds: tuple[float, float]) -> dict[str, Any]:
    attempt, verdict = group.attempts[number], group.verdicts.get(number)
    score, status = (verdict.score, verdict.status) if verdict else (None, None)
    return {
        "attempt": number,
        "outcome": outcome_of(attempt.error, attempt.finish_reason, score, status, thresholds),
        "score": score,
        "status": status,
        "extracted": verdict.extracted_answer if verdict else None,
        "explanation": verdict.explanation if verdict else None,
        "details": verdict.details if verdict else None,
        "response": attempt.response,
        "reasoning": attempt.reasoning,
        "tool_calls": attempt.tool_calls,
        "error": attempt.error,
        "finish_reason": attempt.finish_reason,
        "model": attempt.model,
        "tokens": attempt.completion_tokens,
        "step": attempt.step,
    }


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    shown = content if isinstance(content, str) else "" if content is None else json.dumps(content, ensure_ascii=False)
    calls = message.get("tool_calls")
    return f"{shown}\n{json.dumps(calls, ensure_ascii=False)}".strip() if calls else shown


def _plain(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
