"""What a trainer needs beside the rows: a file that names them, their columns, and a length that cuts none of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rsr_cli.formatters.layouts import Job

LLAMA_FACTORY_INDEX = "dataset_info.json"
_ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
_STAGES = {"sft": "sft", "pairs": "dpo", "reward": "rm", "kto": "kto"}


@dataclass(frozen=True)
class Written:
    """What a formatter has written, as far as a trainer must know it."""

    name: str
    job: Job
    layout: str
    longest: int | None
    """The most tokens of a row, prompt and reply, by the backend's count; None where it gave none."""
    reward: tuple[str, Mapping[str, Any]] | None = None
    """The verifier that scores by rules, and its options."""

    @property
    def length(self) -> int | None:
        """A length for training that cuts no row, with some room for what another chat template adds."""
        return None if self.longest is None else -(-(self.longest + self.longest // 50 + 32) // 64) * 64


def files_beside(written: Written) -> dict[str, str]:
    """Return the files of a formatter's own by their names in `train/`, each with its text."""
    make = _FILES.get(written.layout)
    found = make(written) if make else {}
    if written.job == "rlvr" and written.reward is not None:
        found[f"{_module(written)}.py"] = _reward_file(written)
    return found


def llama_factory_index(all_written: list[Written]) -> str | None:
    """Return the `dataset_info.json` of all formatters with LLaMA-Factory's layout, None where there is none."""
    entries = {item.name: _index_entry(item) for item in all_written if item.layout == "llama-factory"}
    return json.dumps(entries, ensure_ascii=False, indent=2) + "\n" if entries else None


def _index_entry(written: Written) -> dict[str, Any]:
    columns = {"messages": "messages"}
    entry: dict[str, Any] = {"file_name": f"{written.name}.jsonl", "formatting": "sharegpt", "columns": columns}
    if written.job in ("pairs", "reward"):
        entry["ranking"] = True
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    elif written.job == "kto":
        columns["kto_tag"] = "label"
    return entry | {"tags": {**_ROLES, "system_tag": "system"}}


def _llama_factory(written: Written) -> dict[str, str]:
    settings = {
        "stage": _STAGES[written.job],
        "dataset_dir": ".",
        "dataset": written.name,
        **_length("cutoff_len", written),
        # The rows are for their last turn.
        "mask_history": True,
    }
    if written.job != "sft":
        del settings["mask_history"]
    return {f"{written.name}.llama-factory.yaml": _yaml(written, settings, "llamafactory-cli train")}


def _trl(written: Written) -> dict[str, str]:
    command = {"sft": "sft", "pairs": "dpo", "reward": "reward", "kto": "kto", "rlvr": "grpo"}[written.job]
    settings: dict[str, Any] = {"dataset_name": f"./{written.name}"}
    if written.job == "rlvr":
        settings |= {"reward_funcs": [f"{_module(written)}.reward"]} if written.reward else {}
    else:
        settings |= _length("max_length", written)
    if written.job == "sft" and written.layout != "prompt_completion":
        settings["assistant_only_loss"] = True
    return {f"{written.name}.trl.yaml": _yaml(written, settings, f"trl {command} --config")}


def _axolotl(written: Written) -> dict[str, str]:
    dataset: dict[str, Any] = {"path": f"./{written.name}.jsonl", "ds_type": "json"}
    settings: dict[str, Any] = {"datasets": [dataset]}
    if written.job == "sft":
        dataset |= {"type": "chat_template", "field_messages": "messages", "roles_to_train": ["assistant"]}
        dataset |= {"train_on_eos": "turn"}
    elif written.job == "pairs":
        settings |= {"rl": "dpo"}
        dataset |= {"type": "chat_template.default", "field_messages": "messages"}
        dataset |= {"field_chosen": "chosen", "field_rejected": "rejected"}
    elif written.job == "reward":
        settings |= {"reward_model": True}
        dataset |= {"type": "bradley_terry.chat_template"}
    else:
        settings |= {"rl": "grpo"}
        if written.reward:
            settings |= {"trl": {"reward_funcs": [f"{_module(written)}.reward"]}}
    settings |= _length("sequence_len", written) if written.job != "rlvr" else {}
    return {f"{written.name}.axolotl.yaml": _yaml(written, settings, "axolotl train, with base_model added:")}


def _ms_swift(written: Written) -> dict[str, str]:
    kind = {"sft": "sft", "pairs": "rlhf --rlhf_type dpo", "reward": "rlhf --rlhf_type rm"}
    kind |= {"kto": "rlhf --rlhf_type kto", "rlvr": "rlhf --rlhf_type grpo"}
    words = [f"swift {kind[written.job]}", '--model "$1"', f"--dataset {written.name}.jsonl"]
    if written.length is not None and written.job != "rlvr":
        words.append(f"--max_length {written.length}")
    text = "#!/bin/sh\n" + _comment(written, "sh") + " \\\n  ".join(words) + ' "$@"\n'
    return {f"{written.name}.ms-swift.sh": text.replace('--model "$1"', '--model "${1:?a model}"').replace('"$@"', "")}


def _verl(written: Written) -> dict[str, str]:
    settings: dict[str, Any] = {"train_files": f"./{written.name}"}
    if written.job == "sft":
        settings |= _length("max_length", written) | {"messages_key": "messages"}
        return {f"{written.name}.verl.yaml": _yaml(written, {"data": settings}, "verl's SFT trainer, overrides:")}
    settings |= {"prompt_key": "prompt"} | _length("max_prompt_length", written)
    overrides: dict[str, Any] = {"data": settings}
    if written.reward:
        overrides["custom_reward_function"] = {"path": f"./{_module(written)}.py", "name": "compute_score"}
    return {f"{written.name}.verl.yaml": _yaml(written, overrides, "verl's RL trainers, overrides:")}


_FILES: dict[str, Callable[[Written], dict[str, str]]] = {
    "trl": _trl,
    "messages": _trl,
    "prompt_completion": _trl,
    "llama-factory": _llama_factory,
    "axolotl": _axolotl,
    "ms-swift": _ms_swift,
    "verl": _verl,
}


def _length(option: str, written: Written) -> dict[str, int]:
    return {} if written.length is None else {option: written.length}


def _yaml(written: Written, settings: dict[str, Any], command: str) -> str:
    return _comment(written, command) + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def _comment(written: Written, command: str) -> str:
    measured = (
        f"The longest row has {written.longest} tokens by the backend's count."
        if written.longest is not None
        else "The backend counted no tokens: set the length yourself, or rows are cut."
    )
    return f"# Written by rsr, for {command} in this folder. {measured}\n"


def _module(written: Written) -> str:
    """The name of the module with the reward function."""
    return "".join(mark if mark.isascii() and mark.isalnum() else "_" for mark in written.name) + "_reward"


def _reward_file(written: Written) -> str:
    assert written.reward is not None
    verifier, options = written.reward
    return f'''"""Written by rsr: the verifier of this run as a reward function.

verl: custom_reward_function.path is this file, name is compute_score. TRL: reward_funcs is {_module(written)}.reward.
"""

from rsr_cli.scoring.reward import Reward

_reward = Reward({verifier!r}, {dict(options)!r})
compute_score = _reward.compute_score


def reward(completions, **columns):
    return _reward.reward(completions, **columns)
'''
