"""Which claim of a reply counts. The table in docs/verifiers.md says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from rsr_cli.verifiers.reading.claims import Claim, Cue, Value


@dataclass(frozen=True, slots=True)
class Decision(Generic[Value]):
    """`value` is None where nothing is claimed in the end; `either` where two values are left open."""

    value: Value | None
    why: str
    either: bool = False
    claim: Claim[Value] | None = None


def decide(
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
            return Decision(revised, "a second thought takes back the claim before")
        if cue.certain and revised is None:
            return Decision(None, "the claim is taken back")
    return Decision(held.value if held else None, why, either, held)
