"""`json-schema`: the reply must hold JSON that a schema accepts."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rsr_cli.plugins.contracts import Verifier
from rsr_cli.types import Prompt, Reply, Verdict
from rsr_cli.verifiers.texts.golds import MOST_SHOWN

_FENCE = re.compile(r"(`{3,}|~{3,})\s*(\w*)\s*")
_MOST_SAID = 300


class JsonSchema(BaseModel, Verifier):
    """Checks the JSON of a reply against `metadata.schema`, or against the option `schema`.

    The JSON is the whole reply, or the last code block in it. References to other documents are not followed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    schema_: dict[str, Any] | None = Field(None, alias="schema")
    """For the prompts that have no `metadata.schema`."""

    @field_validator("schema_")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            _validator(json.dumps(schema))
        return schema

    def cannot_score(self, prompt: Prompt) -> str | None:
        """Return why no reply to this prompt can be scored."""
        try:
            self._schema(prompt)
        except ValueError as error:
            return str(error)
        return None

    def stating(self, gold: str) -> None:
        """Verdicts do not depend on golds."""

    def warm_up(self) -> None:
        """Import the library."""
        _validator("{}")

    def verify(self, reply: Reply, prompt: Prompt) -> Verdict:
        """Return 1.0, or 0.0 with what is wrong; `no_answer` where there is no JSON, `error` where there is no
        schema."""
        from referencing.exceptions import Unresolvable

        try:
            validator = self._schema(prompt)
        except ValueError as error:
            return Verdict.unknown("error", str(error))
        source = _source(reply.text)
        if source is None:
            return Verdict.no_answer("there is no JSON in the reply")
        try:
            value = json.loads(source, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            return Verdict(0.0, "scored", source[:MOST_SHOWN], f"not JSON: {error}"[:_MOST_SAID])
        try:
            wrong = next(validator.iter_errors(value), None)
        except Unresolvable as error:
            return Verdict.unknown("error", f"the schema refers to what it does not hold: {error}"[:_MOST_SAID])
        except RecursionError:
            return Verdict.unknown("error", "the schema refers to itself without end")
        if wrong is None:
            return Verdict(1.0, "scored", source[:MOST_SHOWN])
        return Verdict(0.0, "scored", source[:MOST_SHOWN], f"{wrong.json_path}: {wrong.message}"[:_MOST_SAID])

    def _schema(self, prompt: Prompt) -> Any:
        """The prompt's validator. Raises ValueError."""
        given = prompt.metadata.get("schema")
        if given in (None, "", {}):
            given = self.schema_
        if given is None:
            raise ValueError("no schema in metadata.schema, and verifier.schema is not set")
        if not isinstance(given, str | dict):
            raise ValueError(f"metadata.schema is a {type(given).__name__}, not an object or its JSON")
        return _validator(given if isinstance(given, str) else json.dumps(given))


@lru_cache(maxsize=256)
def _validator(text: str) -> Any:
    """A validator of the draft that the schema names, else of 2020-12. Raises ValueError."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the schema is a text, and not JSON") from None
    if not isinstance(schema, dict):
        raise ValueError(f"the schema is a {type(schema).__name__}, not an object")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"the schema is none: {error.json_path}: {error.message}"[:_MOST_SAID]) from None
    registry: Any = Registry()  # an empty one: without it the library would fetch what a schema refers to
    return kind(schema, registry=registry)


def _source(reply: str) -> str | None:
    """What is to be JSON: the whole reply, else its last code block; None where neither looks like it."""
    text = reply.strip()
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        block = _last_block(text)
        return text if block is None and text.startswith(("{", "[", '"')) else block
    return text


def _last_block(text: str) -> str | None:
    """The last code block that says json or no language; one that is never closed goes to the end."""
    found: str | None = None
    fence, language = "", ""
    lines: list[str] = []
    for line in [*text.splitlines(), None]:
        mark = None if line is None else _FENCE.fullmatch(line.strip())
        if line is None or (fence and mark and mark[1].startswith(fence) and not mark[2]):
            if fence and language.lower() in ("", "json", "json5", "jsonc", "jsonl"):
                found = "\n".join(lines).strip()
            fence = ""
        elif not fence and mark:
            fence, language, lines = mark[1], mark[2], []
        elif fence:
            lines.append(line)
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
