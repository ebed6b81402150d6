"""Letters in every form people and models write them, and never from a word."""

from __future__ import annotations

from typing import Any

import pytest

from rsr_cli.types import Verdict
from rsr_cli.verifiers.mcq_rlvr import McqRlvr

CITIES = ["London", "Paris", "New York", "New York City"]

CHOSEN = [
    # boxes
    ("\\boxed{B}", "B"), ("\\boxed{(B)}", "B"), ("\\boxed{B. Paris}", "B"), ("\\boxed{\\text{B}}", "B"),
    ("$\\boxed{\\textbf{(B)}\\ 12}$", "B"), ("\\boxed{B: Paris}", "B"), ("\\boxed{\\mathrm{B}}", "B"),
    ("\\boxed{A}. No, \\boxed{B}", "B"), ("\\boxed{b}", "B"), ("\\boxed{\\text{Option B}}", "B"),
    ("\\boxed{Answer: B}", "B"), ("\\boxed{B}\n\nB is right since A is too small.", "B"),
    # stated
    ("The answer is B", "B"), ("The answer is (B).", "B"), ("the answer is **B**", "B"), ("**Answer:** B", "B"),
    ("**Answer: B**", "B"), ("Answer: (B) Paris", "B"), ("ANSWER: B", "B"), ("answer is b", "B"),
    ("The answer is definitely B", "B"), ("The correct answer is option B.", "B"),
    ("The correct option is B) Paris", "B"), ("Therefore, the best choice is B.", "B"), ("I would go with B.", "B"),
    ("I'd choose B", "B"),
    ("So the answer must be B.", "B"), ("Final answer: B", "B"), ("### Answer\nB", "B"), ("Answer:\n\nB. Paris", "B"),
    ("Solution: Choice_B", "B"), ("<answer>B</answer>", "B"), ("<answer>(B)</answer>", "B"), ("#### B", "B"),
    ("The answer is $B$.", "B"), ("The answer is `B`.", "B"), ('The answer is "B".', "B"), ("The answer is: B", "B"),
    ("My answer is B because it fits.", "B"), ("Answer - B", "B"), ("The right choice: B", "B"),
    ("Option B is correct.", "B"),
    ("B is the correct answer.", "B"), ("Hence (B) is correct.", "B"), ("Therefore, option (B) is the answer.", "B"),
    ("Thus the correct choice is B, Paris.", "B"), ("We select option B.", "B"),
    ("The answer is A. Wait, no. The answer is B.", "B"),
    # JSON
    ('{"answer": "B"}', "B"), ('```json\n{"reasoning": "A is out", "answer": "B"}\n```', "B"),
    ('{"answer": "(B) Paris"}', "B"), ('{"choice": "B"}', "B"),
    # alone
    ("B", "B"), ("B.", "B"), ("(B)", "B"), ("B) Paris", "B"), ("B: Paris", "B"), ("**B**", "B"),
    ("**B. Paris**", "B"), ("Some reasoning here.\n\nB", "B"), ("Reasoning about it.\n\n(B) Paris", "B"),
    ("[B]", "B"), ("Option B", "B"),
    # Chinese and others
    ("答案：B", "B"), ("答案是B。", "B"), ("答案为：Ｂ", "B"), ("【答案】B", "B"), ("【答案】：B", "B"),
    ("故选B。", "B"), ("故选：B", "B"),
    ("故答案选B", "B"), ("因此选择B选项。", "B"), ("所以正确选项是（B）", "B"), ("正确答案是 B. 巴黎", "B"),
    ("因此，选项B是正确的。", "B"),
    ("综上所述，答案选 B。", "B"),
    ("本题选B。", "B"), ("所以，本题答案为B项", "B"), ("La respuesta correcta es B.", "B"), ("La réponse est B.", "B"),
    ("Die Antwort ist B.", "B"), ("Ответ: B", "B"), ("正解はBです。", "B"), ("정답: B", "B"), ("A resposta é B.", "B"),
    # negations that are no choice
    ("The answer is not A; it is B.", "B"), ("It can't be A, so the answer must be B.", "B"),
    ("Rather than A, I choose B.", "B"), ("Option A is tempting but wrong. The answer is B.", "B"),
    ("A, C and D are wrong. So the answer is B.", "B"),
    # several
    ("The answer is A, C", "AC"), ("Answer: A and C", "A,C"), ("【答案】AC", "AC"), ("\\boxed{A, C}", "AC"),
    ("\\boxed{AC}", "AC"), ("\\boxed{\\text{A and C}}", "AC"), ("答案：A、C", "AC"),
    ("The correct options are (A) and (C).", "AC"), ("故选ACD", "ACD"), ("Answer: A, C, and D", "ACD"),
    ("A and C", "AC"), ("A, C", "AC"),
    ("Both A and C.", "AC"), ("A, B, and D are correct.", "ABD"), ("A、C和D都正确。", "ACD"),
    # weighed against the others
    ("I'm going with B.", "B"), ("I'd say B.", "B"), ("My best guess is B.", "B"), ("If I had to guess, B.", "B"),
    ("Only B satisfies this.", "B"), ("B seems most likely.", "B"), ("B is the only option that fits.", "B"),
    ("A, C, and D can be eliminated, leaving B.", "B"), ("The answer is not A but B.", "B"), ("Probably B.", "B"),
    ("Option B is correct because options A, C and D are not in France.", "B"), ("Both are true, so B.", "B"),
    ("A、C、D错误，B正确。", "B"), ("The statement that is NOT true is B.", "B"), ("The exception is B.", "B"),
    ("Answer: A. Actually, B.", "B"), ("答案是A。不对，应该是B。", "B"), ("不属于首都的是B", "B"),
    ("I would say that A is true but B is the best answer.", "B"), ("我认为是B", "B"),
    ("The answer is B. Actually, A and D are also plausible but less so.", "B"),
    # marked, labelled, in data
    ("✅ **B. Paris**", "B"), ("> **B**", "B"), ("- B", "B"), ("→ B", "B"), ("«B»", "B"), ("B!", "B"), ("B项", "B"),
    ("<final_answer>B</final_answer>", "B"), ('{"answer_choice": "B"}', "B"), ('{"correct_option": "B"}', "B"),
    ("Verdict: B", "B"), ("Select B.", "B"), ("The correct letter is B.", "B"), ("Correct answer → B", "B"),
    ("B<｜end▁of▁sentence｜>", "B"), ("The answer is <b>B</b>.", "B"),
    ("La respuesta correcta es la opción B.", "B"), ("Die korrekte Antwort lautet B.", "B"), ("Jawaban: B", "B"),
    ("A resposta correta é a letra B.", "B"), ("Đáp án đúng là B.", "B"), ("उत्तर: B", "B"), ("正确答案就是B。", "B"),
    ("最符合题意的是B。", "B"), ("我会选择B。", "B"), ("**答案**：B", "B"),
    # thinking, and questions that the model invented
    ("(B) Paris\n\nQ: Where?\n(A) Rome\nA: The answer is (A).", "B"),
    ("<think>The answer is A.</think>The answer is B.", "B"),
    ("The answer is (B).\n\nQuestion:\nWhat?\nOptions:\nA. x\nB. y\nAnswer: The answer is (C).", "B"),
    ("B\n\nQuestion: next\nAnswer: C", "B"),
    # units and stray capitals
    ("The value is 5 A, so the answer is B.", "B"), ("Answer: B\nExplanation: vitamin C is needed. D is wrong.", "B"),
    ("The answer is B. I checked it.", "B"), ("The answer is (B). A is too small.", "B"),
]  # fmt: skip

NOT_CHOSEN = [
    ("The answer is not clear", "N"), ("The energy is \\Delta E", "E"), ("The answer is", "A"),
    ("A good question. Let me think", "A"), ("I am not sure.", "I"), ("The answer cannot be determined.", "C"),
    ("", "A"), ("【答案】无正确答案", "A"), ("【答案】无法确定", "A"), ("I think that is hard", "I"),
    ("None of the above.", "A"), ("Let me consider each option. A:", "A"), ("<think>The answer is B", "B"),
    ("<think>So B.</think>", "B"), ("Answer: a good idea", "A"), ("The answer is a matter of taste", "A"),
    ("Solution: None of the choices (A, B, C, or D) are correct.", "A"), ("The answer is Berlin", "B"),
    ("\\boxed{5}", "E"),
    ("The answer is A-level material", "A"), ("The answer is J.K. Rowling.", "J"), ("The answer is H₂O.", "H"),
    ("The answer can't be B.", "B"), ("We can eliminate B.", "B"), ("Let's look at option B. It says that", "B"),
    ("First, consider option B. This option says that the capital, which", "B"), ("\\boxed{?}", "A"),
]  # fmt: skip

WRONG = [
    ("The answer is A.", "B"), ("The answer is B or D.", "B"), ("(B) and (D)", "B"),
    ("Both A and B are correct.", "B"), ("I am not sure; it could be B or C.", "B"), ("\\boxed{A}", "AC"),
    ("\\boxed{ABC}", "AC"), ("【答案】A, D", "A"), ("Answer: B, C", "B"), ("\\boxed{B} or \\boxed{C}", "B"),
    ("The answer is B. Wait, it is C.", "B"),
    ("答案是A或D。", "A"), ("The answer is A or C.", "AC"),
]  # fmt: skip

BY_TEXT = [
    ("The answer is Paris.", "B"), ("\\boxed{Paris}", "B"), ("\\boxed{\\text{Paris}}", "B"), ("Paris", "B"),
    ("It is known that the capital is Paris.", "B"), ('{"answer": "Paris"}', "B"), ("Answer: New York", "C"),
    ("The answer is New York City.", "D"), ("**Answer:** London", "A"),
]  # fmt: skip


def _verdict(response: str, gold: Any, options: Any = None) -> Verdict:
    return McqRlvr().verify(response, {"answer": gold, "options": options})


@pytest.mark.parametrize(("response", "gold"), CHOSEN)
def test_the_chosen_letters_are_found(response: str, gold: str) -> None:
    verdict = _verdict(response, gold)
    assert (verdict.score, verdict.status) == (1.0, "scored")


@pytest.mark.parametrize(("response", "gold"), NOT_CHOSEN)
def test_a_word_is_no_choice(response: str, gold: str) -> None:
    assert _verdict(response, gold).status == "no_answer"


@pytest.mark.parametrize(("response", "gold"), WRONG)
def test_other_letters_fail(response: str, gold: str) -> None:
    assert (_verdict(response, gold).score, _verdict(response, gold).status) == (0.0, "scored")


@pytest.mark.parametrize(("response", "gold"), BY_TEXT)
def test_the_text_of_an_option_stands_for_its_letter(response: str, gold: str) -> None:
    assert _verdict(response, gold, CITIES).score == 1.0
    assert _verdict(response, gold, dict(zip("ABCD", CITIES, strict=True))).score == 1.0
    assert _verdict(response, "A" if gold != "A" else "B", CITIES).score == 0.0


def test_the_letter_wins_over_the_text() -> None:
    assert _verdict("The answer is A. Paris", "A", CITIES).score == 1.0
    assert _verdict("The answer is A. Paris", "B", CITIES).score == 0.0


@pytest.mark.parametrize(
    "response",
    ["So the total is 24.", "x = 24", "The answer is 24 apples.", "$\\boxed{\\frac{48}{2}}$", "She pays $24.00."],
)
def test_the_value_of_an_option_stands_for_its_letter(response: str) -> None:
    options = ["12", "$24", "36", "None of these"]
    assert _verdict(response, "B", options).score == 1.0
    assert _verdict(response, "A", options).score == 0.0


def test_yes_and_no_stand_for_their_letters() -> None:
    assert _verdict("No, the study found none.", "B", ["yes", "no", "maybe"]).score == 1.0
    assert _verdict("No, the study found none.", "A", ["yes", "no", "maybe"]).score == 0.0


def test_text_that_names_several_options_is_no_choice() -> None:
    assert _verdict("It is London or Paris.", "B", CITIES).score == 0.0


@pytest.mark.parametrize("gold", ["A, C", "AC", ["A", "C"], "A and C", "(A)(C)", ["c", "a"], "\\boxed{A,C}", "A、C"])
def test_a_gold_may_hold_several_letters(gold: Any) -> None:
    assert _verdict("The answer is C and A.", gold).score == 1.0
    assert _verdict("The answer is C.", gold).score == 0.0


@pytest.mark.parametrize("gold", ["Paris", "paris", "B. Paris", "(B)", "b"])
def test_a_gold_may_be_the_text_of_an_option(gold: str) -> None:
    assert _verdict("B", gold, CITIES).score == 1.0


@pytest.mark.parametrize("gold", [None, "", [], "42", "the second"])
def test_a_gold_that_is_no_letter_is_an_error(gold: Any) -> None:
    assert _verdict("B", gold, CITIES).status == "error"


def test_letters_beyond_the_options_are_no_choice() -> None:
    assert _verdict("The answer is E.", "B", CITIES).status == "no_answer"
    assert _verdict("The answer is K.", "K").score == 1.0
