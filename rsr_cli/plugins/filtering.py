"""What formatters see of a group: the rollouts that every filter keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rsr_cli.errors import PluginError
from rsr_cli.plugins.boundary import boundary, plugin_name
from rsr_cli.plugins.contracts import Filter
from rsr_cli.types import Group


class Filtering:
    """The filters of a run, by name. The loop and format ask the same ones, so early stop and training files agree."""

    def __init__(self, filters: Mapping[str, Filter]) -> None:
        self._filters = filters

    def kept(self, group: Group) -> Group:
        """Return the group without the rollouts that some filter leaves out; itself where there is none."""
        left_out = {number for number, _, _ in self.left_out(group)}
        if not left_out:
            return group
        attempts = {number: attempt for number, attempt in group.attempts.items() if number not in left_out}
        return Group(group.prompt, attempts, group.verdicts, group.again)

    def left_out(self, group: Group) -> Iterator[tuple[int, str, str]]:
        """Yield the attempt, the filter and its reason for each rollout that is left out, the first filter's only."""
        for rollout in group.rollouts() if self._filters else ():
            for name, item in self._filters.items():
                with boundary("filter", item, f"the prompt {group.prompt.id!r}"):
                    kept = item.keep(rollout, group)
                if kept is True:
                    continue
                if not isinstance(kept, str):
                    raise PluginError(
                        f"the filter {plugin_name(item)} returned {kept!r:.80} on the prompt {group.prompt.id!r}",
                        "`keep` returns True, or the reason why the rollout is left out",
                    )
                yield rollout.attempt.attempt, name, kept
                break
