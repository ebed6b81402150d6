"""Guards: shares that no healthy run shows for long, watched from the first hundred completions on.

Hard prompts take far more attempts than easy ones, and the tail of every run is theirs: a share of the attempts would
rise in any run. So a guard looks at the prompts that were begun last, and each of them counts once; and a share must be
beyond its limit by more than chance explains.
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
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.sampling.windows import Texts, Window
from rsr_cli.types import Attempt, Verdict

_PROMPTS = 100
"""The least size of a window."""
_LEAST = 50
"""The attempts that a guard must have seen before it judges."""
_LEAST_UNSCORED = 30
"""The verdicts that the guard on unknown ones must have seen: it judges while the loop waits for the first ones."""
_LEAST_PROMPTS = 10
"""The prompts that these must be of."""
_LEAST_TEXTS = 20
"""The prompts whose responses are compared with each other."""
_STANDARD_ERRORS = 2.0
"""The standard errors by which a share must be beyond its limit."""
_BETWEEN = 20
"""Attempts or verdicts from one judging to the next."""
_SILENCE_S = 1800.0
"""From a warning to the same one again."""
_EDGE = 64
"""Characters at the edges of a text in which a think tag shows."""


class Guards(Watcher):
    """Is told of every attempt and verdict. Beyond `warn` a share is told, beyond `stop` it ends the run.

    `passes` says whether a score is a pass; `work_dir` is named in what to do next. With many requests in flight the
    quick answers come first, and those that hold nothing are quick: what counts these waits until as many have arrived
    as are in flight, and the window is twice as long, so that no burst fills it.
    """

    def __init__(
        self,
        config: Config,
        passes: Callable[[float], bool],
        work_dir: str,
        warn: Callable[[str], None],
        unscored_advice: Callable[[bool], str],
    ) -> None:
        """`unscored_advice` says what to do about replies that can't be scored, some of which may have timed out."""
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
        """What was the matter with the last attempt that a guard has counted."""
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
        self._judge_now_and_then()

    def judged(self, attempt: Attempt, verdict: Verdict, *, begins: bool | None = None) -> None:
        """`begins` is true where prompts count that an earlier run has begun; else those count that this one begins."""
        found: list[str] = []
        if verdict.score is None:
            found.append("unscored")
            self._latest["unscored"] = f"{verdict.status}: {verdict.explanation or 'no reason given'}"
        elif not self._passes(verdict.score):
            found.append("no_pass")
        if verdict.status == "no_answer" and not missing_reply(attempt):  # what has no reply is another guard's
            found.append("no_answer")
        self._verdicts.add(attempt.id, found, begins=attempt.step == 0 if begins is None else begins)
        self._judge_now_and_then()

    async def watch(self) -> None:
        """Raises the GuardStop of the first guard that trips; returns never."""
        await self._tripped.wait()
        self.raise_if_tripped()

    def raise_if_tripped(self) -> None:
        if self._stop is not None:
            raise self._stop

    def _judge_now_and_then(self) -> None:
        self._events += 1
        if self._events % _BETWEEN == 0:
            for name, share, prompts in self._shares():
                self._judge(name, share, prompts)

    def _shares(self) -> Iterator[tuple[str, float, int]]:
        """Of the guards that have seen enough: the share and the prompts that it is of."""
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

    def _judge(self, name: str, share: float, prompts: int) -> None:
        limits: Limits = getattr(self._config.guards, name)
        if self._stop is None and _beyond(share, limits.stop, prompts):
            what, change = self._told(name, share)
            self._stop = GuardStop(
                f"the guard on {name} stops the run: {what} (its limit is {limits.stop:.0%}). What arrived is kept",
                f"{change}\n  to go on as it is: rsr resume -w {self._work_dir} guards.{name}.stop=null",
            )
            self.tripped = True
            self._tripped.set()
        elif _beyond(share, limits.warn, prompts) and self._may_warn(name):
            self._warned[name] = time.monotonic()
            what, change = self._told(name, share)
            self._warn(f"{what}. {change[0].upper()}{change[1:]}")

    def _may_warn(self, name: str) -> bool:
        return self._stop is None and time.monotonic() - self._warned.get(name, -_SILENCE_S) >= _SILENCE_S

    def _told(self, name: str, share: float) -> tuple[str, str]:
        """What was seen, and what to change."""
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
                    f"once that is mended: rsr resume -w {root} --retry-errors",
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
                    "does the server heed both? More draws of the same bring nothing: set a higher temperature "
                    "(in a new work dir), or sampling.max_rollouts=1",
                )


def missing_reply(attempt: Attempt) -> str | None:
    """Why a whole completion holds no reply; None where it holds one.

    Cheap: a long text is searched for its thinking only where it begins with some.
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
    members = config.sampler.members
    return sum(member.concurrent_requests for member in members) if members else config.sampler.concurrent_requests


def _beyond(share: float, limit: float | None, prompts: int) -> bool:
    """By more than chance explains, were the prompts drawn at random."""
    if limit is None or share <= limit + 1e-9:
        return False
    return share - _STANDARD_ERRORS * sqrt(max(0.0, share * (1 - share)) / prompts) > limit
