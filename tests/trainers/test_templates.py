"""What is said of the chat templates of well-known models, as TRL ships them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rsr_cli.formatters.chat_templates import load, look

pytestmark = pytest.mark.trainers
trl = pytest.importorskip("trl")

INLINE = {"role": "assistant", "content": "<think>\nmy long thought\n</think>\n\n42"}
FIELD = {"role": "assistant", "content": "42", "reasoning_content": "my long thought"}
FLAGS = ("lost", "doubled", "emptied", "not_prefix")


@pytest.mark.parametrize(
    ("name", "inline", "field"),
    [
        ("qwen2_5", set(), {"lost"}),
        ("gemma3", set(), {"lost"}),
        ("phi3", set(), {"lost"}),
        ("llama3", set(), {"lost"}),
        ("qwen3", set(), set()),
        ("qwen3_6", set(), set()),
        ("glm4moe", set(), set()),
        ("nemotron_3_nano", set(), set()),
        ("qwen3_8", {"doubled", "emptied"}, set()),
        ("deepseek_r1_distill", {"lost", "not_prefix"}, {"lost", "not_prefix"}),
    ],
)
def test_what_a_template_does_to_thinking(name: str, inline: set[str], field: set[str]) -> None:
    template = load(str(Path(trl.__file__).parent / f"chat_templates/{name}.jinja"))

    def seen(reply: dict[str, Any]) -> set[str]:
        found = look(template, [{"role": "user", "content": "Why?"}], reply)
        return {flag for flag in FLAGS if getattr(found, flag)}

    assert (seen(INLINE), seen(FIELD)) == (inline, field)


def test_marks_of_the_assistant_are_seen() -> None:
    folder = Path(trl.__file__).parent / "chat_templates"
    question = [{"role": "user", "content": "Why?"}]
    assert look(load(str(folder / "qwen3_training.jinja")), question, INLINE).marks
    assert not look(load(str(folder / "qwen3.jinja")), question, INLINE).marks
