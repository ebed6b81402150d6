"""The seed of a request."""

from __future__ import annotations

import hashlib


def attempt_seed(run_seed: int, prompt_id: str, attempt: int) -> int:
    """A seed of its own for each attempt of each prompt, 0 <= seed < 2**31, the same in every run."""
    identity = f"{run_seed}\0{prompt_id}\0{attempt}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(identity, digest_size=4).digest()) & 0x7FFF_FFFF
