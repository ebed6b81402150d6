"""What a reply does with the values it names: a remark leaves the answer, a retraction takes it away."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.verifiers.math_rlvr import MathRlvr
from rsr_cli.verifiers.mcq_rlvr import McqRlvr

DATA = Path(__file__).parents[3] / "shared/verifier-data/math_dev.jsonl"

STATED = [
    "\\boxed{31}",
    "The answer is 31.",
    "**Final Answer:** 31",
    "#### 31",
    "So she has 31 apples in total.",
    "答案是31。",
    "Die Antwort ist 31.",
    "La respuesta es 31.",
    "Ответ: 31.",
    "答えは31です。",
    "정답은 31입니다.",
    "الإجابة هي 31.",
    "Cevap: 31.",
    "उत्तर 31 है।",
    "Đáp án là 31.",
]
REMARKS = [
    "I hope this helps!",
    "Let me know if you have any questions.",
    "This answer is reasonable because 12 is less than 20.",
    "Note that 7 is prime.",
    "The answer is rounded to 2 decimal places.",
    "Check: 3 + 4 = 7.",
    "We can verify this by plugging it back in.",
    "A common mistake is to get 15 instead.",
    "This took 3 steps.",
    "The units are meters.",
    "Good luck on your exam on May 5!",
    "Confidence: 95%",
    "Be careful: 17 is not the answer.",
    "For comparison, last year it was 42.",
    "The answer must be a multiple of 4.",
    "If you had added instead, you would get 99.",
    "Remember to show 2 significant figures.",
    "This matches the estimate of 40 from before.",
    "See section 3 for more.",
    "Hopefully that makes sense.",
    "Therefore the solution is complete.",
    "The method works for any n > 3.",
    "This is consistent with the given data.",
    "In general, such problems take 5 minutes.",
    "Some people get 11, which is wrong.",
    "Does that make sense?",
    "The proof is complete.",
    "The result can also be checked with a calculator.",
]
RETRACTIONS = [
    "Hold on, I misread the problem; it comes to {}.",
    "Wait, I made a mistake. The answer is {}.",
    "Sorry, it should be {}.",
    "Actually, the correct answer is {}.",
    "Correction: {}",
    "No, that is wrong. It is {}.",
    "Hmm, let me recheck. We get {} instead.",
    "On second thought, it must be {}.",
    "Oops, I forgot a term, so the total is {}.",
    "I made an arithmetic error above. The result should be {}.",
    "Scratch that; the answer is {}.",
    "Looking back, I miscounted. There are {}.",
    "My mistake: {} is right.",
    "Wait, that is not right. So the value is {}.",
    "Let me correct that: it equals {}.",
    "Apologies, I meant {}.",
    "Upon rechecking, the final value is {}.",
    "Strike that, make it {}.",
    "I take that back. The answer should be {}.",
    "Rechecking my work, I get {}.",
]
MENTIONED = [
    "The answer is the same as in step 31.",
    "The answer is the square of 31.",
    "The answer is 2 more than 31.",
    "The answer is anything but 31.",
    "The answer is a multiple of 31.",
    "The answer is not 31.",
    "It is not 31.",
    "31 is wrong.",
    "So the answer is \\boxed{31",
    "I can't help with that. See chapter 31.",
    "There is insufficient information about the 31 workers.",
    "The answer is 31 or 32.",
    "The answer is 31. But it might also be 32.",
    "The answer is 31 (or 32 if order matters).",
    "<!-- 31 -->",
    "~~31~~",
    "\\boxed{\\phantom{31}}",
    "Die Antwort ist nicht 31.",
    "La respuesta no es 31.",
    "答案不是31。",
    "答えは31ではありません。",
]
WRAPPERS = [
    "{}<|im_end|>",
    "{}</s>",
    "{}[/INST]",
    "> {}",
    "```\n{}\n```",
    "<response>\n{}\n</response>",
    "{}\n\nI hope this helps!",
    "{}<|eot_id|><|start_header_id|>user",
]


def _score(response: str, gold: Any = "31") -> float | None:
    return MathRlvr().verify(response, {"answer": gold}).score


@pytest.mark.parametrize("stated", STATED)
def test_a_remark_behind_an_answer_leaves_it(stated: str) -> None:
    for remark in REMARKS:
        assert _score(f"{stated}\n\n{remark}") == 1.0, remark


@pytest.mark.parametrize("stated", STATED)
def test_a_retraction_with_another_value_takes_the_answer_away(stated: str) -> None:
    for retraction in RETRACTIONS:
        assert _score(f"{stated}\n\n{retraction.format(77)}") == 0.0, retraction


@given(st.sampled_from(STATED), st.lists(st.sampled_from(REMARKS), max_size=3), st.sampled_from(RETRACTIONS))
def test_remarks_and_a_retraction_in_any_order(stated: str, remarks: list[str], retraction: str) -> None:
    assert _score("\n\n".join([stated, *remarks])) == 1.0
    assert _score("\n\n".join([stated, *remarks, retraction.format(77)])) == 0.0


@pytest.mark.parametrize("response", MENTIONED)
def test_a_value_that_is_denied_or_only_mentioned_is_no_answer(response: str) -> None:
    assert _score(response) == 0.0


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_wraps_a_reply_leaves_its_answer(wrapper: str) -> None:
    for stated in STATED[:4]:
        assert _score(wrapper.format(stated)) == 1.0, stated
    assert _score(json.dumps({"response": STATED[1]})) == 1.0
    assert _score(json.dumps({"reasoning": "29 or 30?", "answer": "31"})) == 1.0


@pytest.mark.skipif(not DATA.exists(), reason="the labelled responses are not here")
def test_real_replies_keep_their_answer_behind_a_remark_and_lose_it_to_a_retraction() -> None:
    noise = random.Random(7)
    with DATA.open(encoding="utf-8") as file:
        records = noise.sample([record for line in file if (record := json.loads(line))["label"]], 250)
    flipped = kept = total = 0
    for record in records:
        reply, gold = record["response"].rstrip(), record["gold"]
        if _score(reply, gold) != 1.0 or reply[-1] in "}`>":
            continue
        total += 1
        flipped += _score(f"{reply}\n\n{noise.choice(REMARKS)}", gold) != 1.0
        kept += _score(f"{reply}\n\n{noise.choice(RETRACTIONS).format(1234567)}", gold) == 1.0
    assert total > 100
    assert flipped <= 0.02 * total
    assert kept <= 0.02 * total


def test_what_was_found_is_explained() -> None:
    told = MathRlvr().explain("The answer is 31. Wait, I made a mistake: it is 32.", {"answer": "32"})
    assert [claim["kind"] for claim in told["claims"]][:1] == ["sentence"]
    assert any(claim["kind"] == "retraction" for claim in told["claims"])
    assert told["why"] == "a second thought takes back the claim before"
    assert told["compared"][-1]["equal"] is True
    told = McqRlvr().explain("\\boxed{B}\n\nA is a common distractor.", {"answer": "B"})
    assert [claim["counts"] for claim in told["claims"]] == [True]
    json.dumps(told)


def test_the_command_shows_the_claims_of_a_rollout(tmp_path: Path) -> None:
    row = {"id": "q1", "messages": [{"role": "user", "content": "15 + 16?"}], "metadata": {"answer": "31"}}
    reply = {"id": "q1", "response": "\\boxed{30}. Scratch that, it is 31.", "finish_reason": "stop", "model": "m"}
    config = {
        "data": {"input_path": "in.jsonl"},
        "sampler": {"model": "m", "base_url": "http://127.0.0.1:9/v1"},
        "verifier": {"type": "math-rlvr", "workers": 1},
        "formatter": [{"type": "sft"}],
    }
    for name, data in (("in.jsonl", row), ("replies.jsonl", reply), ("config.yaml", config)):
        (tmp_path / name).write_text(json.dumps(data) + "\n", encoding="utf-8")
    rsr(tmp_path, "prepare", "-c", "config.yaml", "-w", "w")
    rsr(tmp_path, "import", "replies.jsonl", "-w", "w")
    told = json.loads(rsr(tmp_path, "verify", "-w", "w", "--explain", "q1:0", "--json"))
    assert [claim["kind"] for claim in told["claims"]] == ["marked", "retraction"]
    assert told["score"] == 1.0
    assert not list((tmp_path / "w").glob("score/*"))


def rsr(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rsr_cli", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout
