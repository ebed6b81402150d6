"""Which text a verdict is on.

Every score row has a digest of the response that was judged. Attempts are numbered, and a number may come to name
another text (a shard that was lost and drawn again, a reference that was edited): a row whose digest is not that of the
text that is here now is no verdict. Where verdicts compare the replies of a group, each row also has a digest of all
that were judged together, and they are void together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rsr_cli.types import Attempt

Row = tuple[Any, ...]
RESPONSE_DIGEST, GROUP_DIGEST = 7, 8
"""The places of both digests in a row of `shards.SCORE`."""
UNSTAMPED: Final = "unstamped"
"""In place of a digest in a shard of version 0.1 whose footer says that it was made from the rollouts here."""


def response_digest(response: str | None, reasoning: str | None = None) -> int | None:
    """A digest of what a verifier gets of an attempt, None where there is nothing to judge."""
    if response is None:
        return None
    found = hashlib.sha1(response.encode("utf-8", "surrogatepass"), usedforsecurity=False)
    if reasoning:
        found.update(b"\0" + reasoning.encode("utf-8", "surrogatepass"))
    return int.from_bytes(found.digest()[:8], "little", signed=True)


def attempt_digest(attempt: Attempt) -> int | None:
    return response_digest(attempt.response, attempt.reasoning)


def group_digest(digests: Mapping[int, int]) -> int:
    """A digest of the responses that were judged together, from theirs by attempt number."""
    found = hashlib.sha1(usedforsecurity=False)
    for number in sorted(digests):
        found.update(b"%d:%d;" % (number, digests[number]))
    return int.from_bytes(found.digest()[:8], "little", signed=True)


def valid_rows(rows: Iterable[Row], digest_of: Callable[[int], int | None]) -> list[Row]:
    """The score rows of a prompt that are verdicts on its present texts; `digest_of` gives the digest of an attempt."""
    kept: list[Row] = []
    together: dict[int, dict[int, int]] = {}
    for row in rows:
        digest = digest_of(row[1])
        if digest is None or row[RESPONSE_DIGEST] not in (digest, UNSTAMPED):
            continue
        kept.append(row)
        if row[GROUP_DIGEST] is not None:
            together.setdefault(row[GROUP_DIGEST], {})[row[1]] = digest
    broken = {stamp for stamp, members in together.items() if group_digest(members) != stamp}
    return [row for row in kept if row[GROUP_DIGEST] not in broken] if broken else kept
