"""rsr: training data by rejection sampling and best-of-N.

For a file with a plug-in of one's own: `from rsr_cli import Completion, Filter, Formatter, Group, Judge, Sampler,
Verdict, Verifier`. For a notebook: `rsr_cli.open("w")` reads a work dir.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsr_cli.plugins.contracts import Filter, Formatter, Judge, Sampler, Verifier
    from rsr_cli.store.reader import open_work_dir as open
    from rsr_cli.types import Attempt, Completion, Group, Prompt, Reply, Rollout, Verdict

__version__ = "0.1.0"

_PLACES = {
    **dict.fromkeys(("Filter", "Formatter", "Judge", "Sampler", "Verifier"), "plugins.contracts"),
    **dict.fromkeys(("Attempt", "Completion", "Group", "Prompt", "Reply", "Rollout", "Verdict"), "types"),
}
__all__ = [
    "Attempt",
    "Completion",
    "Filter",
    "Formatter",
    "Group",
    "Judge",
    "Prompt",
    "Reply",
    "Rollout",
    "Sampler",
    "Verdict",
    "Verifier",
    "open",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line needs none of them to start."""
    if name == "open":
        return import_module("rsr_cli.store.reader").open_work_dir
    if name in _PLACES:
        return getattr(import_module(f"rsr_cli.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
