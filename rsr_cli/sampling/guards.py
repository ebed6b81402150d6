"""Guards: limits on the shares of truncated, failed, empty … completions, from the first hundred completions on.

Hard prompts take far more attempts than easy ones, and dominate the tail of every run, so a share of all attempts would
rise in any run. A guard therefore looks at the prompts that were begun last, weighs each of them equally, and trips
only where the share is significantly beyond its limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from math import sqrt

from rsr_cli.clients.estimates import Usage
from rsr_cli.config.settings import Config, Limits
from rsr_cli.errors import GuardStop, printable
from rsr_cli.reply import final_reply
from rsr_cli.sampling.guard_windows import Texts, Window
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.types import Attempt, Verdict

_PROMPTS = 100
"""The minimum size of a window."""
_LEAST = 50
"""The minimum number of attempts before a guard is evaluated."""
_LEAST_UNSCORED = 30
"""The minimum number of verdicts for the guard on unknown ones: the loop waits for the first verdicts meanwhile."""
_LEAST_PROMPTS = 10
"""The minimum number of prompts that they belong to."""
_LEAST_TEXTS = 20
"""The minimum number of prompts whose responses are compared with each other."""
_STANDARD_ERRORS = 2.0
"""A share must be beyond its limit by this many standard errors."""
_BETWEEN = 20
"""Attempts or verdicts between evaluations."""
_SILENCE_S = 1800.0
"""Between two warnings of the same guard."""
_EDGE = 64
"""Characters at the start or end of a text that are searched for a think tag."""


class Guards(Watcher):
    """Watches every attempt and verdict. A share beyond `warn` is reported, a share beyond `stop` ends the run.

    `passes` says whether a score is a pass; `work_dir` appears in the advice. With many requests in flight the quick
    answers arrive first, and empty ones are quick: the guards on these wait until as many answers have arrived as are
    in flight, and the window is twice as long, so that no burst fills it.
    """

    def __init__(
        self,
        config: Config,
        passes: Callable[[float], bool],
        work_dir: str,
        warn: Callable[[str], None],
        unscored_advice: Callable[[bool], str],
    ) -> None:
        """`unscored_advice` returns what to do about replies that can't be scored, given whether some timed out."""
        self._config = config
        self._passes = passes
        self._work_dir = work_dir
        self._warn = warn
        self._unscored_advice = unscored_advice
        self._in_flight = requests_in_flight(config)
        size = max(_PROMPTS, 2 * self._in_flight)
        self._attempts = Window(size)
        self._verdicts = Window(size)
        self._repeats = Window(size)
        self._texts = Texts(size)
        self._latest = {"errors": "", "empty": "", "unscored": ""}
        """The description of the latest attempt that each guard has counted."""
        self._events = 0
        self._warned: dict[str, float] = {}
        self._stop: GuardStop | None = None
        self._tripped = asyncio.Event()

    def arrived(self, attempt: Attempt, usage: Usage) -> None:
        found = ""
        if attempt.truncated:
            found = "truncation"
        elif attempt.error is not None:
            found, self._latest["errors"] = "errors", attempt.error
        elif missing := missing_reply(attempt):
            found, self._latest["empty"] = "empty", missing
        elif (repeats := self._texts.add(attempt)) is not None:
            self._repeats.add(attempt.id, ("repeated",) if repeats else (), begins=True)
        self._attempts.add(attempt.id, (found,) if found else (), begins=attempt.step == 0)
        self._evaluate_at_intervals()

    def judged(self, attempt: Attempt, verdict: Verdict, *, begins: bool | None = None) -> None:
        """`begins` is true where prompts that an earlier run has begun enter the window as well."""
        found: list[str] = []
        if verdict.score is None:
            found.append("unscored")
            self._latest["unscored"] = f"{verdict.status}: {verdict.explanation or 'no reason given'}"
        elif not self._passes(verdict.score):
            found.append("no_pass")
        if verdict.status == "no_answer" and not missing_reply(attempt):  # the guard on empty ones counts the others
            found.append("no_answer")
        self._verdicts.add(attempt.id, found, begins=attempt.step == 0 if begins is None else begins)
        self._evaluate_at_intervals()

    async def watch(self) -> None:
        """Raise the GuardStop of the first guard that trips; never return."""
        await self._tripped.wait()
        self.raise_if_tripped()

    def raise_if_tripped(self) -> None:
        """Raise the GuardStop of a guard that has tripped."""
        if self._stop is not None:
            raise self._stop

    def _evaluate_at_intervals(self) -> None:
        self._events += 1
        if self._events % _BETWEEN == 0:
            for name, share, prompts in self._shares():
                self._evaluate(name, share, prompts)

    def _shares(self) -> Iterator[tuple[str, float, int]]:
        """Yield the name, share and number of prompts of each guard that has seen enough."""
        at_first = max(_LEAST, self._in_flight)
        windows: list[tuple[str, Window, int]] = [
            ("truncation", self._attempts, _LEAST),
            ("errors", self._attempts, at_first),
            ("empty", self._attempts, at_first),
            ("no_answer", self._verdicts, at_first),
            ("unscored", self._verdicts, _LEAST_UNSCORED),
            ("no_pass", self._verdicts, _LEAST),
            ("repeated", self._repeats, _LEAST),
        ]
        for name, window, least in windows:
            if window.attempts >= least and len(window) >= _LEAST_PROMPTS:
                yield name, window.share(name), len(window)
        if len(self._texts) >= _LEAST_TEXTS:
            yield "identical", self._texts.most_common_share(), len(self._texts)

    def _evaluate(self, name: str, share: float, prompts: int) -> None:
        limits: Limits = getattr(self._config.guards, name)
        if self._stop is None and _beyond(share, limits.stop, prompts):
            what, change = self._describe(name, share)
            self._stop = GuardStop(
                f"the guard on {name} stops the run: {what} (its limit is {limits.stop:.0%}). What arrived is kept",
                f"{change}\n  to go on as it is: rsr resume -w {self._work_dir} guards.{name}.stop=null",
            )
            self.tripped = True
            self._tripped.set()
        elif _beyond(share, limits.warn, prompts) and self._may_warn(name):
            self._warned[name] = time.monotonic()
            what, change = self._describe(name, share)
            self._warn(f"{what}. {change[0].upper()}{change[1:]}")

    def _may_warn(self, name: str) -> bool:
        return self._stop is None and time.monotonic() - self._warned.get(name, -_SILENCE_S) >= _SILENCE_S

    def _describe(self, name: str, share: float) -> tuple[str, str]:
        """Return what was seen, and what to change."""
        root, sampler = self._work_dir, self._config.sampler
        of = f"{share:.0%} of"
        match name:
            case "truncation":
                return (
                    f"{of} the completions of the last {len(self._attempts)} prompts were cut at "
                    f"sampler.max_tokens={sampler.max_tokens}",
                    f"to give them more room: rsr resume -w {root} sampler.max_tokens={4 * sampler.max_tokens}",
                )
            case "errors":
                return (
                    f"{of} the attempts of the last {len(self._attempts)} prompts failed for good, the latest with: "
                    f"{printable(self._latest['errors'])[:200].rstrip('.')}",
                    f"once that is fixed: rsr resume -w {root} --retry-errors",
                )
            case "empty":
                return (
                    f"{of} the completions of the last {len(self._attempts)} prompts have no reply: "
                    f"{self._latest['empty']}",
                    "see that the server tells thinking from reply (vLLM: --reasoning-parser), and that both fit into "
                    f"sampler.max_tokens={sampler.max_tokens}; then rsr resume -w {root}",
                )
            case "no_answer":
                return (
                    f"the verifier finds no answer in {of} the replies of the last {len(self._verdicts)} prompts",
                    f"read some (rsr show -w {root} --status no_answer), then ask for a form that the verifier reads "
                    "(data.preprocess.instruction, in a new work dir) or take another verifier",
                )
            case "unscored":
                return (
                    f"{of} the replies of the last {len(self._verdicts)} prompts can't be scored, the latest for "
                    f"{printable(self._latest['unscored'])[:200].rstrip('.')}",
                    self._unscored_advice(self._latest["unscored"].startswith("timeout")),
                )
            case "no_pass":
                return (
                    f"{of} the scored replies of the last {len(self._verdicts)} prompts do not pass",
                    f"read some (rsr show -w {root} --failed), check the golds (rsr verify -w {root} --audit), or take "
                    "easier prompts; all attempts, verdicts and pass rates are kept",
                )
            case "identical":
                return (
                    f"{of} the last {len(self._texts)} prompts have got one and the same response",
                    "see what reaches the model: its chat template, sampler.model, a cache before it; "
                    f"then rsr resume -w {root}",
                )
            case _:
                return (
                    f"{of} the later responses of {len(self._repeats)} prompts repeat an earlier one word for word",
                    f"with sampler.temperature={sampler.temperature} and sampling.seed={self._config.sampling.seed}, "
                    "does the server apply both? More identical draws add nothing: set a higher temperature "
                    "(in a new work dir), or sampling.max_rollouts=1",
                )


def missing_reply(attempt: Attempt) -> str | None:
    """Return why a complete completion has no reply; None where it has one.

    A long text is searched for the end of its thinking only where it begins with thinking.
    """
    text = attempt.response
    if attempt.tool_calls is not None:
        return None
    if text is None:
        if attempt.finish_reason == "content_filter":
            return "it was filtered"
        return "all of it is thinking" if attempt.reasoning else "it is empty"
    if final_reply(text[:_EDGE]) is None and final_reply(text) is None:
        return "its thinking never ends"
    if not text.strip():
        return "it is empty"
    return "nothing follows the thinking" if final_reply(text[-_EDGE:]) == "" else None


def requests_in_flight(config: Config) -> int:
    """Return the number of concurrent requests, over all members of a mixture."""
    members = config.sampler.members
    return sum(member.concurrent_requests for member in members) if members else config.sampler.concurrent_requests


def _beyond(share: float, limit: float | None, prompts: int) -> bool:
    """Return whether the share is significantly beyond the limit, for a random sample of so many prompts."""
    if limit is None or share <= limit + 1e-9:
        return False
    return share - _STANDARD_ERRORS * sqrt(max(0.0, share * (1 - share)) / prompts) > limit
