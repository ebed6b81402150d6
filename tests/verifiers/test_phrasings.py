"""Phrasings of models, books and exams, in math and multiple choice, right and wrong."""

from __future__ import annotations

import pytest

from rsr_cli.verifiers.math_rlvr import MathRlvr
from rsr_cli.verifiers.mcq_rlvr import McqRlvr

MATH = [
    ("The solutions are x = 2 and x = 3.", "2,3", True), ("The solutions are $x=2$ and $x=3$.", "2,3", True),
    ("So x = 2 or x = 3.", "2,3", True), ("Thus, the roots are 2 and 3.", "2,3", True),
    ("```python\nprint(5)\n```\n```output\n5\n```", "5", True), ("```output\n5\n```\nThe answer is $5$.", "5", True),
    ("The answer is: 5", "5", True), ("The answer is: \\[ \\frac{1}{2} \\]", "0.5", True),
    ("Final answer: \\[\nx = 5\n\\]", "5", True), ("**Final Answer:** The total cost is $45.", "45", True),
    ("**Final Answer: $45**", "45", True), ("### Final Answer: \\(\\frac{5}{6}\\)", "5/6", True),
    ("Therefore, the value of $x$ is $\\mathbf{5}$.", "5", True), ("So the final answer is $5\\%$ .", "5", True),
    ("The answer is five hundred.", "500", True), ("Answer: 5:30 PM", "5:30", True),
    ("The answer is $\\$5.50$.", "5.5", True), ("Answer: $1,250.00", "1250", True),
    ("The answer is 1,250 dollars.", "1250", True), ("Answer: 3/4 of a cup", "3/4", True),
    ("Answer: about 3.5", "3.5", True), ("Answer: ≈ 3.5", "3.5", True), ("Answer: approximately 3.5 m", "3.5", True),
    ("The area is $A = \\pi r^2 = 25\\pi$.", "25\\pi", True), ("\\boxed{A = 25\\pi \\text{ cm}^2}", "25\\pi", True),
    ("\\boxed{25\\pi \\approx 78.54}", "25\\pi", True), ("\\boxed{\\approx 3.5}", "3.5", True),
    ("\\boxed{\\frac{1}{3} \\approx 0.333}", "1/3", True), ("\\boxed{5 \\text{ or } 7}", "5", False),
    ("\\boxed{5 \\text{ or } 7}", "5,7", True), ("\\boxed{x > 3}", "(3,\\infty)", True),
    ("\\boxed{\\text{(A)}}", "A", True), ("\\boxed{10\\ \\text{m/s}}", "10", True),
    ("\\boxed{2\\,000}", "2000", True), ("\\boxed{1.5 \\times 10^{-3}}", "0.0015", True),
    ("\\boxed{\\{x \\mid x > 3\\}}", "(3,\\infty)", True), ("\\boxed{y = -2x + 5}", "y=5-2x", True),
    ("\\boxed{-2x+5}", "y=5-2x", True), ("\\boxed{(x-1)(x+1)}", "x^2-1", True), ("\\boxed{n = 5}", "5", True),
    ("\\boxed{5!}", "120", True), ("\\boxed{\\text{no real solutions}}", "\\text{no real solutions}", True),
    ("\\boxed{\\text{None}}", "0", False), ("\\boxed{90^{\\circ}}", "90", True), ("\\boxed{\\$ 32}", "32", True),
    ("\\boxed{32 \\text{ USD}}", "32", True), ("\\boxed{3\\frac{1}{2}}", "3.5", True),
    ("\\boxed{3 \\frac{1}{2} \\text{ hours}}", "3.5", True), ("\\boxed{12\\text{th}}", "12", True),
    ("\\boxed{12 \\; \\text{people}}", "12", True),
    ("\\boxed{\\begin{array}{c} 1 \\\\ 2 \\end{array}}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", True),
    ("\\boxed{\\begin{bmatrix}1\\\\2\\end{bmatrix}}", "(1,2)", True), ("\\boxed{k \\in \\{1,2\\}}", "1,2", True),
    ("\\boxed{\\sqrt{2} - 1}", "-1+\\sqrt2", True), ("\\boxed{i\\sqrt{3}}", "\\sqrt{-3}", True),
    ("\\boxed{\\frac{x^2}{4}+\\frac{y^2}{9}=1}", "9x^2+4y^2=36", True),
    ("\\boxed{x\\le -1 \\text{ or } x \\ge 3}", "(-\\infty,-1]\\cup[3,\\infty)", True),
    ("\\boxed{a=2, b=3}", "(2,3)", True), ("\\boxed{C_5^2 = 10}", "10", True),
    ("\\boxed{\\dfrac{7}{2}\\text{ or }3.5}", "3.5", True), ("\\boxed{120_{10}}", "120", True),
    ("\\boxed{A}", "\\text{A}", True), ("\\boxed{\\log 2}", "\\lg 2", False), ("\\boxed{e^{\\ln 5}}", "5", True),
    ("\\boxed{0.\\overline{3}}", "1/3", True), ("\\boxed{0.\\dot{3}}", "1/3", True),
    ("\\boxed{0.1\\overline{6}}", "1/6", True), ("\\boxed{2.5\\text{ million}}", "2500000", True),
    ("\\boxed{\\frac{\\pi}{4}\\text{ radians}}", "\\pi/4", True), ("\\boxed{x^3 - 2x + C}", "x^3-2x+C", True),
    ("\\boxed{\\text{Thursday, May 5}}", "Thursday", False), ("\\boxed{10{:}30}", "10:30", True),
    ("\\boxed{10.30}", "10:30", False), ("\\boxed{3, 4, 5}", "(3,4,5)", True), ("\\boxed{5, 4, 3}", "(3,4,5)", False),
    ("\\boxed{-\\infty < x < 3}", "(-\\infty,3)", True), ("小明一共有12个苹果。", "12", True),
    ("所以一共需要 3+4=7（元）。", "7", True),
    ("答：一共需要7元。", "7", True), ("因此，原式的值为 $\\frac{3}{4}$。", "3/4", True), ("解得 $x=3$。", "3", True),
    ("所以 $x=3$ 或 $x=-1$。", "3,-1", True), ("故选 \\boxed{C}", "C", True),
    ("综上所述，面积为 $12\\pi$ 平方厘米。", "12\\pi", True),
    ("最终答案：\\[\\boxed{7}\\]", "7", True), ("结果为7。", "7", True),
    ("The answer is 7. Therefore, the final answer is 7.", "7", True),
    ("I think the answer is 7, but let me check. 3*2=6, so the answer is 6.", "6", True),
    ("The answer is 7. Actually, I made a mistake: the correct answer is 8.", "8", True),
    ("The answer is not 7 but 8.", "8", True), ("The final answer is $\\boxed{7}$. $\\boxed{7}$", "7", True),
    ("The answer is \\boxed{7}. Note that 7 is prime, and \\(7 = 3+4\\).", "7", True),
    ("{\"answer\": \"x = 7\"}", "7", True), ("{\"answer\": \"$7\"}", "7", True), ("{\"answer\": \"7.0\"}", "7", True),
    ("{\"Answer\": 7}", "7", True), ("answer: 7", "7", True),
]  # fmt: skip

CHOICE = [
    ("The answer is **(B)**", "B", True), ("Answer: **B. Paris**", "B", True),
    ("**The correct answer is: B**", "B", True), ("The correct answer is\n\n**B**", "B", True),
    ("Correct answer: B", "B", True), ("The best answer is B) Paris", "B", True),
    ("So the best answer is: **B. Paris**.", "B", True),
    ("Therefore, the correct answer is **B) Paris**.\n\nWhy the others are wrong:\n- A: too small\n- C: too large",
     "B", True),
    ("Answer: B\n\nExplanation:\nA is wrong.\nC is wrong because the answer to C is different.", "B", True),
    ("B\n\nBecause A is wrong.", "B", True), ("**B**\n\nExplanation: ...", "B", True),
    ("The most appropriate option is B.", "B", True), ("Among the options, B fits best.", "B", True),
    ("I choose (B).", "B", True), ("My choice: B", "B", True), ("Choice B is correct", "B", True),
    ("Statement B is true, so B.", "B", True), ("Ans: B", "B", True), ("Ans. (B)", "B", True),
    ("Final Answer: \\(B\\)", "B", True), ("Final Answer: $\\text{B}$", "B", True), ("Hence, option B.", "B", True),
    ("Hence, the answer is option (b).", "B", True), ("the answer is (b)", "B", True), ("(b)", "B", True),
    ("b)", "B", True), ("Thus, B.", "B", True), ("Therefore, B", "B", True), ("It's B.", "B", True),
    ("I believe it's B", "B", True), ("It should be B.", "B", True), ("The answer would be B", "B", True),
    ("The answer: B, since 5 A flows.", "B", True), ("正确的选项是B", "B", True), ("选择：B", "B", True),
    ("因此，正确答案是B。", "B", True), ("答案应该是B。", "B", True), ("所以答案是：B. 巴黎", "B", True),
    ("所以选 B", "B", True),
    ("应选（B）", "B", True), ("选项B正确", "B", True), ("B选项正确，故选B", "B", True), ("答案是 **B**", "B", True),
    ("【答案】 B、C", "BC", True), ("因此，选项 B 和 D 是正确的。", "BD", True), ("答案：ABD", "ABD", True),
    ("正确的是①③，故选C。", "C", True),
    ("综上，A、B、D正确，故选ABD。", "ABD", True), ("Vitamin C is good. I think it is an acid.", "C", False),
    ("A common mistake is to think so.", "A", False), ("I cannot answer this.", "I", False),
    ("Plan A failed.", "A", False), ("The answer is unclear.", "A", False), ("We have E = mc^2.", "E", False),
    ("The answer depends on A and B.", "A", False), ("As an AI, I cannot choose.", "A", False),
    ("Let A be the event and B its complement. The answer is C.", "C", True), ("Point D lies on AB.", "D", False),
    ("The correct answers are A, B and D.", "ABD", True), ("Correct: A, C", "AC", True),
    ("Answers: A; C", "AC", True), ("\\boxed{A,C}", "AC", True), ("\\boxed{A}, \\boxed{C}", "AC", True),
    ("\\boxed{A} and \\boxed{C}", "AC", True), ("\\boxed{\\text{A}, \\text{C}}", "AC", True), ("[A, C]", "AC", True),
    ("{\"answer\": [\"A\", \"C\"]}", "AC", True), ("{\"answer\": \"A, C\"}", "AC", True),
    ("The answer is A and C.", "A", False), ("Option A is wrong. Option B is right.", "B", True),
    ("A is incorrect, B is correct, C is incorrect.", "B", True),
    ("The answer can't be A. So it must be B", "B", True), ("Is it A? No. The answer is B", "B", True),
]  # fmt: skip


@pytest.mark.parametrize(("response", "gold", "right"), MATH)
def test_math(response: str, gold: str, right: bool) -> None:
    assert (MathRlvr().verify(response, {"answer": gold}).score == 1.0) == right


@pytest.mark.parametrize(("response", "gold", "right"), CHOICE)
def test_choice(response: str, gold: str, right: bool) -> None:
    assert (McqRlvr().verify(response, {"answer": gold}).score == 1.0) == right
