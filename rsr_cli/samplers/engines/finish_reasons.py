"""Whether a completion ended or was cut."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rsr_cli.clients.finish_reasons import judged, word_of


def finish_reason(
    told: str | None, token_ids: Sequence[int], end_ids: Collection[int], max_tokens: int | None = None
) -> str:
    """`stop` or `length`, by what the engine told; where it told nothing, a completion without an end token at its end
    was cut."""
    if word := word_of(told):
        return judged(word, len(token_ids), max_tokens)
    return "stop" if token_ids and token_ids[-1] in end_ids else "length"


def end_token_ids(model: Path) -> frozenset[int]:
    """Every id that ends a completion of the model in this folder, as its tokenizer and its generation config say.

    Chat models often have several: the end of a turn and the end of a text. Empty where no file tells.
    """
    ids = _ids(_read(model / "generation_config.json").get("eos_token_id"))
    tokenizer = _read(model / "tokenizer_config.json")
    ids |= _ids(tokenizer.get("eos_token_id"))
    token = tokenizer.get("eos_token")
    content = token.get("content") if isinstance(token, dict) else token
    if isinstance(content, str):
        ids |= _ids_of_text(content, tokenizer, model)
    return frozenset(ids)


def _ids_of_text(content: str, tokenizer: dict[str, Any], model: Path) -> set[int]:
    """The id of a token by its text: newer tokenizers tell it in tokenizer.json alone."""
    decoder = tokenizer.get("added_tokens_decoder") or {}
    ids = {int(number) for number, token in decoder.items() if token.get("content") == content}
    if not ids:
        added = _read(model / "tokenizer.json").get("added_tokens") or []
        ids = {int(token["id"]) for token in added if token.get("content") == content}
    return ids


def _ids(value: Any) -> set[int]:
    values = value if isinstance(value, list) else [value]
    return {item for item in values if isinstance(item, int)}


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
