"""What the loop reports, as it happens."""

from __future__ import annotations

from rsr_cli.clients.estimates import Usage
from rsr_cli.sampling.queue import Ending, OpenGroup
from rsr_cli.types import Attempt, Verdict


class Watcher:
    """Observes a run of the loop, on its event loop. An exception of a method ends the run."""

    tripped: bool = False
    """While any watcher is tripped, the loop makes no new requests."""

    def arrived(self, attempt: Attempt, usage: Usage) -> None:
        """An attempt has been recorded; `usage` is its tokens, estimated where the server reports none."""

    def judged(self, attempt: Attempt, verdict: Verdict) -> None:
        """The verdict on an attempt has been recorded."""

    def ended(self, opened: OpenGroup, reason: Ending) -> None:
        """A group has left the loop, with nothing pending."""
