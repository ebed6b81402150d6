"""docs/services.md: what it says of a service is what is made of a recorded answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.clients.answers import read_answer
from rsr_cli.clients.finish_reasons import meaning_of
from tests.clients.recorded_answers import ANSWERS, Expected

PAGE = (Path(__file__).parents[2] / "docs/services.md").read_text(encoding="utf-8")
MEANINGS = ("stop", "length", "content_filter", "error")


def rows_of(heading: str) -> dict[str, list[str]]:
    """The cells of the table under a heading, by the name of the service."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {cells[0]: cells[1:] for cells in table[2:]}


@pytest.mark.parametrize(
    ("document", "expected"), [pytest.param(*case, id=name) for name, cases in ANSWERS.items() for case in cases]
)
def test_a_recorded_answer_is_read(document: dict[str, Any], expected: Expected) -> None:
    answer = read_answer(json.dumps(document).encode(), max_tokens=100)
    [choice] = answer.choices
    tokens = (answer.prompt_tokens, answer.completion_tokens)
    assert (choice.text, choice.reasoning, choice.finish_reason, tokens) == expected


def test_every_service_is_recorded_and_in_both_tables() -> None:
    assert list(rows_of("Why an answer ended")) == list(rows_of("Counts, thinking, form")) == list(ANSWERS)


@pytest.mark.parametrize(("service", "cells"), rows_of("Why an answer ended").items())
def test_the_words_mean_what_the_table_says(service: str, cells: list[str]) -> None:
    for meaning, cell in zip(MEANINGS, cells, strict=True):
        assert [
            (word, meaning_of(word)) for word in re.findall(r"`([^`]+)`", cell) if meaning_of(word) != meaning
        ] == []
