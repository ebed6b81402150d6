"""`instructions`: constraints that can be checked, after IFEval (Zhou et al. 2023, arXiv 2311.07911)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from rsr_cli.plugins.contracts import Verifier
from rsr_cli.types import Prompt, Reply, Verdict
from rsr_cli.verifiers.texts.constraints import CONSTRAINTS, Check


class Instructions(BaseModel, Verifier):
    """Checks the constraints of `metadata.instruction_id_list`, with their arguments in `metadata.kwargs`, as IFEval
    publishes them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    score: Literal["share", "all"] = "share"
    """share: how many of the instructions are followed. all: 1.0 where all of them are, else 0.0."""
    mode: Literal["strict", "loose"] = "strict"
    """loose: an instruction counts as followed too where the reply follows it without its first line, its last line, or
    its asterisks."""

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored."""
        try:
            _checks(prompt.metadata)
        except ValueError as error:
            return str(error)
        return None

    def stating(self, gold: str) -> None:
        """Verdicts do not depend on golds."""

    def verify(self, reply: Reply, prompt: Prompt) -> Verdict:
        """Return a score within 0 and 1, with what was followed in the details; `error` where an instruction is not
        known, lacks an argument, or can't be told."""
        try:
            checks = _checks(prompt.metadata)
        except ValueError as error:
            return Verdict.unknown("error", str(error))
        if not reply.strip():
            return Verdict.no_answer("the reply is empty")
        variants = list(_variants(reply.text)) if self.mode == "loose" else [reply.text]
        followed = [_followed(check, variants) for _, check in checks]
        found = [{"instruction": name, "followed": is_so} for (name, _), is_so in zip(checks, followed, strict=True)]
        details = json.dumps({"mode": self.mode, "instructions": found})
        broken = [name for (name, _), is_so in zip(checks, followed, strict=True) if is_so is False]
        open_ones = [name for (name, _), is_so in zip(checks, followed, strict=True) if is_so is None]
        if open_ones and not (broken and self.score == "all"):
            return Verdict(None, "error", None, f"can't be told of so short a reply: {', '.join(open_ones)}", details)
        share = (len(checks) - len(broken)) / len(checks)
        said = f"not followed: {', '.join(broken)}" if broken else None
        return Verdict(share if self.score == "share" else float(not broken), "scored", None, said, details)


def _checks(metadata: Mapping[str, Any]) -> Sequence[tuple[str, Check]]:
    """The checks by the ids of their instructions. Raises ValueError."""
    names = _listed(metadata, "instruction_id_list")
    if not names:
        raise ValueError("no instructions in metadata.instruction_id_list")
    given = _listed(metadata, "kwargs") or [{}] * len(names)
    if len(given) != len(names):
        raise ValueError(f"metadata.kwargs has {len(given)} items for {len(names)} instructions")
    checks = []
    for name, args in zip(names, given, strict=True):
        if not isinstance(name, str) or name not in CONSTRAINTS:
            near = get_close_matches(str(name), CONSTRAINTS, n=1, cutoff=0.4)
            meant = f", did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"metadata.instruction_id_list: there is no instruction {str(name)[:80]!r}{meant}")
        if not isinstance(args, Mapping | None):
            raise ValueError(f"metadata.kwargs: that of {name} is a {type(args).__name__}, not an object")
        try:
            checks.append((name, CONSTRAINTS[name](args or {})))
        except ValueError as error:
            raise ValueError(f"metadata.kwargs of {name}: {error}") from None
    return checks


def _listed(metadata: Mapping[str, Any], name: str) -> list[Any]:
    """A list in the metadata, or the JSON of one; [] where there is none."""
    value = metadata.get(name)
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"metadata.{name} is a text, and not JSON") from None
    if value in (None, ""):
        return []
    if not isinstance(value, list):
        raise ValueError(f"metadata.{name} is a {type(value).__name__}, not a list")
    return value


def _variants(reply: str) -> Iterator[str]:
    """The reply, without its first and its last line, and each of these without asterisks."""
    lines = reply.split("\n")
    for part in (lines, lines[1:], lines[:-1], lines[1:-1]):
        text = "\n".join(part).strip() if part is not lines else reply
        for variant in (text, text.replace("*", "")):
            if variant.strip():
                yield variant


def _followed(check: Check, variants: Sequence[str]) -> bool | None:
    """Whether one of the texts follows it; None where none does and one can't be told."""
    found = [check(text) for text in variants]
    return True if True in found else None if None in found else False
