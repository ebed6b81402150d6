"""Generation with continuous batching: sequences join the running batch between two steps and leave when they finish.

BLAS should run on one thread (`server.py` sees to that): the matrices are too small for more.
"""

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rsr_cli.tiny.model import Floats, Ints, Llama
from rsr_cli.tiny.tokenizer import MODEL_DIR, Tokenizer

FinishReason = Literal["stop", "length"]


class ContextLengthError(ValueError):
    """The prompt alone fills the context of the model."""


@dataclass(frozen=True)
class SamplingParams:
    """How to sample one completion.

    `temperature` 0 is greedy. `max_tokens` None means as many as the context has room for. The text ends before the
    first of the `stop` strings. With a `seed`, the text depends on the prompt, the seed and the `stream` only, and
    different streams of one seed are independent.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    stream: int = 0


@dataclass(frozen=True)
class Completion:
    """A finished text. `completion_tokens` counts the end token, as other servers do."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


@dataclass(eq=False)
class _Sequence:
    """One completion in the making; `future` is how its caller waits for it, and cancels it."""

    prompt: list[int]
    params: SamplingParams
    max_tokens: int
    uniforms: NDArray[np.float64]
    future: Future[Completion] = field(default_factory=Future)
    tokens: list[int] = field(default_factory=list)
    prompt_logits: Floats | None = None


class Engine:
    """The model and its running batch of at most `slots` sequences, worked by a thread of its own.

    Use it as a context manager, or call `close`. `submit` may be called from any thread.
    """

    def __init__(self, folder: Path = MODEL_DIR, slots: int = 64) -> None:
        self.tokenizer = Tokenizer(folder)
        self._model = Llama(folder, slots)
        self._slots = slots
        self._arrivals: queue.SimpleQueue[_Sequence | None] = queue.SimpleQueue()
        self._waiting: list[_Sequence] = []
        self._running: list[_Sequence] = []  # the sequence at index i has slot i of the model
        self._logits: Floats = np.zeros((slots, self._model.vocabulary_size), np.float32)
        self._thread = threading.Thread(target=self._work, name="tiny-engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread. Completions that are not finished are cancelled."""
        self._arrivals.put(None)
        self._thread.join()

    @property
    def running(self) -> int:
        """Number of sequences in the batch."""
        return len(self._running)

    def submit(self, prompt: list[int], params: SamplingParams) -> Future[Completion]:
        """Queue one completion of the prompt's token ids. Cancelling the future takes it out of the batch.

        Raises ContextLengthError if the prompt leaves no room for an answer. A `max_tokens` that is larger than the
        room is lowered to it.
        """
        room = self._model.context - len(prompt)
        if room < 1:
            raise ContextLengthError(
                f"The prompt has {len(prompt)} tokens; the context of this model holds {self._model.context} "
                "tokens with the completion."
            )
        max_tokens = min(params.max_tokens or room, room)
        sequence = _Sequence(prompt, params, max_tokens, _uniforms(prompt, params, max_tokens))
        self._arrivals.put(sequence)
        return sequence.future

    def _work(self) -> None:
        """The thread: take in what has arrived, make a step, until `close`."""
        while self._receive():
            try:
                self._step()
            except Exception as error:  # a caller must hear of it: without an answer it would wait for ever
                for sequence in self._running:
                    if sequence.future.set_running_or_notify_cancel():
                        sequence.future.set_exception(error)
                self._running = []
        for sequence in self._running + self._waiting:
            sequence.future.cancel()

    def _receive(self) -> bool:
        """Move arrivals to the waiting list, sleeping while there is nothing at all to do. False after `close`."""
        while True:
            try:
                arrival = self._arrivals.get(block=not (self._running or self._waiting))
            except queue.Empty:
                return True
            if arrival is None:
                return False
            self._waiting.append(arrival)

    def _step(self) -> None:
        """One token for every running sequence."""
        self._remove([i for i, sequence in enumerate(self._running) if sequence.future.cancelled()])
        self._admit()
        if not self._running:
            return
        tokens = _sample(self._logits[: len(self._running)], self._running)
        finished = []
        for i, (sequence, token) in enumerate(zip(self._running, tokens, strict=True)):
            sequence.tokens.append(int(token))
            completion = self._completion(sequence)
            if completion is not None:
                finished.append(i)
                if sequence.future.set_running_or_notify_cancel():
                    sequence.future.set_result(completion)
        self._remove(finished)
        if self._running:
            last: Ints = np.array([sequence.tokens[-1] for sequence in self._running])
            positions: Ints = np.array([len(s.prompt) + len(s.tokens) - 1 for s in self._running])
            self._logits[: len(self._running)] = self._model.decode(last, positions)

    def _admit(self) -> None:
        """Let waiting sequences into free slots, first come first served."""
        taken = 0
        for sequence in self._waiting:
            if len(self._running) == self._slots:
                break
            taken += 1
            if sequence.future.cancelled():
                continue
            slot = len(self._running)
            twin = next((i for i, other in enumerate(self._running) if other.prompt == sequence.prompt), None)
            if twin is None:
                sequence.prompt_logits = self._model.prefill(sequence.prompt, slot)
            else:  # the other choices of one request need not read the prompt again
                self._model.copy_slot(twin, slot, len(sequence.prompt))
                sequence.prompt_logits = self._running[twin].prompt_logits
            self._logits[slot] = sequence.prompt_logits
            self._running.append(sequence)
        del self._waiting[:taken]

    def _remove(self, indices: list[int]) -> None:
        """Take sequences out of the batch; the last one moves into each gap, so that slots stay without holes."""
        for i in reversed(indices):
            last = self._running.pop()
            if i < len(self._running):
                self._running[i] = last
                self._logits[i] = self._logits[len(self._running)]
                self._model.copy_slot(len(self._running), i, len(last.prompt) + len(last.tokens))

    def _completion(self, sequence: _Sequence) -> Completion | None:
        """What the sequence amounts to if its newest token finishes it, else None."""
        tokens, stop = sequence.tokens, sequence.params.stop
        ended = tokens[-1] == self.tokenizer.end_id
        reason: FinishReason = "stop" if ended else "length"
        if not (ended or stop or len(tokens) == sequence.max_tokens):
            return None
        text = self.tokenizer.decode(tokens)
        cut = min((at for at in map(text.find, stop) if at >= 0), default=None)
        if cut is not None:
            text, reason = text[:cut], "stop"
        elif not ended and len(tokens) < sequence.max_tokens:
            return None
        return Completion(text, reason, len(sequence.prompt), len(tokens))


def _uniforms(prompt: list[int], params: SamplingParams, count: int) -> NDArray[np.float64]:
    """The random numbers of one completion, drawn ahead so that they do not depend on the rest of the batch.

    The prompt goes into the seed: different prompts with one seed would otherwise get correlated samples.
    """
    if params.seed is None:
        return np.random.default_rng().random(count)
    entropy = [params.seed % 2**64, params.stream, crc32(np.array(prompt, np.int32).tobytes())]
    return np.random.default_rng(entropy).random(count)


def _sample(logits: Floats, sequences: list[_Sequence]) -> Ints:
    """The next token of each sequence, from its row of the logits. Every row is worked out by itself."""
    temperature = np.array([sequence.params.temperature for sequence in sequences])
    top_p = np.array([sequence.params.top_p for sequence in sequences])
    uniform = np.array([sequence.uniforms[len(sequence.tokens)] for sequence in sequences])
    greedy = logits.argmax(axis=1)
    scaled = (logits - logits.max(axis=1, keepdims=True)) / np.maximum(temperature, 1e-6)[:, None]
    weights = np.exp(scaled)
    for row in np.flatnonzero(top_p < 1):
        weights[row] *= _nucleus(weights[row], top_p[row])
    cumulative = weights.cumsum(axis=1)
    drawn = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(axis=1)
    tokens: Ints = np.where(temperature > 0, drawn, greedy)
    return tokens


def _nucleus(weights: NDArray[np.float64], top_p: float) -> NDArray[np.bool_]:
    """The most likely tokens, as few as together have at least `top_p` of the probability."""
    order = np.argsort(-weights, kind="stable")
    before = weights[order].cumsum() - weights[order]
    kept = np.zeros(len(weights), np.bool_)
    kept[order[before < top_p * weights.sum()]] = True
    return kept
