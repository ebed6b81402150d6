"""sample: draw attempts for every prompt until its group has ended, recording each as it arrives."""

from __future__ import annotations

from collections import Counter
from shlex import quote
from typing import Any

from rsr_cli import fingerprints
from rsr_cli.clients.batches.folder import awaited, responses_beside
from rsr_cli.config.settings import Config
from rsr_cli.errors import BackendError, RsrError, WorkDirError, printable
from rsr_cli.secrecy import without_secrets
from rsr_cli.stages.hopeless import refuse_hopeless
from rsr_cli.stages.sampling_run import SamplingRun
from rsr_cli.stages.session import Session, StageResult
from rsr_cli.stages.shard_closing import is_closed
from rsr_cli.stages.spent import drawn_so_far
from rsr_cli.stages.verify import change_notes, score_shards
from rsr_cli.stages.writable import refuse_unwritable, seen_in_data
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store import inventory, shards
from rsr_cli.store.groups import MARK_KEY, read_prompts, score_mark
from rsr_cli.store.tally import most_common_errors, tally_tokens
from rsr_cli.store.work_dir import WorkDir
from rsr_cli.words import counted

_TOKENS = ("prompt_tokens", "completion_tokens")


def sample(
    session: Session,
    *,
    retry_errors: bool = False,
    allow_mixed: bool = False,
    redraw: bool = False,
    will_be_verified: bool = False,
) -> StageResult:
    """Draw what is missing in every shard; `retry_errors` also asks again for the attempts that failed for good,
    `redraw` for those that were recorded here and are lost.

    Raises UsageError before the first request where verdicts are wanted and none can be given.
    """
    plan, work_dir = session.plan, session.work_dir
    numbers = session.require_data()
    refuse_unwritable(plan, seen_in_data(work_dir, numbers))
    mark = fingerprints.of_rollouts(plan, work_dir, numbers)
    record = session.state.stages["sample"]
    lost = inventory.rollout_losses(session.state, work_dir, numbers)
    if lost and not redraw:
        raise _paid_again(session, lost)
    if (
        session.is_done("sample", mark)
        and not retry_errors
        and not lost
        and all(is_closed(work_dir, n) for n in numbers)
    ):
        result = session.up_to_date("sample")
        result.counts = result.counts | {"new_attempts": 0}
        return result
    identity = fingerprints.identity(plan.config.sampler)
    _refuse_mixed(session, identity, numbers, allow_mixed)
    verifier = fingerprints.of_verifier(plan) if plan.scores_while_sampling else None
    session.loaded.require_secrets("sampler", *(["verifier"] if verifier is not None else []))
    if verifier is not None or will_be_verified:
        refuse_hopeless(plan, (prompt for n in numbers for prompt in read_prompts(work_dir.data(n))))
    if record.fingerprint != mark or retry_errors:
        record.shards_done = []
    record.retry_errors |= retry_errors
    for loss in lost:
        session.progress.warn(f"{loss}. It is drawn again")
        inventory.forget_rollouts(session.state, work_dir, loss.shard)
        record.shards_done = [shard for shard in record.shards_done if shard != loss.shard]
    with session.running("sample", mark) as result:
        session.state.sampled_with = identity
        session.save_state()
        if verifier is not None:
            stale = [n for n in numbers if _is_stale(work_dir, n, verifier)]
            if stale:
                session.progress.say("the verifier or the golds have changed: the rollouts are scored again first")
                result.notes += change_notes(score_shards(session, stale, verifier))
        run = SamplingRun(session, numbers, verifier, retry_errors=record.retry_errors)
        try:
            run.run()
        finally:
            result.counts = _totals(session, run)
        if gone := inventory.rollout_losses(session.state, work_dir, numbers):
            raise RsrError(
                f"{inventory.told(gone)}\n  another process has changed this while it was being sampled",
                "look for what changes files in the work dir while rsr runs; rsr check lists all that is damaged",
            )
        if waiting := run.closing.postponed:
            result.postponed = True
            files = awaited(work_dir.batches())
            result.counts |= {
                "waiting_prompts": waiting,
                "awaited_files": [str(responses_beside(path)) for path in files],
            }
            result.notes += _what_to_answer(plan.config, work_dir, files)
            return result
        record.retry_errors = False
        _tell_of_failures(session, result.counts)
    return result


def _paid_again(session: Session, lost: list[inventory.Loss]) -> WorkDirError:
    """What is missing, and what it would cost to draw it again."""
    work_dir, by_shard = session.work_dir, session.state.stages["sample"].by_shard
    counts: Counter[str] = Counter()
    for loss in lost:
        held = Counter({name: by_shard.get(str(loss.shard), {}).get(name, 0) for name in _TOKENS})
        counts += held - tally_tokens(work_dir.rollout(loss.shard), work_dir.rollout_journal(loss.shard))
    attempts = sum(loss.recorded - (loss.found or 0) for loss in lost)
    cost = session.plan.cost(counts["prompt_tokens"], counts["completion_tokens"])
    told = f"to draw this again is to pay again for {counted(attempts, 'attempts')}"
    if counts.total():
        told += f" of {counts.total():,} tokens" + (f", about {cost:.2f}" if cost else "")
    root = quote(str(work_dir.root))
    return WorkDirError(
        f"{inventory.told(lost)}\n  {told}",
        f"restore it from a backup, or run this again with --redraw; rsr check {root} lists all that is damaged",
    )


def _totals(session: Session, run: SamplingRun) -> dict[str, Any]:
    """The counts of all shards together, however many runs drew them, and what this one has drawn."""
    record, work_dir = session.state.stages["sample"], session.work_dir
    numbers = drawn_so_far(work_dir, record)
    prompts = numbers.pop("prompts", 0) + run.closing.finished_in_open_shards
    reasons: Counter[str] = Counter()
    for shard in (n for n in work_dir.shards() if n in record.shards_done):
        reasons.update(record.by_shard.get(str(shard), {}).get("end_reasons", {}))
    if run.budget is not None and run.budget.cancelled:
        numbers["cancelled"] = run.budget.cancelled
    new = run.progress.drawn["attempts"]
    return {"prompts": prompts, **numbers, "end_reasons": dict(reasons), "new_attempts": new}


def _what_to_answer(config: Config, work_dir: WorkDir, files: list[LocalStorage]) -> list[str]:
    """How the files of requests that wait are to be answered."""
    if not files:
        return ["batches are under way at the server: rsr sample sampler.batch_files=false takes up their answers"]
    lines = ["these requests wait for answers:"]
    for path in files:
        model = config.sampler.model if path.parent == work_dir.batches() else "MODEL"
        requests, responses = (quote(str(work_dir.root.stored_at(item))) for item in (path, responses_beside(path)))
        lines.append(f"  vllm run-batch -i {requests} -o {responses} --model {model}")
    return [*lines, f"once they are there: rsr resume -w {quote(str(work_dir.root))}"]


def _tell_of_failures(session: Session, counts: dict[str, Any]) -> None:
    """Warn of attempts that failed for good; BackendError where there is nothing else."""
    if not counts.get("errors"):
        return
    kinds: Counter[str] = Counter()
    for shard in session.work_dir.shards():
        kinds.update(most_common_errors(session.work_dir.rollout(shard)))
    told = "; ".join(f"{count} x {printable(error)[:200].rstrip('.')}" for error, count in kinds.most_common(3))
    hint = f"rsr sample -w {quote(str(session.work_dir.root))} --retry-errors asks for them again"
    if set(counts["end_reasons"]) <= {"early_stop", "max_rollouts"}:
        hint = "Every prompt has what it needs without them"
    if counts["errors"] == counts["attempts"]:
        raise BackendError(f"every one of {counted(counts['attempts'], 'attempts')} failed: {told}", hint)
    session.progress.warn(
        f"{counts['errors']:,} of {counted(counts['attempts'], 'attempts')} failed for good: {told}. {hint}"
    )


def _refuse_mixed(session: Session, identity: dict[str, Any], numbers: list[int], allow_mixed: bool) -> None:
    before = session.state.sampled_with
    if not before or allow_mixed or not any(session.work_dir.has_rollouts(number) for number in numbers):
        return
    by_value = fingerprints.identity(session.config.sampler, by_value=True)
    old, new, was = (
        without_secrets({"model": value["model"], **value["params"]}) for value in (before, identity, by_value)
    )
    differing = [
        f"sampler.{key}: {old.get(key)!r} -> {new[key]!r}" for key in new if old.get(key) not in (new[key], was[key])
    ]
    if differing:
        raise WorkDirError(
            "the rollouts here were drawn with other settings:\n  " + "\n  ".join(differing),
            "use a new work dir, or --allow-mixed to let both live side by side",
        )


def _is_stale(work_dir: WorkDir, shard: int, verifier: str) -> bool:
    """The shard has verdicts, and they are not of this verifier on these golds."""
    found = shards.footer(work_dir.score(shard)).get(MARK_KEY)
    return found is not None and found != score_mark(work_dir, shard, verifier)
