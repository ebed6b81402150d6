"""The command that starts a project: a config and a transform for a kind of task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rsr_cli.cli.help import add
from rsr_cli.cli.terminal import guarded

Task = Literal["math", "mcq", "chat"]

_CHANGES: dict[str, dict[str, str]] = {
    "math": {},
    "mcq": {
        "put your final answer in \\boxed{}.": "put the letter of your answer in \\boxed{}.",
        "type: math-rlvr                   # mcq-rlvr,": "type: mcq-rlvr                    # math-rlvr,",
    },
    "chat": {
        "Please reason step by step, and put your final answer in \\boxed{}.   #": "null               #",
        "type: math-rlvr                   # mcq-rlvr, llm-judge,": (
            "type: llm-judge                   # math-rlvr, mcq-rlvr,"
        ),
        "                                    # or your own: my_verifier.py:MyVerifier\n": (
            "                                    # or your own: my_verifier.py:MyVerifier\n"
            "  model: Qwen/Qwen3-32B             # the judge: best a larger model, of another family\n"
            "  base_url: http://localhost:8001/v1\n"
            "  scale: [1, 10]                    # its grades; the score is 0.0 for 1 and 1.0 for 10\n"
            "  criteria: The reply is correct, complete, and to the point.\n"
        ),
        "pass_threshold: 1.0             #": "pass_threshold: 0.75            #",
        "    pass_threshold: 1.0\n": "    pass_threshold: 0.75\n",
        "fail_threshold: 0.0             #": "fail_threshold: 0.5             #",
    },
}
"""By task, what its config has in place of what the one for math has."""


@guarded
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write them.")] = Path(),
    task: Annotated[
        Task,
        typer.Option(
            metavar="math|mcq|chat",
            help="Answers that a rule compares, multiple choice, or replies that a judge grades.",
        ),
    ] = "math",
) -> None:
    """Write a config and a transform to start from."""
    from rsr_cli.errors import InputError
    from rsr_cli.storage.files import write_text
    from rsr_cli.storage.local_storage import LocalStorage

    folder = LocalStorage(directory)
    texts = {folder / "config.yaml": config_of(task), folder / "transform.py": transform_of(task)}
    standing = [str(path) for path in texts if path.lexists()]
    if standing:
        raise InputError(f"{' and '.join(standing)} stand already", "rsr init DIR writes into another folder")
    for path, text in texts.items():
        write_text(path, text)
        typer.echo(str(path))
    typer.echo(
        f"Next: edit both and name your data in {directory / 'config.yaml'}, then rsr run it with --dry-run", err=True
    )


def config_of(task: Task) -> str:
    text = _template("config.yaml.txt")
    for old, new in _CHANGES[task].items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def transform_of(task: Task) -> str:
    return _template("transform.py.txt" if task == "math" else f"transform_{task}.py.txt")


def _template(name: str) -> str:
    from importlib.resources import files

    return files("rsr_cli.cli").joinpath("templates", name).read_text(encoding="utf-8")


def add_commands(app: typer.Typer) -> None:
    add(app, "Start", "init", init)
