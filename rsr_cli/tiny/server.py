"""The tiny model as an OpenAI-compatible endpoint, by default on loopback only.

    python -m rsr_cli.tiny.server --host 127.0.0.1 --port 0

Served are POST /v1/chat/completions, GET /v1/models and GET /health. A parameter that is not supported is refused
rather than ignored.
"""

import argparse
import asyncio
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from rsr_cli.tiny.engine import Completion, Engine, SamplingParams

MODEL_NAME = "rsr-tiny"

_READY_SECONDS = 30.0
_STOP_SECONDS = 5.0
_PARENT_CHECK_SECONDS = 0.25


class TextPart(BaseModel):
    """A part of a message whose content is a list."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """A chat message. Content may be a string or a list of text parts."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def for_template(self) -> dict[str, str]:
        """The message as the chat template knows it: a role that it was trained on, and plain text."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


StopString = Annotated[str, StringConstraints(min_length=1)]


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions. A parameter that is null counts as not given."""

    model_config = ConfigDict(extra="forbid", strict=True)

    messages: list[Message] = Field(min_length=1)
    model: str | None = None
    n: int | None = Field(None, ge=1, le=128)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: StopString | list[StopString] | None = None
    seed: int | None = None
    stream: bool | None = None
    user: str | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    """Leave the last message open, to be gone on with; `add_generation_prompt` must then be false."""

    def sampling_params(self) -> list["SamplingParams"]:
        """One set of parameters for each choice; they differ in the random stream."""
        from rsr_cli.tiny.engine import SamplingParams

        return [
            SamplingParams(
                temperature=1.0 if self.temperature is None else self.temperature,
                top_p=1.0 if self.top_p is None else self.top_p,
                max_tokens=self.max_completion_tokens or self.max_tokens,
                stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
                seed=self.seed,
                stream=index,
            )
            for index in range(self.n or 1)
        ]


class _RequestError(Exception):
    """A request that is answered with an error in OpenAI's shape."""

    def __init__(self, message: str, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def response(self) -> web.Response:
        error = {"message": str(self), "type": "invalid_request_error", "param": None, "code": self.code}
        return web.json_response({"error": error}, status=self.status)


def make_app(engine: "Engine") -> web.Application:
    """The web application. Run it with `handler_cancellation=True`, so that clients who leave free their slots."""
    app = web.Application(client_max_size=16 << 20, middlewares=[_errors_as_json])

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "running": engine.running})

    async def models(_: web.Request) -> web.Response:
        model = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "rsr"}
        return web.json_response({"object": "list", "data": [model]})

    async def chat_completions(http_request: web.Request) -> web.Response:
        from rsr_cli.tiny.engine import ContextLengthError

        request = _parse(await http_request.read())
        prompt = engine.tokenizer.encode_chat(
            [message.for_template() for message in request.messages],
            continuing=bool(request.continue_final_message),
        )
        try:
            futures = [engine.submit(prompt, params) for params in request.sampling_params()]
        except ContextLengthError as error:
            raise _RequestError(str(error), "context_length_exceeded") from None
        # If the client leaves, this handler is cancelled, and with it the futures, which the engine then drops.
        completions = await asyncio.gather(*map(asyncio.wrap_future, futures))
        return web.json_response(_chat_completion(completions))

    app.router.add_get("/health", health)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", chat_completions)
    return app


def _parse(body: bytes) -> ChatRequest:
    """The validated request, or a _RequestError that names everything wrong with it."""
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors(include_url=False)]
        unknown = any(e["type"] == "extra_forbidden" for e in error.errors())
        raise _RequestError("; ".join(problems), "unsupported_parameter" if unknown else "invalid_value") from None
    if request.stream:
        raise _RequestError("stream: streaming is not supported by this server", "unsupported_value")
    if (request.add_generation_prompt is not False) == bool(request.continue_final_message):
        message = "add_generation_prompt and continue_final_message: one of them is true, the other is not"
        raise _RequestError(message, "unsupported_value")
    if request.model not in (None, MODEL_NAME):
        message = f"The model '{request.model}' does not exist; this server has '{MODEL_NAME}'"
        raise _RequestError(message, "model_not_found", status=404)
    return request


def _chat_completion(completions: list["Completion"]) -> dict[str, Any]:
    """The answer in OpenAI's shape. The prompt is counted once, whatever the number of choices."""
    prompt_tokens = completions[0].prompt_tokens
    completion_tokens = sum(completion.completion_tokens for completion in completions)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL_NAME,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": completion.text},
                "logprobs": None,
                "finish_reason": completion.finish_reason,
            }
            for index, completion in enumerate(completions)
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


@web.middleware
async def _errors_as_json(request: web.Request, handler: Any) -> web.StreamResponse:
    """Every error as OpenAI's JSON, those of aiohttp (no such path, body too large) too."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except _RequestError as error:
        return error.response()
    except web.HTTPException as error:
        return _RequestError(error.reason, "http_error", error.status).response()


def serve(host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until SIGINT or SIGTERM. Port 0 picks a free one.

    Prints one line on stdout when ready: the base URL, such as http://127.0.0.1:8000/v1. Raises OSError if the
    address cannot be bound.
    """
    asyncio.run(_serve(host, port, parent=None))


async def _serve(host: str, port: int, parent: int | None) -> None:
    # Before numpy is loaded: more than one BLAS thread makes matrices as small as these slower.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    from rsr_cli.tiny.engine import Engine

    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    with Engine() as engine:
        runner = web.AppRunner(make_app(engine), handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
            address = f"[{host}]" if ":" in host else host
            print(f"http://{address}:{runner.addresses[0][1]}/v1", flush=True)
            while not stop.is_set() and (parent is None or os.getppid() == parent):
                try:
                    await asyncio.wait_for(stop.wait(), _PARENT_CHECK_SECONDS if parent is not None else None)
                except TimeoutError:
                    continue
        finally:
            await runner.cleanup()


@contextmanager
def embedded() -> Iterator[str]:
    """Run the server in a child process for the duration of the context. Yields its base URL.

    The child is not in the terminal's process group, so Ctrl-C does not reach it and the caller can finish its
    requests; it ends by itself within a second if the caller is killed. Raises RuntimeError if it does not come up.
    """
    # -P: a file in the current directory must not stand in for a module of the same name.
    command = [sys.executable, "-P", "-m", __name__, "--parent", str(os.getpid())]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        assert child.stdout is not None
        try:
            readable, _, _ = select.select([child.stdout], [], [], _READY_SECONDS)
            url = child.stdout.readline().decode().strip() if readable else ""
            if not url:
                log.seek(0)
                last_words = log.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["no output"]
                raise RuntimeError(f"The embedded model did not start in {_READY_SECONDS:.0f} s: {last_words[0]}")
            yield url
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            child.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="rsr_cli.tiny.server", description="Serve the embedded tiny model.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--parent", type=int, help="stop when the parent process is no longer this one")
    options = parser.parse_args()
    asyncio.run(_serve(options.host, options.port, options.parent))


if __name__ == "__main__":
    main()
