"""How each stage grows with the prompts: wall time, CPU time and memory, beside a plain scan of the same Parquet.

    python tests/benchmarks/scale.py [--prompts 5000 20000] [--rollouts 16] [--shard-size 10000] [--keep DIR]

For every size a work dir is made: `rsr prepare` writes its prompts, and rollouts of 300 to 600 characters with their
verdicts are written beside them column by column, as sample and verify would. Each stage then runs as a process of
its own; memory is the most that it and its workers hold together. A row of `--prompts 1000000` takes a few GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from rsr_cli import fingerprints
from rsr_cli.config.load import load_config
from rsr_cli.plan import resolve
from rsr_cli.storage.local_storage import LocalStorage
from rsr_cli.store import shards
from rsr_cli.store.groups import MARK_KEY, ROLLOUTS_KEY, score_mark
from rsr_cli.store.journal import Journal
from rsr_cli.store.state import now
from rsr_cli.store.tally import tally
from rsr_cli.store.work_dir import WorkDir
from tests.server.running import ModelServer

RSR = [sys.executable, "-m", "rsr_cli"]
TEMPLATES = 5_000
STEP_SIZE = 4
SCAN = """
import sys, pathlib, pyarrow.parquet as pq
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/*.parquet")):
    for _ in pq.ParquetFile(path).iter_batches():
        pass
"""
"""Decodes every column of every shard: what no stage that reads it all can beat."""


@dataclass(frozen=True)
class Measured:
    """Seconds, and the most MiB that the process and its children held at a time."""

    wall: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{self.wall:9.1f} {self.cpu:9.1f} {self.peak:9.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[5_000, 20_000], help="one size or several")
    parser.add_argument("--rollouts", type=int, default=16, help="per prompt")
    parser.add_argument("--shard-size", type=int, default=10_000, help="prompts in a shard")
    parser.add_argument("--keep", type=Path, help="an empty folder for the work dirs, which then stay")
    arguments = parser.parse_args()
    for prompts in arguments.prompts:
        folder = Path(tempfile.mkdtemp(prefix="rsr-scale-", dir=arguments.keep))
        try:
            measure_size(folder, prompts, arguments.rollouts, arguments.shard_size)
        finally:
            if arguments.keep is None:
                shutil.rmtree(folder)


def measure_size(folder: Path, prompts: int, rollouts: int, shard_size: int) -> None:
    print(f"\n{prompts:,} prompts, {prompts * rollouts:,} rollouts")
    print(f"{'':44} {'wall s':>9} {'CPU s':>9} {'peak MiB':>9}")
    with ModelServer() as server:
        config = write_inputs(folder, prompts, rollouts, shard_size, server.base_url)
        work_dir = WorkDir(LocalStorage(folder / "w"))
        say("prepare", rsr("prepare", config, "-w", work_dir.root))
        add_rollouts(work_dir, rollouts)
        size = sum(path.stat().st_size for path in work_dir.root.glob("*/*.parquet"))
        say(f"a scan of the Parquet ({size / 2**30:.2f} GiB)", run([sys.executable, "-c", SCAN, work_dir.root]))
        say("verify, nothing owed", rsr("verify", "-w", work_dir.root))
        last = work_dir.shards()[-1]
        work_dir.score(last).unlink()
        say(f"verify, {tally(work_dir.rollout(last))['rollouts']:,} owed", rsr("verify", "-w", work_dir.root))
        say("format (sft, dpo)", rsr("format", "-w", work_dir.root))
        say("format, nothing changed", rsr("format", "-w", work_dir.root))
        say("analyze", rsr("analyze", "-w", work_dir.root))
        say("status", rsr("status", work_dir.root))
        reopen_last_shard(work_dir)
        begun, resumed = resume_until_first_request(work_dir, server)
        say(f"resume, {begun:.1f} s to its first request", resumed)


def say(name: str, measured: Measured) -> None:
    print(f"{name:44} {measured}", flush=True)


# ---- the work dir


def write_inputs(folder: Path, prompts: int, rollouts: int, shard_size: int, base_url: str) -> Path:
    """The input file and the config."""
    lead = "A shop sells pencils in packs. " * 6
    with (folder / "in.jsonl").open("w", encoding="utf-8") as file:
        for index in range(prompts):
            question = f"{lead}Ann buys {index} packs and Ben buys 7 packs. How many packs do they buy together?"
            row = {
                "id": f"prompt-{index}",
                "messages": [{"role": "user", "content": question}],
                "metadata": {"answer": str(index + 7)},
            }
            file.write(json.dumps(row) + "\n")
    config = {
        "data": {"input_path": str(folder / "in.jsonl")},
        "sampling": {"max_rollouts": rollouts, "step_size": STEP_SIZE, "max_steps": -(-rollouts // STEP_SIZE)},
        "sampler": {"base_url": base_url, "model": "test-model"},
        "formatter": [{"type": "sft"}, {"type": "dpo"}],
        "shard": {"size": shard_size},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "config.yaml"


def add_rollouts(work_dir: WorkDir, rollouts: int) -> None:
    """Write what sample and verify would have left of a run that is done."""
    config = load_config(work_dir.config_path).config
    numbers = work_dir.shards()
    state = work_dir.load_state()
    record = state.stages["sample"]
    plan = resolve(config)
    verifier = fingerprints.of_verifier(plan)
    chance = np.random.default_rng(0)
    texts = templates(chance)
    for shard in numbers:
        drawn, scored = columns(work_dir.data(shard), rollouts, texts, chance)
        write_shard(work_dir.rollout(shard), drawn, {})
        marks = {MARK_KEY: score_mark(work_dir, shard, verifier), ROLLOUTS_KEY: work_dir.rollouts_digest(shard)}
        write_shard(work_dir.score(shard), scored, marks)
        prompts = shards.row_count(work_dir.data(shard))
        counts = {"prompts": prompts, **tally(work_dir.rollout(shard)), "end_reasons": {"max_rollouts": prompts}}
        record.by_shard[str(shard)] = counts
    record.status, record.shards_done, record.started = "done", numbers, now()
    record.fingerprint = fingerprints.of_rollouts(plan, work_dir, numbers)
    state.save(work_dir.state_path)


def templates(chance: np.random.Generator) -> pa.Array:
    """Texts of 300 to 600 characters, of words that are as often as in a language."""
    syllables = ["ka", "to", "mi", "re", "su", "lan", "der", "pos", "vi", "qua", "ne", "tion"]
    words = np.array(["".join(chance.choice(syllables, chance.integers(1, 5))) for _ in range(3_000)])
    often = 1 / np.arange(1, len(words) + 1)
    return pa.array(
        [
            " ".join(chance.choice(words, 120, p=often / often.sum()))[: chance.integers(280, 580)]
            for _ in range(TEMPLATES)
        ]
    )


def columns(data: Path, rollouts: int, texts: pa.Array, chance: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """The rollout rows and the score rows of a shard: 2 % truncated, 0.1 % failed, 3 % without an answer."""
    table = pq.read_table(data, columns=["id", "metadata"])
    golds = np.array([int(json.loads(item)["answer"]) for item in table["metadata"].to_pylist()])
    count = table.num_rows * rollouts
    place = np.repeat(np.arange(table.num_rows), rollouts)
    ids = table["id"].combine_chunks().take(pa.array(place))
    attempt = np.tile(np.arange(rollouts, dtype=np.int32), table.num_rows)
    luck = chance.random(count)
    truncated, failed = luck < 0.02, luck > 0.999
    valid = ~(truncated | failed)
    silent = chance.random(count) < 0.03
    passes = (chance.random(count) < chance.random(table.num_rows)[place]) & ~silent
    answer = pa.array(golds[place] + np.where(passes, 0, 1)).cast(pa.string())
    body = texts.take(pa.array(chance.integers(0, len(texts), count)))
    told = pc.if_else(pa.array(silent), "I can't say.", pc.binary_join_element_wise("\\boxed{", answer, "}", ""))
    label = pc.binary_join_element_wise("\n\nTry ", pa.array(attempt).cast(pa.string()), ": ", "")
    response = pc.binary_join_element_wise(body, label, told, "")
    tokens = pc.divide(pc.utf8_length(response), 4).cast(pa.int32())
    params = json.dumps({"temperature": 0.7, "top_p": 1.0, "extra_params": {}, "max_tokens": 2048}, sort_keys=True)
    drawn = {
        "id": ids,
        "attempt": attempt,
        "step": (attempt // STEP_SIZE).astype(np.int32),
        "step_size": np.minimum(STEP_SIZE, rollouts - attempt // STEP_SIZE * STEP_SIZE).astype(np.int32),
        "response": pc.if_else(pa.array(valid), response, None),
        "reasoning": pa.nulls(count, pa.string()),
        "finish_reason": np.where(truncated, "length", np.where(failed, "error", "stop")),
        "prompt_tokens": np.full(count, 70, dtype=np.int32),
        "completion_tokens": tokens,
        "model": pa.array(np.full(count, "test-model")),
        "params": pa.array(np.full(count, params)),
        "seed": pa.nulls(count, pa.int64()),
        "error": pc.if_else(pa.array(failed), "HTTP 400: the prompt is too long", pa.scalar(None, pa.string())),
        "latency_s": chance.random(count),
        "source": pa.nulls(count, pa.string()),
    }
    scored = {
        "id": ids,
        "attempt": attempt,
        "score": passes.astype(np.float64),
        "status": np.where(silent, "no_answer", "scored"),
        "extracted_answer": pc.if_else(pa.array(silent), pa.scalar(None, pa.string()), answer),
        "explanation": pa.nulls(count, pa.string()),
        "details": pa.nulls(count, pa.string()),
    }
    return _table(drawn, shards.ROLLOUT), _table(scored, shards.SCORE).filter(pa.array(valid))


def _table(made: dict[str, object], schema: pa.Schema) -> pa.Table:
    """Without the columns of later versions, which read as null."""
    return pa.table(made, schema=pa.schema([schema.field(name) for name in made]))


def write_shard(path: Path, table: pa.Table, footer: dict[str, str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        writer.write_table(table, row_group_size=1024)
        writer.add_key_value_metadata({"rsr.digest": f"{path.parent.name}-{path.stem}", **footer})


def reopen_last_shard(work_dir: WorkDir) -> None:
    """Leave the work dir as a kill in its last shard would: half of its attempts and verdicts in journals."""
    shard = work_dir.shards()[-1]
    mark = score_mark(work_dir, shard, fingerprints.of_verifier(resolve(load_config(work_dir.config_path).config)))
    half = shards.row_count(work_dir.data(shard)) // 2
    ids = pa.array(pq.read_table(work_dir.data(shard), columns=["id"])["id"].slice(0, half).to_pylist())
    begun = [(work_dir.rollout(shard), work_dir.rollout_journal(shard), [])]
    begun += [(work_dir.score(shard), work_dir.score_journal(shard), [{MARK_KEY: mark}])]
    for path, journal_path, header in begun:
        table = pq.read_table(path)
        journal = Journal(journal_path)
        for record in [*header, *table.filter(pc.is_in(table["id"], ids)).to_pylist()]:
            journal.append(record)
        journal.write(journal.take())
        journal.close()
        path.unlink()
    state = work_dir.load_state()
    record = state.stages["sample"]
    record.status = "running"
    record.shards_done.remove(shard)
    record.by_shard.pop(str(shard))
    state.save(work_dir.state_path)


# ---- measuring


def rsr(*arguments: object) -> Measured:
    return run([*RSR, *arguments])


def run(command: list[object]) -> Measured:
    """Run a command to its end."""
    return watch(subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))


def resume_until_first_request(work_dir: WorkDir, server: ModelServer) -> tuple[float, Measured]:
    """Start `rsr resume` and kill it at its first request; the seconds to that."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*RSR, "resume", "-w", str(work_dir.root)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    arrived: list[float] = []

    def wait_for_request() -> None:
        while process.poll() is None and not server.log:
            time.sleep(0.005)
        arrived.append(time.perf_counter() - began)
        process.kill()

    waiter = threading.Thread(target=wait_for_request)
    waiter.start()
    measured = watch(process, check=False)
    waiter.join()
    assert server.log, "rsr resume ended without a request"
    return arrived[0], measured


def watch(process: subprocess.Popen[bytes], *, check: bool = True) -> Measured:
    """What a process takes until its end."""
    began = time.perf_counter()
    peak = 0.0
    ended = threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(0.05):
            peak = max(peak, held(process.pid))

    looker = threading.Thread(target=look)
    looker.start()
    before = os.times()
    assert process.stderr is not None
    told = process.stderr.read()
    code = process.wait()
    ended.set()
    looker.join()
    after = os.times()
    if check and code:
        raise SystemExit(f"{process.args!r} ended with {code}: {told.decode()}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(time.perf_counter() - began, cpu, peak)


def held(pid: int) -> float:
    """The MiB that a process and its descendants hold; what several share counts once."""
    try:
        [share] = re.findall(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except (OSError, ValueError):
        return 0.0
    return int(share) / 1024 + sum(held(int(child)) for child in children)


if __name__ == "__main__":
    main()
