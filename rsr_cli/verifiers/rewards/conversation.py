"""A prompt and a reply as one conversation, and that as text for a model that takes nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rsr_cli.errors import ConfigError
from rsr_cli.messages import text_of
from rsr_cli.types import Message


def conversation(messages: Sequence[Message], reply: str) -> list[Message]:
    return [*messages, {"role": "assistant", "content": reply}]


def plain_text(messages: Sequence[Message]) -> str:
    """`user: …`, a blank line, `assistant: …`: for a model that has no chat template."""
    return "\n\n".join(f"{message.get('role')}: {text_of(message)}" for message in messages)


def prompt_text(messages: Sequence[Message]) -> str:
    """The prompt as the query of a cross-encoder: the bare text of a single message, else as `plain_text` has it."""
    return text_of(messages[0]) if len(messages) == 1 else plain_text(messages)


def read_template(path: str) -> str:
    """The text of a chat template; ConfigError where there is none."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"verifier.chat_template: {path} can't be read: {error}") from None


class TemplateRenderer:
    """Renders a conversation with a chat template, for a server that takes text.

    `bos_token` is empty, since the server's tokenizer puts its own in front.
    """

    def __init__(self, template: str) -> None:
        """ConfigError where the template is not sound, or needs a token of the tokenizer that is not known here."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _raise, "strftime_now": lambda form: datetime.now().strftime(form)}
        try:
            unknown = {"eos_token", "pad_token", "unk_token"} & meta.find_undeclared_variables(
                environment.parse(template)
            )
            self._template = environment.from_string(template)
        except TemplateError as error:
            raise ConfigError(f"verifier.chat_template: {error}") from None
        if unknown:
            raise ConfigError(
                f"verifier.chat_template: it uses {', '.join(sorted(unknown))}, which only the tokenizer knows",
                "write the token itself in its place, such as '</s>'",
            )

    def __call__(self, messages: Sequence[Message]) -> str:
        """Raises a jinja2 TemplateError where the template refuses the conversation."""
        return self._template.render(messages=messages, add_generation_prompt=False, bos_token="")


def _raise(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
