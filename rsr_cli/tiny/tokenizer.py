"""The tiny model's tokenizer in plain Python, read from the same `tokenizer.json` that transformers reads.

Words of the training problems are single tokens, digits are tokens of their own, and everything else falls apart into
bytes: any text can be encoded, and decoding gives it back.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

MODEL_DIR = Path(__file__).parent / "model"


def _byte_alphabet() -> dict[int, str]:
    """The printable character that stands for each byte in a byte-level vocabulary, as GPT-2 defined it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


class Tokenizer:
    """Text to token ids and back, and chat messages to a prompt."""

    def __init__(self, folder: Path = MODEL_DIR) -> None:
        spec = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        self._ids: dict[str, int] = spec["model"]["vocab"]
        self._pieces = re.compile(spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"])
        self._special: dict[str, int] = {token["content"]: token["id"] for token in spec["added_tokens"]}
        self._special_pattern = re.compile("(" + "|".join(map(re.escape, self._special)) + ")")
        self._characters = _byte_alphabet()
        byte_of = {character: byte for byte, character in self._characters.items()}
        self._bytes = {
            token_id: bytes(byte_of[character] for character in token)
            for token, token_id in self._ids.items()
            if token not in self._special
        }
        self.end_id: int = self._special["<|end|>"]
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        # The environment and its settings are those of transformers, so that both render the same prompt.
        self._template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)

    def encode(self, text: str) -> list[int]:
        """Token ids of any text. The names of special tokens in the text become those tokens."""
        ids: list[int] = []
        for part in self._special_pattern.split(text):
            if part in self._special:
                ids.append(self._special[part])
            else:
                for piece in self._pieces.findall(part):
                    ids.extend(self._encode_piece(piece))
        return ids

    def _encode_piece(self, piece: str) -> list[int]:
        """One id if the piece is in the vocabulary, one per byte if not."""
        characters = "".join(self._characters[byte] for byte in piece.encode("utf-8", "replace"))
        if characters in self._ids:
            return [self._ids[characters]]
        return [self._ids[character] for character in characters]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids without special tokens. Bytes that are not UTF-8 become the replacement character."""
        return b"".join(self._bytes.get(token_id, b"") for token_id in ids).decode("utf-8", "replace")

    def encode_chat(self, messages: Sequence[Mapping[str, str]], *, continuing: bool = False) -> list[int]:
        """Token ids of the prompt that asks for the next assistant message, or for the rest of the last message."""
        text = self._template.render(messages=messages, add_generation_prompt=not continuing)
        if continuing:
            last = messages[-1]["content"]
            text = text[: text.rindex(last) + len(last)]
        return self.encode(text)
