"""Multiple choice where an LLM reads the letter out of the reply. It never sees the gold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import PrivateAttr

from rsr_cli.plugins.contracts import Judge
from rsr_cli.reply import final_reply
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.judging import prompts
from rsr_cli.verifiers.judging.calls import Call, LlmOptions, all_of
from rsr_cli.verifiers.judging.content import has_content
from rsr_cli.verifiers.judging.judgement import Unreadable, read_object
from rsr_cli.verifiers.judging.letters import NONE, read_letters
from rsr_cli.verifiers.judging.prompts import Rubric
from rsr_cli.verifiers.mcq_rlvr import McqRlvr

_LONGEST_BARE = 40
"""Characters of an answer without JSON."""
_FORM = '{"answer": "<the letter, such as B; several as A, C; or NONE>"}'


class McqLlmAsJudge(LlmOptions, Judge):
    """A judge for multiple choice: it reads the chosen letters, which are then compared with `metadata.answer`.

    Gold, options and comparison are those of `mcq-rlvr`, whose rules are asked first.
    """

    compares: ClassVar[bool] = False

    when: Literal["undecided", "always"] = "undecided"
    """undecided: only where the rules find no answer. always: for every reply; what they found is in the details."""

    _rules: McqRlvr = PrivateAttr(default_factory=McqRlvr)
    _rubric: Rubric = PrivateAttr(
        default_factory=lambda: Rubric(prompts.EXTRACTION, ("messages", "options", "reply"), ("reply",))
    )

    score_range: ClassVar[tuple[float, float]] = McqRlvr.score_range

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Why no reply to this prompt can be scored."""
        return self._rules.cannot_score(prompt)

    @property
    def reply_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"answer": {"type": "string"}},
            "required": ["answer"],
            "additionalProperties": False,
        }

    async def judge(self, prompt: Prompt, replies: Mapping[int, str]) -> dict[int, Verdict]:
        """A verdict for each reply. Raises BackendError where the run can't go on."""
        return dict(zip(replies, await all_of(self._verdict(prompt, reply) for reply in replies.values()), strict=True))

    async def _verdict(self, prompt: Prompt, reply: str) -> Verdict:
        by_rules = await self._by_rules(prompt, reply)
        decided = by_rules.status == "scored" and self.when == "undecided"
        if decided or by_rules.score is None or not has_content(reply):
            return by_rules
        options = _lettered(prompt.metadata.get("options"))
        text = self._rubric.render(
            {
                "messages": prompts.conversation(prompt.messages),
                "options": "\n".join(f"{letter}. {option}" for letter, option in options.items()) or None,
                "reply": reply,
            },
            _FORM,
        )
        call = await self.ask(text, lambda answer: _read_letters(answer, options))
        verdict = self._compared(call, prompt.metadata)
        details = {"judge": call.model, "answer": call.found, "rules": by_rules.extracted_answer, **call.record()}
        text_of_details = json.dumps({**details, "prompt": text}, ensure_ascii=False)
        return replace(verdict, details=text_of_details.encode("utf-8", "replace").decode())

    async def _by_rules(self, prompt: Prompt, reply: str) -> Verdict:
        try:
            # In a thread: a reply may be made to keep the rules busy, and the other requests must not wait for it.
            return await asyncio.to_thread(self._rules.verify, reply, prompt.metadata)
        except Exception as error:
            return Verdict.unknown("error", f"the rules failed: {type(error).__name__}: {error}")

    def _compared(self, call: Call[str], metadata: dict[str, Any]) -> Verdict:
        """The letters against the gold. The rules read them again, so the comparison is the rules' own."""
        if call.failure is not None:
            return Verdict.unknown(call.failure, call.why)
        if call.found == NONE:
            return Verdict.no_answer("the judge finds no choice in the reply")
        verdict = self._rules.verify(f"\\boxed{{{call.found}}}", metadata)
        return replace(verdict, explanation=f"the judge reads {call.found}")


def _read_letters(text: str, options: Mapping[str, str]) -> str:
    """Letters such as "B" or "A, C", or "NONE", from JSON or bare."""
    bare = (final_reply(text) or "").strip()
    answer = (
        bare if bare and len(bare) <= _LONGEST_BARE and ":" not in bare else read_object(text, ("answer",))["answer"]
    )
    if not isinstance(answer, str):
        raise Unreadable("the answer was no text")
    return read_letters(answer, options)


def _lettered(options: Any) -> dict[str, str]:
    """Option texts by upper-case letter, {} where they are not known."""
    if isinstance(options, Mapping):
        return {str(letter).strip(" ().").upper(): str(text) for letter, text in options.items()}
    if isinstance(options, list | tuple):
        return {chr(ord("A") + place): str(text) for place, text in enumerate(options[:26])}
    return {}
