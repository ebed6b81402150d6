"""The forward pass of a small Llama in numpy, with a cache of keys and values for a batch of sequences."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from rsr_cli.tiny.tokenizer import MODEL_DIR

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

# Rows of a matrix product are computed in blocks of this many, so that a row comes out of the same BLAS kernel and
# with the same rounding whatever stands beside it in the batch.
_ROW_BLOCK = 16


class Llama:
    """A Llama whose sequences live in numbered slots, each with room for `context` tokens.

    Sequences in use always occupy the slots from 0 up, so a decoding step works on plain views of the cache.
    """

    def __init__(self, folder: Path = MODEL_DIR, slots: int = 64) -> None:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights: dict[str, Floats] = load_file(folder / "model.safetensors")
        self.context: int = config["max_position_embeddings"]
        self.vocabulary_size: int = config["vocab_size"]
        self._epsilon: float = config["rms_norm_eps"]
        self._heads: int = config["num_attention_heads"]
        self._kv_heads: int = config["num_key_value_heads"]
        self._head_size: int = config["head_dim"]
        self._layers = [self._load_layer(weights, layer) for layer in range(config["num_hidden_layers"])]
        self._embedding = weights["model.embed_tokens.weight"]
        self._unembedding = np.ascontiguousarray((self._embedding * weights["model.norm.weight"]).T)
        half = np.arange(0, self._head_size, 2) / self._head_size
        angles = np.outer(np.arange(self.context), config["rope_parameters"]["rope_theta"] ** -half)
        self._cos: Floats = np.tile(np.cos(angles), 2).astype(np.float32)
        self._sin: Floats = np.concatenate([-np.sin(angles), np.sin(angles)], axis=1).astype(np.float32)
        shape = (len(self._layers), slots, self._kv_heads, self.context, self._head_size)
        # Zeros, not empty: what a sequence has not yet written is masked, and a masked NaN would still spread.
        self._keys: Floats = np.zeros(shape, np.float32)
        self._values: Floats = np.zeros(shape, np.float32)

    def _load_layer(self, weights: dict[str, Floats], layer: int) -> tuple[Floats, Floats, Floats, Floats]:
        """The layer's four matrices, transposed: query-key-value, output, gate-up, down.

        The norms' weights and the scale of the attention scores are folded into the matrices that follow them.
        """
        prefix = f"model.layers.{layer}"
        attention_norm = weights[f"{prefix}.input_layernorm.weight"]
        mlp_norm = weights[f"{prefix}.post_attention_layernorm.weight"]
        q, k, v, o = (weights[f"{prefix}.self_attn.{name}_proj.weight"] for name in "qkvo")
        gate, up, down = (weights[f"{prefix}.mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        qkv = np.concatenate([q * np.float32(self._head_size**-0.5), k, v]) * attention_norm
        gate_up = np.concatenate([gate, up]) * mlp_norm
        return (
            np.ascontiguousarray(qkv.T),
            np.ascontiguousarray(o.T),
            np.ascontiguousarray(gate_up.T),
            np.ascontiguousarray(down.T),
        )

    def prefill(self, tokens: list[int], slot: int) -> Floats:
        """Read a whole prompt into a slot. Returns the logits of the token after it, shape (vocabulary,)."""
        count = len(tokens)
        future = np.triu(np.full((count, count), -np.inf, np.float32), 1)
        cached = (slice(slot, slot + 1), slice(None), slice(count))

        def attend(layer: int, queries: Floats, keys: Floats, values: Floats) -> Floats:
            # (1, kv heads, query heads per kv head * count, head size), against the keys of the one sequence
            self._keys[layer][cached] = keys.swapaxes(0, 1)
            self._values[layer][cached] = values.swapaxes(0, 1)
            queries = queries.transpose(1, 2, 0, 3).reshape(1, self._kv_heads, -1, self._head_size)
            mask = np.tile(future, (self._heads // self._kv_heads, 1))
            mixed = _attention(queries, self._keys[layer][cached], self._values[layer][cached], mask)
            return mixed.reshape(self._heads, count, self._head_size).swapaxes(0, 1)

        hidden = self._forward(np.array(tokens), np.arange(count), attend)
        logits: Floats = self._logits(hidden[-1:])[0]
        return logits

    def decode(self, tokens: Ints, positions: Ints) -> Floats:
        """Read one token for each of the slots 0, 1, ... at its position. Returns logits, shape (slots, vocabulary)."""
        count, length = len(tokens), int(positions.max()) + 1
        rows = np.arange(count)
        unwritten = np.where(np.arange(length) > positions[:, None], np.float32(-np.inf), np.float32(0.0))
        mask = unwritten[:, None, None, :]

        def attend(layer: int, queries: Floats, keys: Floats, values: Floats) -> Floats:
            self._keys[layer, rows, :, positions] = keys
            self._values[layer, rows, :, positions] = values
            mixed = _attention(
                queries, self._keys[layer, :count, :, :length], self._values[layer, :count, :, :length], mask
            )
            return mixed.reshape(count, self._heads, self._head_size)

        return self._logits(self._forward(tokens, positions, attend))

    def copy_slot(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot to another one."""
        self._keys[:, target, :, :length] = self._keys[:, source, :, :length]
        self._values[:, target, :, :length] = self._values[:, source, :, :length]

    def _forward(self, tokens: Ints, positions: Ints, attend: Any) -> Floats:
        """Hidden states after the last layer, one row for each token."""
        count = len(tokens)
        cos, sin = self._cos[positions, None], self._sin[positions, None]
        rotated = self._heads + self._kv_heads
        hidden = self._embedding[tokens]
        for layer, (qkv, output, gate_up, down) in enumerate(self._layers):
            heads = _product(self._normalize(hidden), qkv).reshape(count, -1, self._head_size)
            turned = heads[:, :rotated]
            turned = turned * cos + np.roll(turned, self._head_size // 2, axis=-1) * sin
            queries = turned[:, : self._heads].reshape(count, self._kv_heads, -1, self._head_size)
            mixed = attend(layer, queries, turned[:, self._heads :], heads[:, rotated:])
            hidden = hidden + _product(mixed.reshape(count, -1), output)
            gate, up = np.split(_product(self._normalize(hidden), gate_up), 2, axis=1)
            hidden = hidden + _product(gate / (1 + np.exp(-gate)) * up, down)
        return hidden

    def _normalize(self, hidden: Floats) -> Floats:
        mean_square = np.einsum("ij,ij->i", hidden, hidden)[:, None] / np.float32(hidden.shape[1])
        scaled: Floats = hidden / np.sqrt(mean_square + np.float32(self._epsilon))
        return scaled

    def _logits(self, hidden: Floats) -> Floats:
        return _product(self._normalize(hidden), self._unembedding)


def _product(rows: Floats, matrix: Floats) -> Floats:
    """`rows @ matrix`, with rows of zeros added up to a full block."""
    missing = -len(rows) % _ROW_BLOCK
    if not missing:
        full: Floats = rows @ matrix
        return full
    padded = np.zeros((len(rows) + missing, rows.shape[1]), np.float32)
    padded[: len(rows)] = rows
    product: Floats = (padded @ matrix)[: len(rows)]
    return product


def _attention(queries: Floats, keys: Floats, values: Floats, mask: Floats) -> Floats:
    """Softmax attention; all arguments are (sequence, kv head, row, head size), the mask broadcasts to the scores."""
    scores = queries @ keys.swapaxes(-1, -2) + mask
    scores -= scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores)
    mixed: Floats = (weights @ values) / weights.sum(axis=-1, keepdims=True)
    return mixed
