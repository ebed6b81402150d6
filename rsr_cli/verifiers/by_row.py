"""`by_row`: each prompt names the verifier that scores its replies, so that a mixture of tasks is one run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Self

from pydantic import model_validator

from rsr_cli.plugins.composite import Ask, Composite, recorded
from rsr_cli.types import Prompt, Verdict


class ByRow(Composite):
    """Hands the replies of a prompt to the member that the prompt's metadata names."""

    field: str = "verifier"
    """The key of the metadata that has the name of a member."""
    default: str | None = None
    """The member for prompts without a name; null: their replies can't be scored."""

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        names = [name for name, _ in self.named()]
        given = [member.name or member.type for member in self.members]
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise ValueError(f"members: {twice[0]!r} stands for two of them: give each a `name` of its own")
        if self.default is not None and self.default not in names:
            raise ValueError(f"default: {_unknown(self.default, names)}")
        return self

    def cannot_score(self, prompt: Prompt, reasons: Mapping[str, str | None]) -> str | None:
        """Return why the prompt names no member, or the reason of the one that it names."""
        name, why = self._chosen(prompt)
        return why or reasons[name]

    def asked(self, prompt: Prompt) -> list[str]:
        """Return the one member that the prompt names."""
        name, why = self._chosen(prompt)
        return [] if why else [name]

    async def verdicts(self, prompt: Prompt, numbers: Sequence[int], ask: Ask) -> dict[int, Verdict]:
        name, why = self._chosen(prompt)
        if why:
            return dict.fromkeys(numbers, Verdict.unknown("error", why))
        return {number: _marked(verdict, name) for number, verdict in (await ask(name, numbers)).items()}

    def _chosen(self, prompt: Prompt) -> tuple[str, str]:
        """The name of the prompt's member, and "" or why there is none."""
        names = [name for name, _ in self.named()]
        given = prompt.metadata.get(self.field)
        if given is None or given == "":
            return self.default or "", "" if self.default else f"no metadata.{self.field}, and verifier.default is null"
        if not isinstance(given, str):
            return "", f"metadata.{self.field} is a {type(given).__name__}, not the name of a member"
        return given, "" if given in names else f"metadata.{self.field}: {_unknown(given, names)}"


def _unknown(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    meant = f", did you mean {near[0]!r}?" if near else ""
    return f"there is no member {name[:80]!r}{meant} (members: {', '.join(names)})"


def _marked(verdict: Verdict, name: str) -> Verdict:
    details = {"decided_by": name, "members": {name: recorded(verdict)}}
    return replace(verdict, details=json.dumps(details, ensure_ascii=False).encode("utf-8", "replace").decode())
