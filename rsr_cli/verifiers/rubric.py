"""`rubric`: weighted criteria of each prompt, judged one by one by an LLM; their weighted share is the score."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
)

from rsr_cli.config.load import explain
from rsr_cli.plugins.contracts import Judge
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers.judging import prompts
from rsr_cli.verifiers.judging.calls import Bill, Call, LlmOptions, all_of
from rsr_cli.verifiers.judging.content import EMPTY, has_content
from rsr_cli.verifiers.judging.judgement import Unreadable, read_object
from rsr_cli.verifiers.judging.prompts import Rubric as Template

_FORM = '{"rationale": "<why, in a sentence or two>", "met": "yes" or "no" or "unsure"}'


class Criterion(BaseModel):
    """A statement about a reply, and what it counts where it holds. Other keys may stand beside it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    criterion: str = Field(min_length=1)
    weight: float = Field(1.0, allow_inf_nan=False, validation_alias=AliasChoices("weight", "points"))


def _texts_have_weight_one(value: Any) -> Any:
    return (
        [{"criterion": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value
    )


def _one_has_a_weight(criteria: list[Criterion]) -> list[Criterion]:
    if criteria and not any(item.weight for item in criteria):
        raise ValueError("all weights are 0")
    return criteria


Criteria = Annotated[
    list[Criterion], BeforeValidator(_texts_have_weight_one), AfterValidator(_one_has_a_weight), Field(min_length=1)
]
_CRITERIA: TypeAdapter[list[Criterion]] = TypeAdapter(Criteria)


class Found(NamedTuple):
    """What a judge says of one criterion."""

    met: Literal["yes", "no", "unsure"]
    rationale: str


class Rubric(LlmOptions, Judge):
    """A judge for replies that many things count for. It is asked about each criterion of `metadata.rubric` by itself.

    The score is the weight of the criteria that are met, as a share of all positive weights, within 0 and 1.
    """

    compares: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    rubric: Criteria | None = None
    """Criteria for the prompts that have no `metadata.rubric`, each with its weight."""
    min_known: float = Field(1.0, gt=0, le=1)
    """The least share of the weights that must be known for a score; then the known ones decide. 1.0: all of them."""

    _template: Template = PrivateAttr(
        default_factory=lambda: Template(prompts.CRITERION, ("messages", "reply", "criteria"), ("reply", "criteria"))
    )

    @property
    def reply_schema(self) -> dict[str, Any]:
        met = {"type": "string", "enum": ["yes", "no", "unsure"]}
        return {
            "type": "object",
            "properties": {"rationale": {"type": "string"}, "met": met},
            "required": ["rationale", "met"],
            "additionalProperties": False,
        }

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored."""
        try:
            self._criteria(prompt)
        except ValueError as error:
            return str(error)
        return None

    async def judge(self, prompt: Prompt, replies: Mapping[int, str]) -> dict[int, Verdict]:
        """Return a verdict for each reply. Raises BackendError where the run can't go on."""
        try:
            criteria = self._criteria(prompt)
        except ValueError as error:
            return dict.fromkeys(replies, Verdict.unknown("error", str(error)))
        verdicts = await all_of(self._verdict(prompt, criteria, reply) for reply in replies.values())
        return dict(zip(replies, verdicts, strict=True))

    async def _verdict(self, prompt: Prompt, criteria: Sequence[Criterion], reply: str) -> Verdict:
        if not has_content(reply):
            return Verdict.no_answer(EMPTY)
        texts = {"messages": prompts.conversation(prompt.messages), "reply": reply}
        asked = (self._template.render(texts, _FORM, item.criterion) for item in criteria)
        calls = await all_of(self.ask(text, partial(_read, reply)) for text in asked)
        return self._scored(criteria, calls)

    def _scored(self, criteria: Sequence[Criterion], calls: Sequence[Call[Found]]) -> Verdict:
        met = [_MET[call.found.met] if call.found else None for call in calls]
        bill = Bill()
        for call in calls:
            bill.add(call.bill)
        parts = [
            {"criterion": item.criterion, "weight": item.weight, "met": is_met}
            | ({"rationale": call.found.rationale} if call.found else {})
            | call.record()
            for item, is_met, call in zip(criteria, met, calls, strict=True)
        ]
        known = [(item.weight, is_met) for item, is_met in zip(criteria, met, strict=True) if is_met is not None]
        share = sum(abs(weight) for weight, _ in known) / sum(abs(item.weight) for item in criteria)
        details = {"judge": calls[0].model, **asdict(bill), "known": share, "criteria": parts}
        text = json.dumps(details, ensure_ascii=False).encode("utf-8", "replace").decode()
        nothing_to_win = any(item.weight > 0 for item in criteria) and not any(weight > 0 for weight, _ in known)
        if share < self.min_known or nothing_to_win:
            failed = [call for call, is_met in zip(calls, met, strict=True) if is_met is None]
            late = all(call.failure == "timeout" for call in failed)
            why = failed[0].why or "the judge can't tell"
            reason = f"{len(failed)} of {len(criteria)} criteria are not known: {why}"
            return replace(Verdict.unknown("timeout" if late else "error", reason[:300]), details=text)
        explanation = f"{sum(is_met for _, is_met in known)} of {len(known)} criteria are met"
        return Verdict(weighted_share(known), "scored", None, explanation, text)

    def _criteria(self, prompt: Prompt) -> Sequence[Criterion]:
        """The prompt's own criteria, else those of the config. Raises ValueError."""
        given = prompt.metadata.get("rubric")
        if given in (None, "", []):
            if self.rubric is None:
                raise ValueError("no criteria in metadata.rubric, and verifier.rubric is not set")
            return self.rubric
        try:
            return _CRITERIA.validate_python(json.loads(given) if isinstance(given, str) else given)
        except ValidationError as error:
            raise ValueError(f"metadata.rubric: {'; '.join(explain(error))[:300]}") from None
        except (ValueError, RecursionError):
            raise ValueError("metadata.rubric is a text, and not JSON") from None


_MET = {"yes": True, "no": False, "unsure": None}


def weighted_share(known: Sequence[tuple[float, bool]]) -> float:
    """Return the weights of what is met as a share of the positive ones, within 0 and 1.

    Where no weight is positive, it is what the met ones leave of 1.
    """
    positive = sum(weight for weight, _ in known if weight > 0)
    negative = -sum(weight for weight, _ in known if weight < 0)
    met = sum(weight for weight, is_met in known if is_met)
    if positive:
        return min(1.0, max(0.0, met / positive))
    return 1.0 + met / negative if negative else 0.0


def _read(reply: str, text: str) -> Found:
    found = read_object(text, ("rationale", "met"), material=reply)
    if not isinstance(found["rationale"], str):
        raise Unreadable("the rationale was no text")
    if found["met"] not in _MET:
        raise Unreadable('"met" was not "yes", "no" or "unsure"')
    return Found(found["met"], found["rationale"])
