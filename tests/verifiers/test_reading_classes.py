"""Classes of replies, each in several wordings: what is stated counts, what is only mentioned does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsr_cli.reply import final_reply
from rsr_cli.verifiers.math_rlvr import MathRlvr
from rsr_cli.verifiers.mcq_rlvr import McqRlvr
from tests.verifiers.test_math_claims import REMARKS

RIGHT = [
    ("The roots are:\n- $x = 2$\n- $x = 9$", "2, 9"), ("Possible values:\n\n• -3\n• 6", "\\{-3, 6\\}"),
    ("**Answer:**\n\n- 17", "17"), ("The numbers are 8 and 3 respectively.", "8, 3"),
    ("x and y are 4 and -1, respectively.", "(4,-1)"), ("The ages are 11, 14 and 19, in that order.", "11, 14, 19"),
    ("\\begin{align*}\nx &= 3 + 5 \\\\\n&= 8\n\\end{align*}", "8"),
    ("\\begin{aligned} 2y &= 18 \\\\ y &= 9 \\end{aligned}", "9"),
    ("The answer is cbrt(7).", "\\sqrt[3]{7}"), ("The answer is P(6,2).", "30"), ("The answer is nCr(7, 2).", "21"),
    ("Answer: 6P2", "30"), ("Answer: (1 +/- sqrt(7))/2", "\\frac{1\\pm\\sqrt7}{2}"), ("Answer: log2(32)", "5"),
    ("Answer: [[1, 2], [3, 5]]", "\\begin{pmatrix}1&2\\\\3&5\\end{pmatrix}"), ("The answer is 2_500_000.", "2500000"),
    ("| Quantity | Value |\n|---|---|\n| rows | 3 |\n| **Answer** | **26** |", "26"),
    ("The answer is 52 and this took 3 steps", "52"), ("Answer: 52 I am 95% confident", "52"),
    ("The answer is 52 Note that 13 divides this.", "52"), ("So 52 is the answer because 50 + 2 = 52", "52"),
    ("x is between 1 and 4, exclusive.", "(1,4)"), ("All x with -1 <= x < 4.", "[-1,4)"),
    ("The answer isn't 25, it's 22.", "22"), ("The answer is the square of 4, which is 16.", "16"),
    ("x = 28\n\n🎉", "28"),
]  # fmt: skip
WRONG = [
    ("A solution would require the sum to be 14, which is impossible. No such triangle exists.", "14"),
    ("No integer root exists when k = 5.", "5"), ("There is no real solution for m = 7.", "7"),
    ("We tried x = 3, x = 4 and x = 6, none of which works.", "6"), ("It is greater than 40.", "40"),
    ("At least 18 of them are needed, though the exact count is unclear.", "18"),
    ("I'm afraid I ran out of space at line 16.", "16"), ("I can't tell. $\\phantom{\\boxed{23}}$", "23"),
    ("  % \\boxed{23}\nI can't tell.", "23"), ("analysis we need the product, so 15", "15"),
    ("x and y are -1 and 4, respectively.", "(4,-1)"), ("The answer is on.", "no"), ("ANSWER: 0.4%", "0.4"),
    ("Question 8 is beyond what I can do.", "8"), ("I stopped at step 9 because of the length limit.", "9"),
    ("Assume that x = 10. This leads to a contradiction.", "10"), ("The answer is 46, though 45 would be close", "45"),
    ("No clue. \\iffalse \\boxed{12} \\fi", "12"), ("\\begin{comment}\\boxed{12}\\end{comment} No clue.", "12"),
    ("The roots are:\n- $x = 2$\n- $x = 8$", "2, 9"), ("Answer: cbrt(6)", "\\sqrt[3]{7}"),
]  # fmt: skip
TABLE = "| Option | Verdict |\n|---|---|\n| A | wrong |\n| B | wrong |\n| C | correct |\n| D | wrong |"
CHOICES = [
    ("(A) ✗ (B) ✓ (C) ✗ (D) ✗", "B"), ("『C』", "C"), ("|C|", "C"), ("==C==", "C"), ("C rather than A.", "C"),
    ("My vote is C.", "C"), ("Most likely C.", "C"), ("Correct answer: C\nIncorrect options: A, B, D", "C"),
    ("คำตอบที่ถูกต้องคือ C", "C"), ("सही उत्तर C है। विकल्प A गलत है।", "C"), (TABLE, "C"), ("<C>", "C"),
    ("⟨C⟩", "C"), ("_C_", "C"), ("C ✅", "C"), ("I'd bet on C.", "C"),
]  # fmt: skip
NO_CHOICES = [
    "A: incorrect\nB: incorrect\nC:",
    "Option (C) looks right at first, but it fails.",
    "Option A: wrong\nOption B: wrong\nOption C: inc",
    "C seems plausible, but it contradicts the text.",
]


def math(reply: str, gold: str) -> bool:
    return MathRlvr().verify(final_reply(reply) or "", {"answer": gold}).score == 1.0


def choice(reply: str, gold: str) -> bool:
    options = ["Mercury", "Venus", "Mars", "Jupiter"]
    return McqRlvr().verify(reply, {"answer": gold, "options": options}).score == 1.0


@pytest.mark.parametrize(("reply", "gold"), RIGHT)
def test_what_is_stated_counts(reply: str, gold: str) -> None:
    assert math(reply, gold)


@pytest.mark.parametrize(("reply", "gold"), WRONG)
def test_what_is_not_stated_passes_never(reply: str, gold: str) -> None:
    assert not math(reply, gold)


@pytest.mark.parametrize(("reply", "gold"), CHOICES)
def test_the_chosen_option_counts_and_no_other(reply: str, gold: str) -> None:
    assert [letter for letter in "ABCD" if choice(reply, letter)] == [gold]


@pytest.mark.parametrize("reply", NO_CHOICES)
def test_an_option_that_is_only_spoken_of_is_no_choice(reply: str) -> None:
    assert not choice(reply, "C")


DATA = Path(__file__).parents[3] / "shared/verifier-data"


@pytest.mark.long
@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled responses are not here")
@pytest.mark.parametrize(("name", "verifier"), [("math", MathRlvr()), ("mcq", McqRlvr())])
def test_what_is_added_to_real_replies_changes_their_verdict_as_it_should(
    name: str, verifier: MathRlvr | McqRlvr
) -> None:
    """Remarks, on the same line or another, leave the verdict; a struck out, cut off or refused answer passes never."""
    lines = (DATA / f"{name}_dev.jsonl").read_text(encoding="utf-8").splitlines()
    asked = flipped = passed = 0
    for record in map(json.loads, lines[::8]):
        metadata = {"answer": record["gold"], "options": record.get("options")}
        if not record["label"] or verifier.verify(record["response"], metadata).score != 1.0:
            continue
        reply = (final_reply(record["response"]) or "").rstrip()
        for remark in REMARKS[::3]:
            for gap in (" ", "\n"):
                asked += 1
                flipped += verifier.verify(reply + gap + remark, metadata).score != 1.0
        gold = str(record["gold"])
        for never in (
            f"~~The answer is {gold}~~",
            f"The answer is not {gold}.",
            f"<!-- The answer is {gold} -->",
            "The answer is",
        ):
            passed += verifier.verify(never, metadata).score == 1.0
    assert asked > 1_000
    assert flipped <= 0.015 * asked
    assert passed == 0
