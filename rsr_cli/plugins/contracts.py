"""The five kinds of plug-ins: what an author writes, and a default for everything else.

A plug-in is a class. Deriving it from one of these gives it the defaults; a class that only has the methods works too.
Options of the config are keyword arguments of the class; a pydantic model has them checked before anything runs.
Plug-ins raise plain Python: rsr says whose fault it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from rsr_cli.errors import RsrError
from rsr_cli.types import Completion, Group, Prompt, Reply, Rollout, Verdict


class Sampler:
    r"""A backend: draws completions of prompts. Write `complete`.

    ```python
    from rsr_cli import Completion, Sampler


    class Echo(Sampler):
        async def complete(self, prompt, attempt):
            return Completion(response=f"\\boxed{{{prompt.metadata['answer']}}}")
    ```

    `settings` is the `sampler` section of the config (options of one's own stand in `settings.extra_params`),
    `run_seed` is `sampling.seed`. A sampler is entered as an async context, and called for many prompts at once.

    What fails for good for one prompt is a completion with `error` set; what stops the whole run (a bad key, a dead
    server) is raised as a `BackendError`. Retrying what is worth a retry is the sampler's own affair.
    """

    whole_steps: ClassVar[bool] = False
    """True where an answer takes so long that a step is better asked for as a whole."""

    def __init__(self, settings: Any, run_seed: int | None = None) -> None:
        self.settings = settings
        self.run_seed = run_seed

    @property
    def capacity(self) -> int:
        """How many calls of `sample` it can keep busy now; this may change from call to call."""
        return int(self.settings.concurrent_requests)

    @property
    def asked_again(self) -> int:
        """How many requests are under way that have failed at least once."""
        return 0

    @property
    def together(self) -> bool:
        """True where a call with several attempts is one request; else each attempt is best a call of its own."""
        return False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    def work_in(self, folder: Path) -> None:
        """Keep files in this folder of the work dir, where a later run finds them; called before it is entered."""

    async def complete(self, prompt: Prompt, attempt: int) -> Completion:
        """Return the completion of one attempt. It may take `sampler.timeout` seconds."""
        raise NotImplementedError(f"{type(self).__name__} has neither `complete` nor `sample`")

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        """Yield one completion per attempt number, in order of arrival.

        Override it where one request brings several completions; else `complete` is called for each attempt.
        """
        for attempt in attempts:
            yield await self._complete_in_time(prompt, attempt)

    async def extend(self, prompt: Prompt, cut: Completion, *, max_tokens: int, from_prefix: bool) -> Completion:
        """Go on with an attempt that was cut at max_tokens, for `sampling.on_truncation`; optional.

        Makes one more request, of at most `max_tokens`, that goes on from the text of `cut` or draws the same attempt
        from its start. Returns the whole attempt, the tokens of both requests added up, or one with an `error`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `extend`")

    async def _complete_in_time(self, prompt: Prompt, attempt: int) -> Completion:
        limit = self.settings.timeout
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(limit) as deadline:
                completion = await self.complete(prompt, attempt)
        except TimeoutError:
            if not deadline.expired():
                raise
            late = f"the sampler {type(self).__name__} did not answer within {limit:g} s (sampler.timeout)"
            completion = Completion(response=None, finish_reason="error", error=late)
        if not isinstance(completion, Completion):
            raise TypeError(f"`complete` returned a {type(completion).__name__}, not a Completion")
        return replace(
            completion,
            attempt=attempt,
            model=completion.model or self.settings.model,
            latency_s=completion.latency_s or asyncio.get_running_loop().time() - began,
        )


class Verifier:
    """Scores one reply by rules. Write `verify`.

    ```python
    from rsr_cli import Verifier


    class Exact(Verifier):
        def verify(self, reply, prompt):
            return reply.strip() == str(prompt.metadata["answer"])
    ```

    It runs in a worker process that is killed where a reply takes longer than `verifier.time_limit` or more memory
    than `verifier.memory_limit_mb`, so it keeps no state that matters. What it prints goes to stderr.
    """

    file_options: ClassVar[frozenset[str]] = frozenset()
    """The options that name a file, whose content counts as part of the verifier."""
    no_verdict_change: ClassVar[frozenset[str]] = frozenset()
    """The options that cannot change a verdict: a change of them leaves the verdicts valid."""

    def verify(self, reply: Reply, prompt: Prompt) -> Verdict | float | bool:
        """Return the verdict on a reply, or its score alone (a pass is 1.0 by default, True is 1.0).

        `reply` is the text after the thinking. Raise, or return `Verdict.unknown`, where the verifier itself failed:
        that is never a wrong answer. Return `Verdict.no_answer()` where the reply states none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `verify`")

    def warm_up(self) -> None:
        """Load what the first reply needs. Called once in each worker, outside the time limit."""

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored (it has no gold, say), None where only trying shows it."""
        return None

    def stating(self, gold: str) -> str | None:
        """Return a reply that gives this gold as its answer, as the audit scores it to find golds that do not pass;
        None where verdicts do not depend on golds."""
        return gold if "\\boxed" in gold else f"The answer is \\boxed{{{gold}}}."

    @property
    def score_range(self) -> tuple[float, float] | None:
        """The lowest and the highest score that it can give; None where that is not known."""
        return None


class Judge:
    """A verifier that asks a model. Write an async `verify`, or `judge` where verdicts compare the replies.

    ```python
    from rsr_cli import Judge


    class SaysSo(Judge):
        def __init__(self, word):
            self.word = word

        async def verify(self, reply, prompt):
            return self.word in reply
    ```

    It runs on the event loop of rsr's own process, so that many requests can be under way: a long computation belongs
    into a thread. It is entered as an async context. What stops the whole run is raised as a `BackendError`.
    """

    file_options: ClassVar[frozenset[str]] = frozenset()
    no_verdict_change: ClassVar[frozenset[str]] = frozenset()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    @property
    def compares(self) -> bool:
        """True where a verdict depends on the other replies of the prompt: `judge` then gets all of them together."""
        return False

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored (it has no gold, say), None where only trying shows it."""
        return None

    @property
    def score_range(self) -> tuple[float, float] | None:
        """The lowest and the highest score that it can give; None where that is not known."""
        return None

    @property
    def cost(self) -> float:
        """The money that it was paid since it was made."""
        return 0.0

    def cache_in(self, folder: Path) -> None:
        """Keep answers in this folder of the work dir; called before the judge is entered."""

    async def verify(self, reply: Reply, prompt: Prompt) -> Verdict | float | bool:
        """Return the verdict on a reply, or its score alone. A failure is raised, or returned as `Verdict.unknown`."""
        raise NotImplementedError(f"{type(self).__name__} has neither `verify` nor `judge`")

    async def judge(self, prompt: Prompt, replies: Mapping[int, Reply]) -> Mapping[int, Verdict | float | bool]:
        """Return the verdicts on the replies of a prompt, by attempt number."""

        async def verdict(reply: Reply) -> Verdict | float | bool:
            try:
                return await self.verify(reply, prompt)
            except RsrError:
                raise
            except (Exception, SystemExit) as error:  # in a task SystemExit would end the event loop
                what = f"the judge {type(self).__name__} raised {type(error).__name__}: {error}"
                return Verdict.unknown("error", what[:500])

        return dict(zip(replies, await asyncio.gather(*map(verdict, replies.values())), strict=True))


class Formatter:
    """Turns a group into training rows. Write `format`.

    ```python
    from rsr_cli import Formatter


    class Shortest(Formatter):
        def format(self, group):
            passed = [rollout for rollout, score in group.scored() if score >= 1.0]
            best = min(passed, key=lambda rollout: len(rollout.response), default=None)
            return [{"id": group.prompt.id, "text": best.response}] if best else []
    ```

    The group holds what the filters keep. It runs wherever a shard is worked on, so it keeps no state.
    """

    schema: ClassVar[Any] = None
    """The pyarrow schema of the rows; None: the types of the rows that there are."""
    has_target: ClassVar[bool] = True
    """False where a formatter takes what there is, and early stop need not ask it."""
    compares: ClassVar[bool] = False
    """True where the prompt's reference completion is scored and stands beside the rollouts."""

    @property
    def takes_all(self) -> bool:
        """True where it needs to see all rollouts of a prompt, so that it never stops one early."""
        return False

    @property
    def makes_pairs(self) -> bool:
        """True where a row takes two responses of a prompt."""
        return False

    def out_of_reach(self, lowest: float, highest: float) -> str | None:
        """Return why a verifier with scores in this range can never satisfy it, None where it can."""
        return None

    def refusal(self, seen: Any) -> str | None:
        """Return what of the messages (see `formatters.messages.Seen`) its rows have no place for, None where it can
        write them all."""
        return None

    def fitted(self, seen: Any, tools: list[Any] | None) -> Formatter:
        """Return the formatter with columns for all that messages hold, and for the tools of all prompts."""
        return self

    def is_satisfied(self, group: Group) -> bool:
        """Return whether the group holds all that this formatter needs, so that its prompt may stop early."""
        return bool(self.format(group))

    def format(self, group: Group) -> list[dict[str, Any]]:
        """Return the training rows of a group, [] where it gives none."""
        raise NotImplementedError(f"{type(self).__name__} has no method `format`")


class Filter:
    """Leaves rollouts out of what formatters see: a pass that is filtered is no pass. Write `keep`.

    ```python
    from rsr_cli import Filter


    class NoApology(Filter):
        def keep(self, rollout, group):
            return True if "sorry" not in rollout.response.lower() else "it apologises"
    ```

    The same filters are asked while sampling and by format, so early stop and training files never disagree.
    """

    def keep(self, rollout: Rollout, group: Group) -> Literal[True] | str:
        """Return True, or the reason why the rollout is left out. It is asked about every valid rollout."""
        raise NotImplementedError(f"{type(self).__name__} has no method `keep`")
