"""The answer is cut out of the reply, in the forms people and models write it."""

from __future__ import annotations

import pytest

from rsr_cli.types import Verdict
from rsr_cli.verifiers.math_rlvr import MathRlvr

FOUND = [
    # boxes
    ("So \\boxed{42}.", "42"), ("\\boxed 7", "7"), ("\\fbox{7}", "7"), ("$\\boxed{\\frac{1}{2}}$", "1/2"),
    ("\\boxed{\\text{Monday}}", "Monday"),
    ("First \\boxed{3}. Wait, that is wrong. So \\boxed{4}", "4"), ("\\boxed{1}, \\boxed{2}", "1, 2"),
    ("\\boxed{1} and \\boxed{2}", "\\{1,2\\}"),
    ("\\boxed{x = 5}", "5"), ("\\[\\boxed{5}\\]\nThis uses 3 steps.", "5"), ("\\boxed{12}\n\n\\boxed{13}", "13"),
    ("\\boxed{ \\$18 }", "18"),
    ("**Final Answer**\n\\boxed{9}", "9"), ("The answer is \\boxed{9} because 3*3 = 9.", "9"), ("\\\\boxed{9}", "9"),
    ("\\boxed{5}\\boxed{}", "5"),
    # stated
    ("The answer is 12.", "12"), ("the final answer is: 12", "12"), ("Answer: 12", "12"), ("ANSWER: 12", "12"),
    ("**Answer:** 12", "12"), ("**Answer: 12**", "12"),
    ("Final answer: $x = 3$", "3"), ("### Answer\n12", "12"), ("## Final Answer\n\n$$12$$", "12"),
    ("Answer:\n\n12", "12"), ("The answer is therefore $\\frac{3}{4}$.", "0.75"),
    ("The correct answer is 12 apples.", "12"), ("So the answer should be 12.", "12"), ("#### 18", "18"),
    ("#### $1,234", "1234"), ("####18", "18"), ("work\n#### -3", "-3"),
    ("A: 18", "18"), ("<answer>18</answer>", "18"), ("<answer>\n$18$\n</answer>", "18"),
    ("<answer>\\boxed{18}</answer>", "18"), ("The answer is $5$, not $6$.", "5"),
    ("Final Answer: The final answer is $[2,5)$. I hope it is correct.", "[2,5)"), ("The answer is 3 and 5.", "3, 5"),
    ("The answers are $3$ and $5$.", "3, 5"),
    ("Answer: (3, 4)", "(3,4)"), ("The answer is $12$ cm.", "12"), ("The answer is **12**.", "12"),
    ("The answer is: **$12$**", "12"), ("Answer: 2x + 3", "3+2x"),
    ("The answer is 5. Let me double-check: 2+3 = 5. Yes.", "5"), ("Hence the value is 12.", "12"),
    ("Answer = 12", "12"), ("My answer: 1/2", "0.5"), ("Ans: 12", "12"),
    ("The final result is 12.", "12"), ("The solution is $x = 4$.", "4"), ("Thus, $x = 4$.", "4"),
    ("Therefore, x = 4", "4"), ("Result: 12", "12"),
    # Chinese
    ("答案是12。", "12"), ("答案：12", "12"), ("最终答案为：12", "12"), ("所以答案为 $\\frac{1}{2}$。", "1/2"),
    ("【答案】12", "12"),
    ("【答案】：$12$", "12"), ("因此，答案是\\boxed{12}。", "12"),
    ("故答案为：12．", "12"), ("答：小明有12个苹果。", "12"), ("综上，结果是１２。", "12"), ("正确答案是12", "12"),
    ("答案：一共需要15元。", "15"),
    # JSON
    ('{"answer": "12"}', "12"), ('{"answer": 12}', "12"),
    ('```json\n{"reasoning": "1 + 1 = 2, 3", "answer": "12 km"}\n```', "12"),
    ('{"reasoning": "x", "answer": "\\\\frac{1}{2}"}', "1/2"),
    ('{"final_answer": 12}', "12"), ('{"answer": "12", "reasoning": "6 + 6"}', "12"), ("{'answer': '12'}", "12"),
    ('{"answer": [1, 2]}', "1, 2"), ('{"answer": -3.5}', "-3.5"),
    # the last sentence
    ("We add 3 and 4. Therefore, she has 7 apples.", "7"), ("Total: 3 + 4 = 7", "7"),
    ("The probability is ½.", "0.5"), ("12", "12"), ("$12$", "12"), ("So she earns $18 a day.", "18"),
    ("Each has 5, so together they have 5 + 7 = 12 marbles.", "12"), ("Thus the area is $12\\pi$.", "12\\pi"),
    ("\\[ x = 3 + 4 = 7 \\]", "7"), ("Therefore the total is **12**.", "12"), ("The length is 2√3.", "2\\sqrt3"),
    ("Tom pays $255 each month for 3 months.", "255"), ("She needs 525 calories a day to lose 30 pounds.", "525"),
    ("It takes him 3 hours.", "3"), ("The population is one million.", "1000000"),
    # thinking
    ("<think>\\boxed{3}</think>\\boxed{4}", "4"), ("<think>a<think>b</think>\nThe answer is 4.", "4"),
    ("maybe 3</think>4", "4"), ("<thinking>3</thinking>4", "4"),
    ("<|channel|>analysis<|message|>\\boxed{3}<|end|><|start|>assistant<|channel|>final<|message|>\\boxed{4}<|return|>",
     "4"),
    # a model that goes on to the next question
    ("The answer is 4.\n\nQuestion: what is 2+3?\nThe answer is 5.", "4"), ("#### 4\n\nProblem: 2+3\n#### 5", "4"),
    ("\\boxed{4}<|im_end|>\n<|im_start|>user\n\\boxed{5}", "4"), ("Answer: 4\nHuman: and 2+3?\nAnswer: 5", "4"),
    ("Q: what?\nA: 4\n\nQ: next?\nA: 5", "4"),
    ("The answer is 4.\n\nExample 2: 2+3\nThe answer is 5.", "4"), ("4\n\nQ: 2+3?\nA: 5", "4"),
    ("The answer is 4.<|endoftext|>The answer is 5.", "4"), ("The answer is 4<｜end▁of▁sentence｜>", "4"),
    # corrected
    ("The answer is 41.\n\nCorrection: 43", "43"), ("The answer is 41. Actually, it should be 43.", "43"),
    ("The answer is 41. Wait, no, it's 43.", "43"), ("The answer is 43, not 41.", "43"),
    ("The answer is $43, not $41.", "43"),
    # money is no math, and a time or a ratio is one value
    ("She makes 9 * $3 = $27.", "27"), ("It costs $20 a day, so in 3 days she pays $60.", "60"),
    ("The bus leaves at 6:45 AM.", "6:45 AM"), ("The ratio is 5:8.", "5:8"), ("The area is 16π cm².", "16\\pi"),
    ("The answer is minus 6.", "-6"), ("The answer is 43!", "43"), ("The answer is 6 million.", "6000000"),
    # yes and no
    ("Yes, the number is prime.", "yes"), ("No, 51 is not prime.", "no"), ("Answer: No", "no"),
    # data and markup
    ('{"answer": [3, 4]}', "3,4"), ('{"answer": true}', "yes"), ('{"answer": 2e5}', "200000"),
    ("Answer:\n```\n43\n```", "43"), ("The answer is <b>43</b>.", "43"), ("Answer → 43", "43"),
    # other languages
    ("Respuesta: 43\n\nHay 2 formas de verlo.", "43"), ("Die Antwort lautet 43.", "43"), ("정답은 43입니다.", "43"),
    ("Итак, ответ: 43 яблока.", "43"), ("所以 $m$ 的值为 $2$ 或 $3$。", "2,3"), ("故选：B", "B"),
]  # fmt: skip

WRONG = [
    ("The answer is either 5 or 7.", "5"), ("\\boxed{5} or \\boxed{7}", "5"), ("The answer is 5 or 7.", "7"),
    ("\\boxed{1} then \\boxed{2}", "1"), ('{"reasoning": "it is 5", "answer": "unknown"}', "5"),
    ("There are 3 cases to consider. In the first case,", "3"), ("6*7 = 42, so the answer is", "42"),
    ("Let me compute 6*7. 6*7 =", "42"), ("", "5"), ("\\boxed{}", "5"), ("The answer is not 5.", "5"),
    ("<think>\\boxed{5}", "5"), ("<think>\\boxed{5}</think>", "5"), ("<think>\\boxed{5}</think>\n\n", "5"),
    ("<|channel|>analysis<|message|>\\boxed{5}", "5"), ("\\boxed{4}, wait, no: \\boxed{5}", "4"),
    ("No solution exists, so the answer is \"none\".", "2"), ("I can't solve this, sorry.", "5"),
    ("The answer is 5" + " " * 2000 + "x", "5"), ("\\boxed{5", "6"), ("The answer is x + 1.", "1"),
    ("I am not sure whether it is 5 or 6.", "6"),
    ("AZYUK2A", "2"), ("\\boxed{x+1}", "1"), ("The answer is between 5 and 7.", "5"), ("step 5 of the proof", "7"),
    ("{\"answer\": null}", "0"), ("The answer cannot be determined.", "0"),
    # cut off after an earlier number
    ("We first note 42 apples. Then we need", "42"), ("To solve the problem with 42 apples, let's first", "42"),
    ("We have $x + 42 = 84$. Subtracting 42 from both sides gives", "42"),
    ("There are 42 apples, but I need more information to continue.", "42"),
    ("The answer is 41. Actually, it should be 43.", "41"), ("The answer is 42 million.", "42"),
    ("<|begin_of_thought|>\\boxed{42}", "42"), ("It costs $20 a day, so in 3 days she pays $60.", "20"),
]  # fmt: skip


def _verdict(response: str, gold: str) -> Verdict:
    return MathRlvr().verify(response, {"answer": gold})


@pytest.mark.parametrize(("response", "gold"), FOUND)
def test_the_stated_answer_is_found(response: str, gold: str) -> None:
    verdict = _verdict(response, gold)
    assert (verdict.score, verdict.status) == (1.0, "scored")
    assert verdict.extracted_answer


@pytest.mark.parametrize(("response", "gold"), WRONG)
def test_what_is_not_stated_does_not_count(response: str, gold: str) -> None:
    assert _verdict(response, gold).score == 0.0
