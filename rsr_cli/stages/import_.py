"""import: completions that were made elsewhere become attempts of the work dir's prompts."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import Any

from rsr_cli.errors import InputError, PluginError
from rsr_cli.plugins import registry
from rsr_cli.stages.import_rows import ImportRows, problem_of
from rsr_cli.stages.import_spill import ImportSpill
from rsr_cli.stages.prepare import Counts
from rsr_cli.stages.rows import as_sent
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.store import inventory
from rsr_cli.store.groups import read_groups, read_prompts
from rsr_cli.store.inputs import BadRow, read_input
from rsr_cli.store.recorder import compact


def import_(session: Session, path: str, *, transform: str | None = None, skip_invalid: bool = False) -> StageResult:
    """Add the completions in `path` as one more step of their prompts.

    A row has `id` or `messages` of a prompt here, and `response`; where known `reasoning`, `finish_reason`, `model`,
    `prompt_tokens`, `completion_tokens`, `seed`. A file that was imported before adds nothing: every attempt bears
    the digest of its file and the number of its row.
    """
    numbers = session.require_data()
    session.require_whole(numbers)
    origin = _Origin(path)
    _require_finished(session, origin)
    counts = Counts()
    rows = ImportRows(keep_truncated=not session.config.sampler.drop_truncated)
    with closing(ImportSpill()) as spill:
        _read(session, path, transform, counts, origin, rows, spill)
        if counts.invalid and not skip_invalid:
            raise InputError(counts.summary(), "correct them, or leave them out with --skip-invalid")
        for line in counts.shown:
            session.progress.warn(f"skipped: {line}")
        for notice in rows.notices():
            session.progress.warn(notice)
        added = {"imported": 0, "already_here": 0}
        for shard in numbers:
            there = spill.place(read_groups(session.work_dir, shard))
            added["imported"] += there.new
            added["already_here"] += there.known
            if there.new:
                if not session.state.importing:
                    session.state.importing = {"file": path, "digest": origin.digest}
                    session.save_state()
                compact(session.work_dir, shard, there)
                inventory.note_rollouts(session.state, session.work_dir, shard)
                session.save_state()
    session.state.importing = {}
    session.save_state()
    result = {"rows": counts.rows, "skipped": counts.skipped, "invalid": counts.invalid} | added
    return StageResult("import", skipped=not added["imported"], counts=result)


def _require_finished(session: Session, origin: _Origin) -> None:
    """WorkDirError where another file has been imported in part."""
    unfinished = session.state.importing
    if unfinished and unfinished.get("digest") != origin.digest:
        raise session.state.unfinished_import(session.work_dir.root)


class _Origin:
    """Names each row by its file's digest and its number."""

    def __init__(self, path: str) -> None:
        file = Path(path).expanduser()
        self.digest = (
            registry.file_digest(file)[:12] if file.is_file() else hashlib.sha256(path.encode()).hexdigest()[:12]
        )

    def __call__(self, row: int, part: int) -> str:
        return f"import:{self.digest}:{row}" + (f".{part}" if part else "")


def _read(
    session: Session,
    path: str,
    transform: str | None,
    counts: Counts,
    origin: _Origin,
    rows: ImportRows,
    spill: ImportSpill,
) -> None:
    """Put the attempts in `path` into the spill."""
    if transform:
        session.require_trusted(transform)
    function = registry.load_object(transform) if transform else None
    if function is not None and not callable(function):
        raise PluginError(f"--transform: {transform} is not a function")
    ids = _Ids(session)
    for number, (where, row) in enumerate(read_input(path), 1):
        counts.rows += 1
        if isinstance(row, BadRow):
            counts.reject(where, row)
            continue
        mapped: Any = row
        if function is not None:
            try:
                mapped = function(row)
            except (Exception, SystemExit) as error:
                raise PluginError(f"{where}: {transform} raised {type(error).__name__}: {error}") from error
        if mapped is None:
            counts.skipped += 1
            continue
        # One row may hold several completions of a prompt.
        for part, item in enumerate(mapped if isinstance(mapped, list) else [mapped]):
            prompt_id = ids.of(item)
            problem = _problem(item, prompt_id)
            if problem or prompt_id is None:
                counts.reject(where, problem or "no prompt here has these messages")
                continue
            spill.add(rows.attempt(item, prompt_id, origin(number, part)))


class _Ids:
    """The ids of the prompts here, and which messages are whose."""

    def __init__(self, session: Session) -> None:
        self._known: set[str] = set()
        self._by_messages: dict[bytes, str] = {}
        for shard in session.work_dir.shards():
            for prompt in read_prompts(session.work_dir.data(shard)):
                self._known.add(prompt.id)
                self._by_messages.setdefault(_messages_key(prompt.messages), prompt.id)

    def of(self, row: Any) -> str | None:
        if not isinstance(row, dict):
            return None
        if row.get("id") is not None:
            return str(row["id"]) if str(row["id"]) in self._known else None
        messages = row.get("messages")
        return self._by_messages.get(_messages_key(as_sent(messages))) if messages else None


def _messages_key(messages: Any) -> bytes:
    return hashlib.blake2b(json.dumps(messages, sort_keys=True, default=str).encode(), digest_size=16).digest()


def _problem(row: Any, prompt_id: str | None) -> str | None:
    if not isinstance(row, dict):
        return f"is a {type(row).__name__}, not an object"
    if row.get("id") is None and not row.get("messages"):
        return "has neither an id nor messages"
    if prompt_id is None:
        return (
            f"there is no prompt {row['id']!r} here"
            if row.get("id") is not None
            else "no prompt here has these messages"
        )
    return problem_of(row)
