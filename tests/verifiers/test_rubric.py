"""rubric: criteria judged one by one, their weights added up, and never a guess for one that is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rsr_cli.types import Verdict
from rsr_cli.verifiers.rubric import Rubric, weighted_share
from tests.server import Ask, ModelServer, Reply
from tests.verifiers.judging import details, prompt, verdicts

CRITERIA = [
    {"criterion": "names air", "weight": 3},
    {"criterion": "names blue light", "weight": 1},
    {"criterion": "blames the sea", "weight": -2},
]


def met(**words: str) -> Any:
    """A judge that says these words of the criteria that hold the key, and else no."""

    def reply(ask: Ask) -> Reply:
        statement = ask.prompt.split("The statement:")[1].split("The conversation")[0]
        word = next((word for key, word in words.items() if key in statement), "no")
        return Reply(word if word.startswith("!") else json.dumps({"rationale": "So it is.", "met": word}))

    return reply


async def judged(server: ModelServer, rubric: Any = CRITERIA, **options: Any) -> Verdict:
    found = await verdicts(Rubric, server.base_url, ["Air scatters blue light."], of=prompt(rubric=rubric), **options)
    return found[0]


@pytest.mark.parametrize(
    ("words", "score"),
    [
        ({"air": "yes", "blue": "yes"}, 1.0),
        ({"air": "yes"}, 0.75),
        ({"air": "yes", "sea": "yes"}, 0.25),
        ({"sea": "yes"}, 0.0),
        ({}, 0.0),
    ],
)
async def test_the_weighted_share(words: dict[str, str], score: float, model_server: ModelServer) -> None:
    model_server.scenario.reply = met(**words)
    verdict = await judged(model_server)
    assert verdict.score == pytest.approx(score) and len(model_server.log) == 3
    parts = details(verdict)["criteria"]
    assert [(part["criterion"], part["weight"]) for part in parts] == [(c["criterion"], c["weight"]) for c in CRITERIA]
    said = [next((word for key, word in words.items() if key in part["criterion"]), "no") for part in parts]
    assert [part["met"] for part in parts] == [word == "yes" for word in said]
    assert details(verdict)["asked"] == 3


@pytest.mark.parametrize("word", ["unsure", "!perhaps", '!{"met": true}'])
async def test_a_criterion_that_is_not_known_leaves_the_score_unknown(word: str, model_server: ModelServer) -> None:
    model_server.scenario.reply = met(air="yes", blue=word)
    verdict = await judged(model_server)
    assert (verdict.score, verdict.status) == (None, "error") and "1 of 3 criteria" in (verdict.explanation or "")
    assert details(verdict)["criteria"][1]["met"] is None
    verdict = await judged(model_server, min_known=0.8)
    assert verdict.score == 1.0 and details(verdict)["known"] == pytest.approx(5 / 6)
    assert (await judged(model_server, min_known=0.9)).score is None


async def test_only_faults_known_is_no_full_score(model_server: ModelServer) -> None:
    model_server.scenario.reply = met(air="unsure", blue="unsure")
    assert (await judged(model_server, min_known=0.1)).score is None


@pytest.mark.parametrize(
    ("rubric", "saying"),
    [
        (None, "no criteria in metadata.rubric"),
        ([], "no criteria"),
        ("be nice", "not JSON"),
        ([{"weight": 1}], "criterion"),
        ([{"criterion": "x", "weight": "much"}], "weight"),
        ([{"criterion": "x", "weight": 0}], "weights are 0"),
        ({"criterion": "x"}, "list"),
    ],
)
async def test_a_rubric_that_can_not_be_read_is_an_error_with_words(
    rubric: Any, saying: str, model_server: ModelServer
) -> None:
    verdict = await judged(model_server, rubric)
    assert (verdict.score, verdict.status) == (None, "error") and saying in (verdict.explanation or "")
    assert Rubric(model="m").cannot_score(prompt(rubric=rubric)) == verdict.explanation
    assert not model_server.log


async def test_other_forms_of_a_rubric(tmp_path: Path, model_server: ModelServer) -> None:
    model_server.scenario.reply = met(air="yes")
    points = [{"criterion": "names air", "points": 3, "tags": ["axis"]}, "is short"]
    assert (await judged(model_server, points, cache=tmp_path)).score == 0.75
    assert (await judged(model_server, json.dumps(points), cache=tmp_path)).score == 0.75
    common = {"rubric": points, "cache": tmp_path}
    [verdict] = await verdicts(Rubric, model_server.base_url, ["Air scatters blue light."], of=prompt(), **common)
    assert verdict.score == 0.75
    assert len(model_server.log) == 2, "what was answered once is kept"


@pytest.mark.parametrize("options", [{"rubric": []}, {"min_known": 0}, {"rubric": [{"criterion": "x", "weight": 0}]}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rubric(model="m", **options)


@given(st.lists(st.tuples(st.floats(-9, 9).filter(lambda w: abs(w) > 0.01), st.booleans()), min_size=1))
def test_a_share_is_within_its_range_and_grows_with_what_is_met(known: list[tuple[float, bool]]) -> None:
    share = weighted_share(known)
    assert 0.0 <= share <= 1.0
    best = weighted_share([(weight, weight > 0) for weight, _ in known])
    worst = weighted_share([(weight, weight < 0) for weight, _ in known])
    assert worst <= share <= best and best == 1.0 and worst == pytest.approx(0.0)
