"""A verdict is joined to the text that it was given on, and to no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.store.groups import verdict_rows
from rsr_cli.store.judged import attempt_digest, response_digest, valid_rows
from rsr_cli.store.shards import SCORE
from rsr_cli.types import Attempt, Group, Prompt, Verdict

texts = st.lists(st.tuples(st.text(max_size=5), st.none() | st.text(max_size=5)), min_size=1, max_size=6)


def group_of(replies: list[tuple[str, str | None]]) -> Group:
    attempts = {
        number: Attempt(
            id="p", attempt=number, step=0, step_size=1, response=text, reasoning=thinking, finish_reason="stop",
            model="m",
        )
        for number, (text, thinking) in enumerate(replies)
    }  # fmt: skip
    return Group(Prompt("p", [], {}), attempts)


def still_valid(judged: Group, now: Group, *, compared: bool) -> set[int]:
    verdicts = {number: Verdict(1.0) for number in judged.attempts}
    rows = [tuple(row[name] for name in SCORE.names) for row in verdict_rows(judged, verdicts, compared=compared)]
    digests = {number: attempt_digest(attempt) for number, attempt in now.attempts.items()}
    return {row[1] for row in valid_rows(rows, digests.get)}


@given(texts, texts)
def test_a_verdict_is_kept_exactly_where_its_text_is(
    before: list[tuple[str, str | None]], now: list[tuple[str, str | None]]
) -> None:
    alike = {n for n, (a, b) in enumerate(zip(before, now, strict=False)) if (a[0], a[1] or "") == (b[0], b[1] or "")}
    assert still_valid(group_of(before), group_of(now), compared=False) == alike
    together = alike if len(alike) == len(before) else set()
    assert still_valid(group_of(before), group_of(now), compared=True) == together


def test_there_is_no_digest_of_no_text() -> None:
    assert response_digest(None, "thinking") is None
    assert response_digest("") is not None
    assert response_digest("\ud83d") is not None
