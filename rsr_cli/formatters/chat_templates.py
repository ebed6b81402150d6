"""Chat templates as trainers render them: what becomes of the thinking, the end token and the prompt of a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rsr_cli.errors import InputError
from rsr_cli.types import Message

_BEGIN, _END = "\ue000", "\ue001"
"""Stand around what a template marks as the assistant's; private characters, which no template writes."""
_OPENERS = ("<think>", "<|channel|>analysis", "<seed:think>", "[THINK]")
_EMPTY_BLOCK = ("<think></think>", "[THINK][/THINK]")


class _Generation(Extension):
    """The block `{% generation %}` of transformers: the words of the assistant, on which the loss is."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    def _marked(self, caller: Callable[[], str]) -> str:
        return f"{_BEGIN}{caller()}{_END}"


@dataclass(frozen=True)
class ChatTemplate:
    """The template of a model, with its special tokens and, where a tokenizer is at hand, how it counts."""

    render_marked: Callable[..., str]
    end: str | None
    """The token that ends a turn, None where that is not known."""
    count: Callable[[str], int] | None

    def render(self, messages: list[Message], tools: Any = None, *, ask: bool = False) -> str:
        """Return the text of a conversation; with `ask` up to where the assistant is to speak."""
        return self.marked(messages, tools, ask=ask).replace(_BEGIN, "").replace(_END, "")

    def marked(self, messages: list[Message], tools: Any = None, *, ask: bool = False) -> str:
        return self.render_marked(messages=messages, tools=tools, add_generation_prompt=ask)


@dataclass(frozen=True)
class Seen:
    """What became of one conversation."""

    lost: bool = False
    """Its thinking is not in the text."""
    doubled: bool = False
    """A second block of thinking is in it."""
    emptied: bool = False
    """An empty block of thinking is in it."""
    end_not_trained: bool = False
    """The token that ends the turn is not in what the loss is on."""
    not_prefix: bool = False
    """The prompt alone is no beginning of the whole, so that trainers cut in the wrong place."""
    marks: bool = False
    """The template marks the words of the assistant."""
    tokens: int | None = None


def look(template: ChatTemplate, prompt: list[Message], reply: Message | None, tools: Any = None) -> Seen:
    """Return what becomes of a conversation. TemplateError where the template refuses it."""
    if reply is None:
        asked = template.render(prompt, tools, ask=True)
        return Seen(tokens=template.count(asked) if template.count else None)
    marked = template.marked([*prompt, reply], tools)
    whole = marked.replace(_BEGIN, "").replace(_END, "")
    turn = whole[_common(whole, template.render(prompt, tools)) :]
    thinking, said = _parts(reply)
    blocks = sum(turn.count(opener) for opener in _OPENERS)
    asked = template.render(prompt, tools, ask=True)
    trained = marked[marked.rfind(_BEGIN) : marked.rfind(_END)] if _BEGIN in marked else turn[turn.rfind(said) :]
    empty = any(block in "".join(turn.split()) for block in _EMPTY_BLOCK)
    return Seen(
        lost=bool(thinking) and thinking not in turn,
        doubled=bool(thinking) and blocks > 1,
        emptied=empty,
        end_not_trained=template.end is not None and template.end not in trained,
        not_prefix=not whole.startswith(asked),
        marks=_BEGIN in marked,
        tokens=template.count(whole) if template.count else None,
    )


def _parts(reply: Message) -> tuple[str, str]:
    """The thinking of a message and what it says after it."""
    content = str(reply.get("content") or "")
    if reply.get("reasoning_content"):
        return str(reply["reasoning_content"]).strip(), content.strip()
    thinking, closed, said = content.partition("</think>")
    return (thinking.removeprefix("<think>").strip(), said.strip()) if closed else ("", content.strip())


def _common(first: str, second: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def conversations(row: Mapping[str, Any]) -> Iterator[tuple[list[Message], Message | None]]:
    """Yield the conversations of a training row, whatever its layout: the prompt, and the reply where it has one."""
    whole = [row[name] for name in ("messages", "rejected_messages") if name in row]
    if "completions" in row:
        for item in row["completions"]:
            yield row["context"], item["completion"][-1]
        return
    if "chosen" in row:
        prompt = row.get("prompt") or row.get("messages") or _texts(row)
        for side in (row["chosen"], row.get("rejected")):
            if isinstance(side, list) and len(side) > 1:
                yield side[:-1], side[-1]
            elif side is not None:
                reply = side[-1] if isinstance(side, list) else side
                yield prompt, reply if isinstance(reply, dict) else {"role": "assistant", "content": reply}
    elif "completion" in row:
        yield row["prompt"], row["completion"][-1]
    elif whole and whole[0][-1]["role"] == "assistant":
        for messages in whole:
            yield messages[:-1], messages[-1]
    elif whole or isinstance(row.get("prompt"), list):
        yield (whole[0] if whole else row["prompt"]), None
    elif "input" in row:
        yield _texts(row), None


def _texts(row: Mapping[str, Any]) -> list[Message]:
    system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    return [*system, {"role": "user", "content": row["input"]}]


def load(place: str) -> ChatTemplate:
    """Return the chat template of a model's folder, or of a file with a template alone. A name of the hub needs
    transformers. InputError where there is none."""
    path = Path(place)
    if path.is_file():
        return _made(path.read_text(encoding="utf-8"), {}, None)
    if path.is_dir():
        return _of_folder(path)
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise InputError(
            f"there is no folder {place}",
            "download the model's folder, or for a name of the hub: pip install transformers",
        ) from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise InputError(f"{place} can't be loaded: {str(error).splitlines()[0]}") from None
    tokens = {name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    return _made(
        tokenizer.get_chat_template(), tokens, lambda text: len(tokenizer.encode(text, add_special_tokens=False))
    )


def _of_folder(folder: Path) -> ChatTemplate:
    try:
        file = folder / "tokenizer_config.json"
        config = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except ValueError as error:
        raise InputError(f"{folder}/tokenizer_config.json is no JSON: {error}") from None
    text = config.get("chat_template")
    if isinstance(text, list):  # several by name
        text = next((item["template"] for item in text if item.get("name") == "default"), None)
    if (alone := folder / "chat_template.jinja").exists():
        text = alone.read_text(encoding="utf-8")
    if not isinstance(text, str):
        raise InputError(
            f"{folder} has no chat template", "neither chat_template.jinja nor chat_template in tokenizer_config.json"
        )
    tokens = {name: _token(value) for name, value in config.items() if name.endswith("_token") and _token(value)}
    return _made(text, tokens, _counter(folder / "tokenizer.json"))


def _token(value: Any) -> str:
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _counter(file: Path) -> Callable[[str], int] | None:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    if not file.exists():
        return None
    tokenizer = Tokenizer.from_file(str(file))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _made(text: str, tokens: Mapping[str, str], count: Callable[[str], int] | None) -> ChatTemplate:
    # The environment is that of transformers, so that both render the same text; a template is a stranger's code.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    try:
        template = environment.from_string(text)
    except TemplateError as error:
        raise InputError(f"the chat template can't be read: {error}") from None
    known = {"bos_token": "", "eos_token": ""} | dict(tokens)
    return ChatTemplate(lambda **given: template.render(**known, **given), known["eos_token"] or None, count)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(message: str) -> None:
    raise TemplateError(message)
