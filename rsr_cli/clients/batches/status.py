"""What a server says of a batch, in the dialects of the batch API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rsr_cli.clients.failures import error_in
from rsr_cli.clients.finish_reasons import word_of
from rsr_cli.clients.usage import count

COMPLETED, FAILED, EXPIRED, CANCELLED = "completed", "failed", "expired", "cancelled"
ENDED = frozenset({COMPLETED, FAILED, EXPIRED, CANCELLED})
_UNDER_WAY = "under way"
_WORDS = {
    COMPLETED: "completed complete success succeeded successful done ended end finished partiallysucceeded "
    "partiallycompleted partialsuccess completedwitherrors",
    FAILED: "failed failure error errored invalid rejected validationfailed",
    EXPIRED: "expired timeout timeoutexceeded timedout",
    CANCELLED: "cancelled canceled aborted stopped terminated",
    _UNDER_WAY: "validating validated inprogress finalizing finalising cancelling canceling queued queuing running "
    "pending processing process submitted created scheduled accepted uploading waiting started starting preparing "
    "new open cancellationrequested notstarted active",
}
_MEANINGS = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
_PREFIXES = ("jobstate", "batchstate", "batchstatus", "jobstatus", "state", "status")
_WRAPPERS = ("job", "batch", "data", "result", "file")
_FILES = ("output_file_id", "error_file_id", "output_file", "error_file", "output_file_ids", "error_file_ids")
_ENDED_REQUESTS = ("completed", "succeeded", "failed", "errored", "canceled", "cancelled", "expired")
_SHOWN_ERRORS = 3
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """What the server says of a batch. `files` are the ids of its files of answers and of errors.

    `status` is one of `ENDED` where it has ended in any server's word; `known` is false where no server is known to
    say this word.
    """

    id: str
    status: str
    files: tuple[str, ...]
    done: int
    total: int
    message: str
    known: bool = True

    @property
    def all_done(self) -> bool:
        return self.total > 0 and self.done >= self.total


def object_in(document: Any) -> dict[str, Any]:
    """The object that has an id, which Together wraps in another one. Raises ValueError where there is none."""
    for _ in range(_DEPTH):
        if not isinstance(document, dict):
            break
        if isinstance(document.get("id"), str | int):
            return document
        document = next((document[name] for name in _WRAPPERS if isinstance(document.get(name), dict)), None)
    raise ValueError("the answer is no object of the batch API")


def objects_in(document: Any) -> list[dict[str, Any]]:
    """The objects of a list, which may be bare."""
    if isinstance(document, dict):
        document = next((document[name] for name in ("data", "batches", "jobs") if name in document), None)
    found = document if isinstance(document, list) else []
    return [item for item in found if isinstance(item, dict) and isinstance(item.get("id"), str | int)]


def read_status(document: Any) -> BatchStatus:
    """Raises ValueError where it is no batch."""
    batch = object_in(document)
    word = next((word for name in ("status", "processing_status", "state") if (word := word_of(batch.get(name)))), "")
    meaning = _meaning_of(word)
    done, total = _counts(batch)
    errors = list(dict.fromkeys(_errors(batch.get("errors") or batch.get("error"))))
    return BatchStatus(
        id=str(batch["id"]),
        status=meaning if meaning in ENDED else word.lower() or "unknown",
        files=tuple(dict.fromkeys(file for name in _FILES for file in _ids(batch.get(name)))),
        done=done,
        total=total,
        message="; ".join(errors[:_SHOWN_ERRORS]),
        known=meaning is not None,
    )


def _meaning_of(word: str) -> str | None:
    squeezed = "".join(char for char in word.lower() if char.isalpha())
    for prefix in _PREFIXES:
        if squeezed not in _MEANINGS:
            squeezed = squeezed.removeprefix(prefix)
    return _MEANINGS.get(squeezed)


def _counts(batch: dict[str, Any]) -> tuple[int, int]:
    """How many requests have ended, of how many. 0 where it is not told."""
    counts = batch.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    known = {name: count(value) or 0 for name, value in counts.items()}
    known |= {
        name.removesuffix("_requests"): count(value) or 0 for name, value in batch.items() if name.endswith("_requests")
    }
    done = sum(known.get(name, 0) for name in _ENDED_REQUESTS)
    return done, known.get("total", 0) or (done + known["processing"] if "processing" in known else 0)


def _ids(value: Any) -> Iterator[str]:
    """The ids of files: one, a list, or objects that have one."""
    for item in value if isinstance(value, list) else [value]:
        found = item.get("id") if isinstance(item, dict) else item
        if isinstance(found, str) and found:
            yield found


def _errors(errors: Any, depth: int = _DEPTH) -> Iterator[str]:
    """What went wrong: a text, an object, a list of either, or an object with such a list."""
    if isinstance(errors, dict) and isinstance(errors.get("data"), list):
        errors = errors["data"]
    if isinstance(errors, list) and depth:
        for item in errors:
            yield from _errors(item, depth - 1)
    elif errors and (error := error_in({"error": errors})) is not None:
        yield f"{error.code}: {error.message}" if error.code else error.message
