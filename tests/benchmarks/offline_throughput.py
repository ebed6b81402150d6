"""vllm-offline against one large call of vLLM: rollouts a second, and with early stop accepted prompts a second.

    python tests/benchmarks/offline_throughput.py [--prompts 400] [--rounds 3] [--gpus 1] [--model FOLDER]

The same prompts, 16 rollouts each, on the same engine settings: by `LLM.generate(n=16)` over all of them, by `rsr run`
without early stop, and with it. A prompt is accepted when a rollout passes. Loading the model is not counted. Each
measurement has a process of its own; the rounds alternate and the best of each counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rsr_cli

TINY = Path(rsr_cli.__file__).parent / "tiny/model"
N = 16
MAX_TOKENS = 200
ENGINE = {"enforce_eager": True, "max_num_seqs": 64, "kv_cache_memory_bytes": 256 << 20}
CPU = {"TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
CPU["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # no process for the worker beside that of the engine
MODES = ("one big call", "rsr", "rsr, early stop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpus", type=int, default=1, help="for rsr; the one big call has one engine")
    parser.add_argument("--model", default=str(TINY))
    parser.add_argument("--measure", choices=MODES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("vllm") is None:
        print("skipped: vLLM is not installed (make test-vllm makes an environment with it)")
        return
    if options.measure:
        print(json.dumps(measure(options)))
        return
    best: dict[str, dict[str, float]] = {}
    for _ in range(options.rounds):
        for mode in MODES:
            result = in_a_process(mode)
            print(
                f"  {mode:16} {result['rollouts']:7.1f} rollouts/s {result['accepted']:7.2f} accepted prompts/s",
                flush=True,
            )
            if mode not in best or result["accepted"] > best[mode]["accepted"]:
                best[mode] = result
    call, plain, early = (best[mode] for mode in MODES)
    print(f"rollouts a second, rsr to one big call: {plain['rollouts'] / call['rollouts']:.2f} (aim: 0.95)")
    print(
        f"accepted prompts a second, early stop to one big call: {early['accepted'] / call['accepted']:.2f} (aim: 1.8)"
    )


def in_a_process(mode: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", mode]
    done = subprocess.run(command, env=CPU | dict(os.environ), stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(options: argparse.Namespace) -> dict[str, float]:
    from rsr_cli.tiny.problems import generate

    problems = list(generate(11, options.prompts))
    rows = [
        {
            "id": str(number),
            "messages": [{"role": "user", "content": item.question}],
            "metadata": {"answer": item.answer},
        }
        for number, item in enumerate(problems)
    ]
    if options.measure == MODES[0]:
        return big_call(options.model, rows)
    return by_rsr(options, rows, early_stop=options.measure == MODES[2])


def big_call(model: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    from vllm import LLM, SamplingParams

    from rsr_cli.verifiers.math_rlvr import MathRlvr

    llm = LLM(model=model, dtype="float32", max_model_len=512, **ENGINE)
    tokenizer = llm.get_tokenizer()
    template = {"tokenize": False, "add_generation_prompt": True}
    prompts = [tokenizer.apply_chat_template(row["messages"], **template) for row in rows]
    params = SamplingParams(n=N, temperature=0.8, max_tokens=MAX_TOKENS)
    began = time.monotonic()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    seconds = time.monotonic() - began
    verifier = MathRlvr()
    whole = [[item.text for item in output.outputs if item.finish_reason == "stop"] for output in outputs]
    accepted = sum(
        any(verifier.verify(text, row["metadata"]).score == 1 for text in texts)
        for texts, row in zip(whole, rows, strict=True)
    )
    return {"rollouts": sum(map(len, whole)) / seconds, "accepted": accepted / seconds}


def by_rsr(options: argparse.Namespace, rows: list[dict[str, Any]], *, early_stop: bool) -> dict[str, float]:
    import pyarrow.parquet as pq

    from rsr_cli.cli.app import app
    from rsr_cli.samplers.vllm_offline import VllmOffline

    times: list[float] = []
    enter, leave = VllmOffline.__aenter__, VllmOffline.__aexit__

    async def timed_enter(self: VllmOffline) -> VllmOffline:
        entered = await enter(self)
        times.append(time.monotonic())
        return entered

    async def timed_leave(self: VllmOffline, *exc: object) -> None:
        times.append(time.monotonic())
        await leave(self, *exc)

    VllmOffline.__aenter__, VllmOffline.__aexit__ = timed_enter, timed_leave  # type: ignore[method-assign]
    sampler = {"type": "vllm-offline", "model_path": options.model, "num_gpus": options.gpus, "dtype": "float32"}
    config = {
        "data": {"input_path": "in.jsonl"},
        "sampling": {"max_rollouts": N, "step_size": 4, "max_steps": 4, "early_stop": early_stop},
        "sampler": sampler
        | {"max_model_len": 512, "max_tokens": MAX_TOKENS, "temperature": 0.8, "engine_params": ENGINE},
        "formatter": [{"type": "sft"}],
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        Path("config.yaml").write_text(json.dumps(config), encoding="utf-8")
        app(["run", "config.yaml", "-w", "w", "--json"], standalone_mode=False)
        prompts = pq.read_table("w/summary/prompts.parquet").to_pylist()
        os.chdir("/")
    seconds = times[1] - times[0]
    return {
        "rollouts": sum(prompt["n_valid"] for prompt in prompts) / seconds,
        "accepted": sum(prompt["n_pass"] > 0 for prompt in prompts) / seconds,
    }


if __name__ == "__main__":
    main()
