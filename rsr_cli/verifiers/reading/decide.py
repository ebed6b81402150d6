"""Which claim of a reply counts. The table in docs/verifiers.md says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from rsr_cli.verifiers.reading.claims import Claim, Cue, Value

MOST_SHOWN = 200
"""Characters of a claim that are shown."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[Value]):
    """`value` is None where nothing is claimed in the end; `either` where two values are left open.

    `events` are the claims and cues that it was decided from, at their places in `text`.
    """

    value: Value | None
    why: str
    either: bool = False
    claim: Claim[Value] | None = None
    text: str = ""
    events: tuple[Claim[Value] | Cue, ...] = ()

    def explain(self) -> dict[str, Any]:
        """The claims, which of them counts, and why, as plain data."""
        return {
            "claims": [self._explained(event) for event in self.events],
            "why": self.why,
            "left_open": self.either,
        }

    def _explained(self, event: Claim[Value] | Cue) -> dict[str, Any]:
        place = {"place": event.start, "text": " ".join(self.text[event.start : event.end].split())[:MOST_SHOWN]}
        if isinstance(event, Cue):
            return {"kind": "retraction" if event.certain else "second thought", **place}
        counts = event is self.claim and self.value is not None
        return {"kind": event.kind.name.lower(), "stance": event.stance, "counts": counts, **place}


def decide(
    text: str,
    events: Sequence[Claim[Value] | Cue],
    same: Callable[[Value, Value], bool],
    looser: Callable[[Cue, Value], Value | None],
) -> Decision[Value]:
    """The claim that counts of those in `events`, which are in the order of the text.

    `same` says whether two values are one. `looser` reads what the text from a cue on comes to, in words that are no
    claim by themselves: the value claimed before where they confirm it, None where they name none.
    """
    held: Claim[Value] | None = None
    cue: Cue | None = None
    why, either = "no claim", False
    for event in events:
        if isinstance(event, Cue):
            if held is not None and (cue is None or event.certain or not cue.certain):
                cue = event if cue is None or not cue.certain else Cue(cue.start, event.end, True)
        elif event.stance == "denied":
            if held is not None and same(held.value, event.value):
                held, either, why = None, False, "the claim is denied afterwards"
        elif event.stance == "tentative":
            if held is None:
                held, why, either = event, "a tentative claim", True
            elif not same(held.value, event.value):
                either, why = True, "two values are left open"
        elif held is None or (either and held.stance == "tentative") or cue is not None or event.kind >= held.kind:
            why = "it takes back the one before" if cue is not None else f"the last of its kind ({event.kind.name})"
            held, cue, either = event, None, False
    if cue is not None and held is not None:
        revised = looser(cue, held.value)
        if revised is not None and not same(revised, held.value):
            return Decision(revised, "a second thought takes back the claim before", False, None, text, tuple(events))
        if cue.certain and revised is None:
            return Decision(None, "the claim is taken back", False, None, text, tuple(events))
    return Decision(held.value if held else None, why, either, held, text, tuple(events))
