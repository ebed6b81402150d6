"""vLLM's AsyncLLM: messages in, a completion out. It lives in a process of its own (see host.py) or in a Ray actor."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from difflib import get_close_matches
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import IO, Any

from jinja2 import TemplateError

from rsr_cli.clients.finish_reasons import FAILED, meaning_of, word_of
from rsr_cli.messages import text_of
from rsr_cli.reply import final_reply, split_thinking
from rsr_cli.samplers.engines.finish_reasons import end_token_ids, finish_reason
from rsr_cli.samplers.engines.messages import Drawn, DrawRequest, EngineFailed, EngineGone, EngineSpec, Facts, Refused

_TEMPLATE_FIELDS = ("chat_template_kwargs", "add_generation_prompt", "continue_final_message")
"""The fields of a request that go to the chat template, as on vLLM's server."""
_ERROR = re.compile(r"(?<!\w)(\w{0,80}(?:Error|Exception)): (\S.{0,1000})")
_CONSEQUENCES = (
    "Engine core initialization failed",
    "WorkerProc initialization failed",
    "EngineCore encountered an issue",
    "Engine core proc",
    "cancelled",
)
_CONSEQUENT_KINDS = ("EngineDeadError", "CancelledError")
_LOOKED_AT = 1 << 18
"""Bytes of what an engine has printed last."""
_PROMPT_TAIL = 40
"""Characters of the rendered prompt that may hold an opening think tag."""


class VllmEngine:
    """The engine itself. EngineFailed where it can't be made."""

    def __init__(self, spec: EngineSpec) -> None:
        os.environ.update(spec.environment)
        self._output = _quiet_output()
        try:
            self._start(spec)
        except EngineFailed:
            raise
        except Exception as error:
            raise EngineFailed(cause(error, self._output)) from error

    def _start(self, spec: EngineSpec) -> None:
        import vllm
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        known = {field.name for field in dataclass_fields(AsyncEngineArgs)}
        for name in spec.args.keys() - known:
            near = get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise EngineFailed(f"sampler.engine_params.{name}: vLLM {vllm.__version__} has no such argument{hint}")
        self._numbers = count()
        self._chat_template = spec.chat_template
        self._request_fields: dict[str, Any] = {}
        self._sampling_params(spec.trial)
        parser_class = _parser_class(spec.reasoning_parser)
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**spec.args))
        self._tokenizer = self._engine.get_tokenizer()
        if self._chat_template is None and getattr(self._tokenizer, "chat_template", "") is None:
            raise EngineFailed("the model has no chat template: set sampler.chat_template")
        self._end_ids = end_token_ids(Path(self._engine.model_config.tokenizer)) or {self._tokenizer.eos_token_id}
        self._parser = lru_cache(maxsize=64)(lambda kwargs: self._new_parser(parser_class, kwargs))
        if parser_class is not None and not _adjusted(self._parser("{}")).skip_special_tokens:
            self._request_fields = {"skip_special_tokens": False}
        self._render = lru_cache(maxsize=1024)(self._render_new)
        self._count_steps()
        config = self._engine.vllm_config.scheduler_config
        self.facts = Facts(max_num_seqs=config.max_num_seqs, vllm_version=vllm.__version__)

    async def draw(self, draw: DrawRequest) -> Drawn | Refused:
        """Cancelled, it takes the request off the engine. Raises EngineGone."""
        from vllm.exceptions import VLLMClientError

        try:
            tokens, opened = self._render(json.dumps([draw.messages, self._template_fields(draw)]))
            if len(tokens) >= (most := self._engine.model_config.max_model_len):
                return Refused(f"the prompt is too long: {len(tokens)} tokens, and the model reads and writes {most}")
            params = self._sampling_params(draw)
            prompt = {"type": "token", "prompt_token_ids": list(tokens)}
            outputs = [output async for output in self._engine.generate(prompt, params, self._next_id())]
        except (VLLMClientError, TemplateError, ValueError, TypeError, EngineFailed) as error:
            return Refused(str(error))
        except Exception as error:
            raise EngineGone(cause(error, self._output)) from error
        output = outputs[-1].outputs[0]
        if meaning_of(word_of(output.finish_reason)) == FAILED:
            raise EngineGone("the engine gave the request up")
        reasoning, response = self._split(output.text, opened, draw)
        return Drawn(
            response=response,
            reasoning=reasoning,
            finish_reason=finish_reason(output.finish_reason, output.token_ids, self._end_ids, draw.max_tokens),
            prompt_tokens=len(tokens),
            completion_tokens=len(output.token_ids),
        )

    async def steps(self) -> int:
        return self._steps

    def _next_id(self) -> str:
        return str(next(self._numbers))

    def _count_steps(self) -> None:
        """Counts what comes from the engine. vLLM's own statistics would cost far more than this."""
        self._steps = 0
        processor = self._engine.output_processor
        process = processor.process_outputs

        def process_and_count(*args: Any, **kwargs: Any) -> Any:
            self._steps += 1
            return process(*args, **kwargs)

        processor.process_outputs = process_and_count

    def _sampling_params(self, draw: DrawRequest) -> Any:
        """EngineFailed where a field is unknown or of the wrong kind."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        fields = {name: value for name, value in draw.fields.items() if name not in _TEMPLATE_FIELDS}
        try:
            if isinstance(structure := fields.get("structured_outputs"), dict):
                fields["structured_outputs"] = StructuredOutputsParams(**structure)
            return SamplingParams.from_optional(
                **(self._request_fields | fields),
                max_tokens=draw.max_tokens,
                seed=draw.seed,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
        except (VLLMClientError, ValueError, TypeError) as error:
            words = str(error).removeprefix("SamplingParams.from_optional() ")
            raise EngineFailed(f"a sampling field is refused: {words}") from error

    def _template_fields(self, draw: DrawRequest) -> dict[str, Any]:
        fields = {name: draw.fields[name] for name in _TEMPLATE_FIELDS if name in draw.fields}
        return {**fields.pop("chat_template_kwargs", {}), **fields}

    def _render_new(self, request: str) -> tuple[tuple[int, ...], str]:
        """The token ids of the prompt, and the think tag that it leaves open at its end ("" where there is none)."""
        messages, fields = json.loads(request)
        text = self._tokenizer.apply_chat_template(
            [{**message, "content": _plain_text(message)} for message in messages],
            chat_template=self._chat_template,
            tokenize=False,
            **({"add_generation_prompt": True} | fields),
        )
        return tuple(self._tokenizer.encode(text, add_special_tokens=False)), opened_tag(text)

    def _split(self, text: str, opened: str, draw: DrawRequest) -> tuple[str | None, str | None]:
        """The thinking and the reply; a reply of None is one that never began."""
        kwargs = draw.fields.get("chat_template_kwargs", {})
        if (parser := self._parser(json.dumps(kwargs, sort_keys=True))) is not None:
            reasoning, response = parser.extract_reasoning(text, _chat_request(kwargs))
            return reasoning or None, response or None
        return split_by_tags(text, opened)

    def _new_parser(self, parser_class: Any, kwargs: str) -> Any:
        """A parser of vLLM's for one set of chat template kwargs, in JSON: some models think only where told to."""
        if parser_class is None:
            return None
        model_config = self._engine.model_config
        return parser_class(self._tokenizer, chat_template_kwargs=json.loads(kwargs), model_config=model_config)


def _parser_class(name: str | None) -> Any:
    from vllm.reasoning import ReasoningParserManager

    try:
        return ReasoningParserManager.get_reasoning_parser(name) if name is not None else None
    except KeyError as error:
        raise EngineFailed(f"sampler.reasoning_parser: {error.args[0]}") from error


def _adjusted(parser: Any) -> Any:
    """A chat request as the parser wants it."""
    return parser.adjust_request(_chat_request({}))


def _chat_request(chat_template_kwargs: dict[str, Any]) -> Any:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    return ChatCompletionRequest(messages=[], chat_template_kwargs=chat_template_kwargs)


def split_by_tags(text: str, opened: str) -> tuple[str | None, str | None]:
    """The thinking and the reply of a completion whose prompt left the tag `opened` open; None where there is none."""
    thinking, reply = split_thinking(opened + text)
    if not thinking and not opened and reply is not None:
        return None, text
    return thinking or None, reply or None


def opened_tag(prompt: str) -> str:
    """The think tag that the end of a rendered prompt leaves open, "" where there is none."""
    tail = prompt[-_PROMPT_TAIL:]
    if final_reply(tail) is not None:
        return ""
    return next(tail[start:] for start in reversed(range(len(tail))) if final_reply(tail[start:]) is None)


def _plain_text(message: Mapping[str, Any]) -> Any:
    """Content in parts as one text, as most templates want it. ValueError where a part is no text."""
    content = message.get("content")
    if not isinstance(content, list):
        return content
    others = {part.get("type") for part in content if part.get("type") != "text"}
    if others:
        raise ValueError(f"vllm-offline takes text alone, and a message has a part of the type {others.pop()}")
    return text_of(message)


def _quiet_output() -> IO[bytes]:
    """Turn what this process and its children print into a file without a name, unless RSR_DEBUG wants to see it."""
    output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
    if os.environ.get("RSR_DEBUG"):
        os.dup2(2, 1)
    else:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    return output


def cause(error: Exception, output: IO[bytes]) -> str:
    """What went wrong in words: vLLM's own error often says no more than that another process failed."""
    own = f"{type(error).__name__}: {error}"
    if not _is_consequence(type(error).__name__, str(error)):
        return own
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _LOOKED_AT))
    printed = output.read().decode("utf-8", "replace")
    found = [f"{kind}: {text}" for kind, text in _ERROR.findall(printed) if not _is_consequence(kind, text)]
    return found[-1] if found else own


def _is_consequence(kind: str, text: str) -> bool:
    return kind in _CONSEQUENT_KINDS or any(words in text for words in _CONSEQUENCES)
