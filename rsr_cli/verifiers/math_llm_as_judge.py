"""`math-llm-as-judge`: an LLM says whether the final answer of a reply equals the gold, where the rules can't."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import PrivateAttr

from rsr_cli.plugins.contracts import Judge
from rsr_cli.reply import final_reply
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.judging import prompts
from rsr_cli.verifiers.judging.calls import LlmOptions, all_of
from rsr_cli.verifiers.judging.content import EMPTY, has_content
from rsr_cli.verifiers.judging.judgement import Unreadable, read_object
from rsr_cli.verifiers.judging.prompts import Rubric
from rsr_cli.verifiers.math_rlvr import MathRlvr

_ANSWERS = ("yes", "no", "unsure")
_FORM = '{"equal": "yes" or "no" or "unsure"}'
_BARE = re.compile(r"[\s*_`\"'.]*(yes|no|unsure)[\s*_`\"'.!]*", re.IGNORECASE)
_TAIL = 300
"""Characters of a reply's end that are shown where the rules find no answer in it."""
_RULES_S = 10.0
"""How long the rules may look at one reply; then the end of the reply is shown."""


class MathLlmAsJudge(LlmOptions, Judge):
    """A judge for math: is the answer that the reply ends in equal to `metadata.answer`?

    The rules of `math-rlvr` are asked first, and cut out the answer: the judge never sees how it was reached.
    """

    compares: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = MathRlvr.score_range

    when: Literal["undecided", "always"] = "undecided"
    """undecided: only where the rules find no answer or can't compare it. always: for every reply; what the rules say
    is in the details."""

    _rules: MathRlvr = PrivateAttr(default_factory=MathRlvr)
    _rubric: Rubric = PrivateAttr(
        default_factory=lambda: Rubric(prompts.EQUALITY, ("question", "gold", "answer"), ("gold", "answer"))
    )

    @property
    def reply_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"equal": {"type": "string", "enum": list(_ANSWERS)}},
            "required": ["equal"],
            "additionalProperties": False,
        }

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored."""
        return self._rules.cannot_score(prompt)

    async def judge(self, prompt: Prompt, replies: Mapping[int, str]) -> dict[int, Verdict]:
        """Return a verdict for each reply. Raises BackendError where the run can't go on."""
        return dict(zip(replies, await all_of(self._verdict(prompt, reply) for reply in replies.values()), strict=True))

    async def _verdict(self, prompt: Prompt, reply: str) -> Verdict:
        if why := self.cannot_score(prompt):
            return Verdict.unknown("error", why)
        if not has_content(reply):
            return Verdict.no_answer(EMPTY)
        by_rules = await self._by_rules(prompt, reply)
        if by_rules.status == "scored" and self.when == "undecided":
            return by_rules
        answer = by_rules.extracted_answer or _tail(reply)
        if not has_content(answer):
            return Verdict.no_answer(EMPTY)
        gold = _gold_text(prompt.metadata["answer"])
        question = prompts.question(prompt.messages) or None
        text = self._rubric.render({"question": question, "gold": gold, "answer": answer}, _FORM)
        call = await self.ask(text, partial(_read, answer))
        rules = {"score": by_rules.score, "status": by_rules.status, "extracted_answer": by_rules.extracted_answer}
        details = {"judge": call.model, "equal": call.found, "answer": answer, "rules": rules, **call.record()}
        verdict = {
            "yes": Verdict(1.0, "scored", answer, "the judge finds it equal to the gold"),
            "no": Verdict(0.0, "scored", answer, "the judge finds it different from the gold"),
            "unsure": Verdict(None, "error", answer, "the judge can't tell whether it is the gold"),
            None: Verdict(None, call.failure or "error", answer, call.why),
        }[call.found]
        kept = json.dumps({**details, "prompt": text}, ensure_ascii=False)
        return replace(verdict, details=kept.encode("utf-8", "replace").decode())

    async def _by_rules(self, prompt: Prompt, reply: str) -> Verdict:
        """What the rules say. In a thread: the other requests must not wait for them."""
        try:
            async with asyncio.timeout(_RULES_S):
                return await asyncio.to_thread(self._rules.verify, reply, prompt.metadata)
        except Exception as error:
            return Verdict.unknown("error", f"the rules failed: {type(error).__name__}: {error}")


def _read(material: str, text: str) -> str:
    bare = _BARE.fullmatch(final_reply(text) or "")
    found = bare[1] if bare else read_object(text, ("equal",), material=material)["equal"]
    if not isinstance(found, str) or found.strip().lower() not in _ANSWERS:
        raise Unreadable('the answer was not "yes", "no" or "unsure"')
    return found.strip().lower()


def _gold_text(gold: Any) -> str:
    """The gold as the judge sees it: several are alternatives, and working before #### is left out."""
    golds = gold if isinstance(gold, list | tuple) else [gold]
    return "\nor: ".join(str(item).rpartition("####")[2].strip() for item in golds if item is not None)


def _tail(reply: str) -> str:
    """The last lines of a reply, or the end of its last one."""
    lines: list[str] = []
    for line in reversed(reply.strip().splitlines()):
        if lines and sum(map(len, lines)) + len(line) > _TAIL:
            break
        if line.strip():
            lines.append(line.strip())
        if len(lines) == 3:
            break
    return "\n".join(reversed(lines))[-_TAIL:]
