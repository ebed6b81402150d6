"""The folder of the batches: numbered files of requests, what became of each, and the answers beside them.

    requests-0001.jsonl     what is asked, as the batch API and `vllm run-batch` read it
    requests-0001.json      what is known of it: its ids at the server, its status
    responses-0001.jsonl    the answers

A request says in its custom id what it is, so the files are all there is to know; nothing of them is in memory but
names and places.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from rsr_cli.clients.batches.lines import custom_id, name_in, run_of, tells_success
from rsr_cli.clients.batches.status import FAILED
from rsr_cli.clients.endpoints import Dialect
from rsr_cli.errors import WorkDirError
from rsr_cli.storage.files import write_text
from rsr_cli.storage.local_storage import LocalStorage

log = logging.getLogger(__name__)

_STATE = re.compile(r"requests-(\d{4,})\.json")


@dataclass(slots=True)
class Batch:
    """One file of requests. `status` is the server's word, `written` before it has one."""

    number: int
    dialect: Dialect
    """What all of its requests are written in."""
    input_file_id: str | None = None
    batch_id: str | None = None
    status: str = "written"
    failures_told: bool = False
    """Its answers were read once: what has failed in it is known by now, and may be asked again."""


class RequestFile:
    """A file of requests that is being written. It is there once it is closed."""

    def __init__(self, path: LocalStorage, batch: Batch) -> None:
        self.path = path
        self.batch = batch
        self.names: dict[str, None] = {}
        self.bytes = 0
        self._temporary = path.new_temporary()
        self._file = self._temporary.open("wb")

    def add(self, name: str, line: bytes) -> None:
        self._file.write(line)
        self.names[name] = None
        self.bytes += len(line)

    def close(self) -> None:
        self._file.close()
        self.path.replace_by(self._temporary)

    def drop(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class BatchFolder:
    """All batches of a work dir, by number."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder, or reads what lies there. Raises WorkDirError."""
        self.path = LocalStorage(folder)
        self.successes = 0
        """The answers that are no failures."""
        self.dialect = Dialect()
        """What answers were had in."""
        self._under_way: dict[str, Batch] = {}
        self._answers: dict[str, tuple[Batch, int]] = {}
        """The place of each answer: its file, and where its line begins."""
        self._answering: set[int] = set()
        """The numbers of the batches that hold an answer."""
        self._runs: dict[tuple[str, int], range] = {}
        """The attempts that were asked for in one request with this one, where they are several."""
        folder.mkdir(parents=True, exist_ok=True)
        self._last = 0
        for batch in _read_states(folder):
            self._last = batch.number
            if batch.status != FAILED:
                self._index(batch)

    def requests(self, batch: Batch) -> LocalStorage:
        return self.path / f"requests-{batch.number:04d}.jsonl"

    def responses(self, batch: Batch) -> LocalStorage:
        return responses_beside(self.requests(batch))

    def begin(self, dialect: Dialect) -> RequestFile:
        """The next file of requests."""
        self._last += 1
        batch = Batch(self._last, dialect)
        return RequestFile(self.requests(batch), batch)

    def finish(self, file: RequestFile) -> None:
        """The requests of the file are under way from here on."""
        file.close()
        self.save(file.batch)
        for name in file.names:
            self._note(name, file.batch)

    def save(self, batch: Batch) -> None:
        write_text(self.requests(batch).with_suffix(".json"), json.dumps(asdict(batch), indent=2))

    def take_up(self, batch: Batch) -> tuple[int, int]:
        """Find the answers of a batch whose file of answers is there: how many, and to how many requests."""
        asked = {name for name, holder in self._under_way.items() if holder is batch}
        found: dict[str, bool] = {}
        strange = 0
        for offset, line in _lines(self.responses(batch)):
            name = name_in(line)
            if name is None or not (name in self._under_way or name in self._answers or name in found):
                strange += 1
                continue
            success = tells_success(line)
            if success or not found.get(name):  # an answer is not lost for an error of the same request
                self._answers[name] = batch, offset
                found[name] = success
        if strange:
            log.warning("%s: %d lines are no answer to any request here", self.responses(batch).name, strange)
        self._under_way = {name: holder for name, holder in self._under_way.items() if name not in asked}
        if successes := sum(found.values()):
            self.successes += successes
            self._answering.add(batch.number)
            self.dialect = self.dialect.common(batch.dialect)
        return len(found), len(asked)

    def has_answers(self, batch: Batch) -> bool:
        """Some requests of the batch were answered."""
        return batch.number in self._answering

    def is_single(self, batch: Batch) -> bool:
        """The batch is of one request."""
        return sum(1 for _ in islice(_lines(self.requests(batch)), 2)) == 1

    def holder(self, name: str) -> Batch | None:
        """The batch that is to bring an answer."""
        return self._under_way.get(name)

    def answer(self, name: str) -> tuple[Batch, bytes] | None:
        """The answer to a request as its line stands, and the batch that brought it."""
        if name not in self._answers:
            return None
        batch, offset = self._answers[name]
        with self.responses(batch).open("rb") as file:
            file.seek(offset)
            return batch, file.readline()

    def forget(self, name: str) -> None:
        """An answer is of no use: the request is to be asked again."""
        self._answers.pop(name, None)

    def run(self, key: str, attempt: int) -> range | None:
        """The attempts that were asked for in one request with this one; None where it never was."""
        alone = range(attempt, attempt + 1)
        name = custom_id(key, alone)
        return alone if name in self._answers or name in self._under_way else self._runs.get((key, attempt))

    def _index(self, batch: Batch) -> None:
        for _, line in _lines(self.requests(batch)):
            if (name := name_in(line)) is not None:
                self._note(name, batch)
        responses = self.responses(batch)
        if _is_written(responses) or (batch.batch_id is not None and responses.exists()):
            self.take_up(batch)

    def _note(self, name: str, batch: Batch) -> None:
        self._under_way[name] = batch
        self._answers.pop(name, None)
        key, run = run_of(name)
        if len(run) > 1:
            self._runs.update(dict.fromkeys([(key, attempt) for attempt in run], run))


def responses_beside(requests: LocalStorage) -> LocalStorage:
    """Where the answers to a file of requests are expected."""
    return requests.with_name(requests.name.replace("requests-", "responses-"))


def awaited(folder: LocalStorage) -> list[LocalStorage]:
    """The files of requests under a folder that nobody has submitted or answered."""
    found = []
    for parent in sorted({path.parent for path in folder.rglob("requests-*.json")}):
        for batch in _read_states(parent):
            requests = parent / f"requests-{batch.number:04d}.jsonl"
            if batch.batch_id is None and not _is_written(responses_beside(requests)):
                found.append(requests)
    return found


def _is_written(responses: Path) -> bool:
    """There are answers. An empty file is one that somebody is about to write."""
    return responses.exists() and responses.stat().st_size > 0


def _read_states(folder: Path) -> Iterator[Batch]:
    for path in sorted(folder.glob("requests-*.json"), key=lambda path: (len(path.name), path.name)):
        if not _STATE.fullmatch(path.name):
            continue
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            batch = Batch(**state | {"dialect": Dialect(**state["dialect"])})
        except (ValueError, TypeError, KeyError) as error:
            raise WorkDirError(
                f"{path} is not what rsr has written: {error}", "remove it, and its requests are asked again"
            ) from None
        if path.with_suffix(".jsonl").exists():
            yield batch


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file, each with where it begins."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            if line.isspace():
                pass
            elif line.endswith(b"\n") or line.rstrip().endswith(b"}"):
                yield offset, line
            offset += len(line)
