"""Train the embedded tiny model from scratch and write its folder, 12 to 18 minutes on one CPU core.

    python recipes/tiny-model/train.py [--examples 100000] [--seed 0] [--out rsr_cli/tiny/model]

Needs torch, transformers and tokenizers; see README.md beside this file.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from rsr_cli.tiny import problems

MODEL_DIR = Path(problems.__file__).parent / "model"
CONTEXT = 1024
ROPE_THETA = 1000.0

PAD, END = "<|pad|>", "<|end|>"
SPECIAL_TOKENS = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>")

# Words with the space before them, single digits, operators with the spaces around them, and single characters.
# Every character matches some branch. Python's `re` and the Rust regex of `tokenizers` read the pattern alike.
PATTERN = r"\\boxed\{|\n[A-D]\) | [-+*/=] | ?[A-Za-z]+|[0-9]|[^A-Za-z0-9]"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}\n"
)

BATCH_TOKENS = 1024
MUON_RATE = 5e-3
ADAM_RATE = 5e-3
WARMUP_STEPS = 100

Example = tuple[list[int], int]  # token ids, and how many of them are the prompt


def build_tokenizer(seed: int) -> Tokenizer:
    """Whole words of the generated problems, and single bytes for everything else: any text can be encoded.

    It is a BPE without merges. `ignore_merges` takes a piece that is in the vocabulary as it is; any other piece
    falls apart into bytes.
    """
    rng = random.Random(f"vocabulary-{seed}")
    pieces: set[str] = set()
    for problem in problems.generate(seed, 4000, held_out=False):
        texts = [problem.prompt(), *problems.SYSTEM_PROMPTS, *problems.SUFFIXES]
        texts += [problems.solution(problem, style, rng) for style in ("bare", "terse", "steps", "rambling")]
        pieces.update(piece for text in texts for piece in re.findall(PATTERN, text))
    to_characters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = sorted({to_characters.pre_tokenize_str(piece)[0][0] for piece in pieces})
    vocabulary = dict.fromkeys([*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *words])
    model = models.BPE(vocab={token: i for i, token in enumerate(vocabulary)}, merges=[], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"), to_characters]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return tokenizer


def build_model(tokenizer: Tokenizer, seed: int) -> LlamaForCausalLM:
    """A Llama of about half a million parameters with random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=(tokenizer.get_vocab_size() + 7) // 8 * 8,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
        dtype="float32",
    )
    return LlamaForCausalLM(config)


def make_examples(tokenizer: Tokenizer, count: int, seed: int) -> Iterator[Example]:
    """Prompts and solutions as token ids, in the shape that the chat template gives them."""
    rng = random.Random(f"solutions-{seed}")
    for problem in problems.generate(seed, count, held_out=False):
        messages, solution = problems.training_pair(problem, rng)
        prompt = "".join(f"<|{message['role']}|>{message['content']}{END}" for message in messages) + "<|assistant|>"
        prompt_ids = tokenizer.encode(prompt).ids
        yield prompt_ids + tokenizer.encode(solution + END).ids, len(prompt_ids)


def make_batches(examples: list[Example], seed: int) -> Iterator[list[Example]]:
    """Batches of about `BATCH_TOKENS` tokens, padding included, of examples of nearly the same length."""
    rng = random.Random(f"batches-{seed}")
    for start in range(0, len(examples), 2000):
        batches: list[list[Example]] = [[]]
        for example in sorted(examples[start : start + 2000], key=lambda example: len(example[0])):
            if batches[-1] and (len(batches[-1]) + 1) * len(example[0]) > BATCH_TOKENS:
                batches.append([])
            batches[-1].append(example)
        rng.shuffle(batches)
        yield from batches


def loss_of(model: LlamaForCausalLM, batch: list[Example]) -> torch.Tensor:
    """Mean cross-entropy of the solutions' tokens. Padding stands to the right, where causal attention ignores it."""
    width = max(len(ids) for ids, _ in batch)
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    is_solution = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, (ids, prompt_length) in enumerate(batch):
        tokens[row, : len(ids)] = torch.tensor(ids)
        is_solution[row, prompt_length : len(ids)] = True
    hidden = model.model(tokens[:, :-1]).last_hidden_state[is_solution[:, 1:]]
    return torch.nn.functional.cross_entropy(model.lm_head(hidden), tokens[:, 1:][is_solution[:, 1:]])


def train(model: LlamaForCausalLM, batches: list[list[Example]]) -> None:
    """One pass over the batches: Muon for the matrices, AdamW for embeddings and norms, linear decay to zero."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=MUON_RATE),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    peaks = [MUON_RATE, ADAM_RATE]
    started, recent = time.monotonic(), 0.0
    for step, batch in enumerate(batches):
        scale = min((step + 1) / WARMUP_STEPS, (len(batches) - step) / (len(batches) - WARMUP_STEPS))
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        recent += loss.item()
        if (step + 1) % 250 == 0:
            seconds = time.monotonic() - started
            print(f"step {step + 1} of {len(batches)}, loss {recent / 250:.4f}, {seconds:.0f} s", flush=True)
            recent = 0.0


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the folder that transformers, vLLM and the embedded engine read."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id
    )
    model.save_pretrained(folder)
    # transformers 4 and engines of its time look for the rope's base here, and would silently take 10,000 instead.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["rope_theta"] = ROPE_THETA
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes files that only their owner can read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000, help="number of training examples")
    parser.add_argument("--seed", type=int, default=0, help="seed of the problems, the weights and the order")
    parser.add_argument("--out", type=Path, default=MODEL_DIR, help="folder of the model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = build_tokenizer(options.seed)
    examples = list(make_examples(tokenizer, options.examples, options.seed))
    model = build_model(tokenizer, options.seed)
    tokens = sum(len(ids) for ids, _ in examples)
    print(f"{model.num_parameters():,} parameters, {tokens:,} tokens, vocabulary of {tokenizer.get_vocab_size()}")
    save(model, tokenizer, options.out)
    train(model, list(make_batches(examples, options.seed)))
    save(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
