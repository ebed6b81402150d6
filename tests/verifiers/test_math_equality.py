"""Equal forms of an answer pass, near misses fail; one class of forms per list."""

from __future__ import annotations

import pytest

from rsr_cli.verifiers.comparing.equality import Comparison

EQUAL = {
    "number": [
        ("18", "18.0"), ("+18", "18"), ("1,234", "1234"), ("1 234 567", "1234567"), ("12{,}345", "12345"),
        ("1{,}234.50", "1234.5"), ("12\\,345", "12345"), ("007", "7"), ("1,00,000", "100000"), (".5", "0.5"),
        ("1234,5", "1234.5"), ("−7", "-7"), ("１２．５", "12.5"), ("3.", "3"), ("2.50", "2.5"), ("$5$", "5"),
        ("\\(5\\)", "5"), ("5.", "5"), ("**5**", "5"), ("12 345,", "12345"), ("1e3", "1000"), ("1.5E-3", "0.0015"),
        ("twelve", "12"), ("twenty-one", "21"), ("two hundred and five", "205"), ("3.5 million", "3500000"),
        ("１２", "12"), ("1/2", "0.5"), ("-3/4", "-0.75"), ("7/1", "7"),
    ],
    "fraction": [
        ("\\frac{1}{2}", "0.5"), ("\\dfrac12", "1/2"), ("\\tfrac{3}{6}", "\\frac12"),
        ("-\\frac{3}{4}", "\\frac{-3}{4}"),
        ("\\frac{3}{-4}", "-\\frac34"), ("1\\frac{1}{2}", "\\frac{3}{2}"), ("1 1/2", "1.5"), ("½", "0.5"),
        ("2½", "2.5"),
        ("\\frac{10}{4}", "2.5"), ("(3/4)", "0.75"), ("\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"),
        ("{3 \\over 4}", "0.75"), ("\\left(\\frac{3}{4}\\right)", "3/4"), ("\\frac{1}{3}", "0.3333333333333333"),
    ],
    "percent, money, units": [
        ("62.5%", "0.625"), ("62.5\\%", "62.5"), ("50 percent", "50\\%"), ("0.28", "28\\%"), ("$12.50", "12.5"),
        ("\\$12{,}000", "12000"), ("12 dollars", "12"), ("€3", "3"), ("3 euros", "3"), ("USD 40", "40"),
        ("£5.20", "5.2"),
        ("5 cm", "5"), ("5\\text{ cm}", "5"), ("5 \\mathrm{~cm}", "5"), ("5\\,\\text{cm}^2", "5"), ("5 km/h", "5"),
        ("45^\\circ", "45"), ("45°", "45^{\\circ}"), ("45 degrees", "45^\\circ"), ("90^{\\circ}", "90\\text{ degrees}"),
        ("12 \\text{ square units}", "12"), ("3 m/s^2", "3"), ("6 apples", "6"), ("25 minutes", "25"), ("15元", "15"),
        ("3个", "3"), ("8\\sqrt{3}\\text{ inches}", "8\\sqrt{3}"), ("10 \\pi \\text{ cm}^2", "10\\pi"),
        ("9.8 m/s", "9.8"),
        ("100 kg", "100\\text{ kg}"), ("2 hours", "2\\text{ hours}"), ("5 units", "5"), ("40 mph", "40"),
    ],
    "roots, powers, constants": [
        ("2\\sqrt{2}", "\\sqrt{8}"), ("√2", "\\sqrt{2}"), ("2√3", "2\\sqrt{3}"), ("sqrt(12)", "2\\sqrt3"),
        ("\\sqrt[3]{27}", "3"),
        ("8pi", "8\\pi"), ("pi/2", "\\frac{\\pi}{2}"), ("4π", "4\\pi"), ("2^{10}", "1024"), ("2^10", "1024"),
        ("2**10", "1024"),
        ("3²", "9"), ("10^{-3}", "0.001"), ("3.2\\times10^{5}", "320000"), ("3.2 \\cdot 10^5", "320000"),
        ("3.2 x 10^5", "320000"),
        ("\\ln 8", "3\\ln 2"), ("\\log_2 8", "3"), ("e^{2}", "e^2"), ("\\frac{1}{e}", "e^{-1}"), ("5!", "120"),
        ("\\binom{5}{2}", "10"), ("\\sin 30^\\circ + 0", "\\sin 30^\\circ"), ("\\frac{1}{2+\\sqrt3}", "2-\\sqrt3"),
        ("|-5|", "5"), ("\\lfloor 3.7 \\rfloor", "3"), ("2^{2005}", "2 \\cdot 2^{2004}"),
        ("\\arctan 1", "\\frac{\\pi}{4}"),
        ("\\sqrt{\\frac{3}{4}}", "\\frac{\\sqrt{3}}{2}"), ("-2i", "-2i"), ("3+4i", "4i+3"),
        ("\\frac{1+i}{2}", "0.5+0.5i"),
    ],
    "algebra": [
        ("(x+1)^2", "x^2+2x+1"), ("x(x-1)", "x^2-x"), ("a+b", "b+a"), ("\\frac{x+2}{7}", "\\frac{x}{7}+\\frac{2}{7}"),
        ("2\\sin x\\cos x", "\\sin 2x"), ("\\sin^2 x", "1-\\cos^2 x"), ("y=2x+1", "y = 1+2x"), ("2x+1", "y=2x+1"),
        ("f(x)=x^2", "x^2"), ("x=5", "5"), ("5", "x=5"), ("5=x", "x=5"), ("x - y = 2", "2y = 2x-4"),
        ("y=-\\frac12x+\\frac34", "2x+4y-3=0"),
        ("x^2+y^2=4", "x^2 + y^2 - 4 = 0"), ("a_n=2n-1", "2n-1"), ("\\alpha\\beta", "\\beta\\alpha"),
        ("n(n+1)/2", "\\frac{n(n+1)}{2}"),
        ("\\sqrt[3]{x}^2", "x^{2/3}"), ("\\ln x^2", "2\\ln x"),
        ("2ab", "2ba"), ("e^{x+1}", "e \\cdot e^x"), ("\\frac{1}{x}", "x^{-1}"), ("\\sqrt{x}", "x^{1/2}"),
        ("3x^2y", "3yx^2"),
        ("x = \\frac{-1\\pm\\sqrt5}{2}", "\\frac{-1+\\sqrt5}{2}, \\frac{-1-\\sqrt5}{2}"), ("S = 12", "12"),
        ("\\angle ABC = 30^\\circ", "30"),
        ("n^2 + O(1) - O(1)", "n^2"), ("\\frac{n!}{(n-1)!}", "\\frac{n!}{(n-1)!}"), ("C_n^2", "C_n^2"),
        ("2^{n+1}", "2\\cdot 2^n"),
    ],
    "lists and sets": [
        ("1, 2, 3", "\\{3, 2, 1\\}"), ("\\{1,2\\}", "2, 1"), ("1 and 2", "2, 1"), ("x=1 \\text{ or } x=2", "1, 2"),
        ("x = 2, 1", "1, 2"),
        ("-2, 2", "\\pm 2"), ("\\pm\\sqrt{2}", "\\sqrt2, -\\sqrt2"), ("6,8", "6 \\text{ and } 8"),
        ("x_1=1, x_2=2", "1, 2"), ("1；2", "1, 2"),
        ("x=1, y=2", "y=2, x=1"), ("(x, y) = (1, 2)", "(1, 2)"), ("x=1, y=2", "(1, 2)"), ("1或2", "1, 2"),
        ("\\{\\frac12, 3\\}", "3, 0.5"),
        ("(1,2), (3,4)", "(3,4), (1,2)"), ("\\{(1,2),(3,4)\\}", "(1,2),(3,4)"), ("[1, 2, 3]", "1, 2, 3"),
        ("\\emptyset", "∅"),
        ("A, D", "\\text{A,D}"), ("-1, 0, 1", "\\{-1, 0, 1\\}"), ("2 and 4", "2,4"), ("x \\in \\{1, 2\\}", "\\{1,2\\}"),
    ],
    "tuples, matrices, intervals": [
        ("(3, \\frac{\\pi}{2})", "(3,pi/2)"), ("\\left( 1, 4.5 \\right)", "(1,\\frac{9}{2})"),
        ("(1, -2, 3)", "(1,-2,3)"), ("\\langle 1, 2\\rangle", "(1,2)"),
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{bmatrix} 1&2\\\\3&4 \\end{bmatrix}"),
        ("\\begin{pmatrix} 1/2 \\\\ 3 \\end{pmatrix}", "\\begin{pmatrix} 0.5 \\\\ 3 \\end{pmatrix}"),
        ("[2, 5)", "2 \\le x < 5"), ("x \\ge 2", "[2, \\infty)"), ("x > -3", "(-3, +\\infty)"),
        ("5 > x", "(-\\infty, 5)"), ("x \\in (1, 2]", "(1,2]"),
        ("(-\\infty, 1) \\cup (2, \\infty)", "x < 1 \\text{ or } x > 2"),
        ("(2,\\infty)\\cup(-\\infty,1)", "(-\\infty,1)\\cup(2,\\infty)"), ("x>=3", "x \\geq 3"),
        ("\\mathbb{R} \\setminus \\{1\\}", "(-\\infty,1)\\cup(1,\\infty)"),
        ("x \\ne 1", "(-\\infty,1)\\cup(1,\\infty)"), ("-1 < x < 1", "(-1,1)"), ("\\mathbb{R}", "(-\\infty,\\infty)"),
    ],
    "ratio, time, base": [
        ("3:2", "3:2"), ("6:4", "3:2"), ("3 : 2", "3:2"), ("3 to 2", "3:2"), ("3:42 PM", "3:42"),
        ("1010_2", "1010_{2}"), ("1010", "1010_2"), ("110_{\\text{two}}", "110_2"),
    ],
    "text": [
        ("\\text{Monday}", "monday"), ("Yes", "\\text{yes}"), ("\\textbf{(C)}", "C"), ("(C)", "\\text{C}"),
        ("c", "C"), ("odd", "\\text{odd}"), ("no solution", "\\text{No solution}"),
        ("True", "true"), ("\\text{Evelyn}", "Evelyn."), ("undefined", "\\text{undefined}"),
    ],
    "converted": [
        ("6 \\text{ km}", "6000 \\text{ m}"), ("3 hours", "180 minutes"), ("2.5 kg", "2500 g"),
        ("6", "6 \\text{ km}"), ("25 cents", "0.25 dollars"), ("60^\\circ", "\\frac{\\pi}{3}"),
        ("\\sin 30^\\circ", "0.5"), ("\\tan 45°", "1"),
    ],
    "time of the day": [
        ("7:15 \\text{ p.m.}", "7:15 PM"), ("19:15", "7:15 pm"), ("7:15", "7:15 a.m."), ("9 \\text{ a.m.}", "9:00 AM"),
    ],
    "left out or beside": [
        ("5 \\pmod{11}", "5"), ("x \\equiv 5 \\pmod{11}", "5"), ("5", "5 \\bmod 11"), ("\\textbf{(D)}\\ 30", "D"),
        ("\\textbf{(D)}\\ 30", "30"), ("\\text{D. } 30", "30"), ("\\text{point } Q", "Q"), ("\\overline{PQ}", "PQ"),
        ("8\\pi \\text{ square inches}", "8\\pi"), ("\\frac{2}{5} \\text{ of the pie}", "0.4"),
    ],
    "symbols in words": [
        ("\\text{infinity}", "\\infty"), ("\\{\\}", "\\emptyset"), ("\\text{the empty set}", "\\varnothing"),
        ("\\text{all integers}", "\\mathbb{Z}"), ("\\text{two-thirds}", "2/3"), ("\\text{one half}", "0.5"),
        ("\\text{negative } 8", "-8"), ("\\text{There are no real roots}", "no real root"), ("No", "no"),
    ],
    "looks": [
        ("\\color{blue}{31}", "31"), ("\\textcolor{red}{31}", "31"), ("\\large{31}", "31"), ("31\\ ", "31"),
        ("{6 \\choose 2}", "15"), ("0.666\\ldots", "2/3"), ("0.1666...", "1/6"),
        ("\\begin{cases} x=4 \\\\ y=9 \\end{cases}", "(4,9)"), ("\\begin{aligned} n &= 31 \\end{aligned}", "31"),
        ("\\begin{aligned} n &= 30 + 1 \\\\ &= 31 \\end{aligned}", "31"),
    ],
}  # fmt: skip

UNEQUAL = {
    "number": [
        ("18", "19"), ("-18", "18"), ("1,234", "1.234"), ("0.3333", "\\frac{1}{3}"), ("3.14", "\\pi"),
        ("17", "17,219"), ("2,6", "26"),
        ("1234567890123456789012345678901", "1234567890123456789012345678902"), ("5.1", "5"), ("thirteen", "12"),
        ("0.33", "1/3"), ("12345679", "12345678"),
        ("", "5"), ("x", "5"), ("\\sqrt{x^2}", "x"),
        ("5", ""), ("none", "0"), ("infinite", "5"), ("338.50", "338"), ("\\infty", "5"),
        ("-\\infty", "\\infty"),
    ],
    "fraction": [
        ("\\frac{2}{3}", "\\frac{3}{2}"), ("\\frac{-3}{-4}", "-\\frac{3}{4}"), ("\\frac{1}{2}", "2"),
        ("1\\frac{1}{2}", "\\frac12"), ("\\frac{1}{2}", "\\frac{1}{20}"),
    ],
    "percent, money, units": [
        ("1.5%", "15\\%"), ("61%", "39\\%"), ("220 cm", "22"), ("45^\\circ", "135"), ("5 or 7 cm", "5"),
        ("5 cm", "6\\text{ cm}"), ("0.5%", "0.5\\cdot 2"),
    ],
    "roots, powers, constants": [
        ("12", "4\\sqrt{3}"), ("5", "5\\pi"), ("2^{11}", "1024"), ("5^2", "32"),
        ("3.2\\times10^{-5}", "3.2\\times10^5"), ("\\log_3 32", "5"), ("3-4i", "3+4i"), ("\\sqrt{3}", "\\sqrt{2}"),
        ("\\sin\\frac{\\pi}{6}", "\\frac{\\sqrt{3}}{2}"), ("2+9", "2+9i"), ("10^{-400}", "0"), ("e", "2.718"),
    ],
    "algebra": [
        ("x+1", "1"), ("5x", "5"), ("(x+1)^2", "x^2+1"), ("x^2+2x-1", "(x+1)^2"), ("y=2x+1", "y=2x-1"),
        ("y = 2x", "y = x"), ("1", "2x+z=1"), ("0", "a^2+b=0"), ("x-1", "1-x"),
        ("2x", "2y"), ("x^2", "x^3"), ("x = y", "x + y = 0"), ("11a+c", "7=11a+c"), ("a", "b"), ("n+1", "n"),
    ],
    "lists and sets": [
        ("1, 2", "1, 2, 3"), ("1, 2, 3", "1, 2"), ("5 or 7", "5"), ("1 or -1", "-1"), ("2021", "\\pm 2021"),
        ("1, 1", "1, 2"), ("x=1, y=2", "x=2, y=1"), ("-8", "-8, -6"), ("1, 2", "12"),
        ("\\pm 8", "\\pm 7"), ("\\{1\\}", "\\{2\\}"), ("5, 7", "5"), ("(1,2),(3,4)", "(1,2),(4,3)"), ("2.6", "2, 6"),
    ],
    "tuples, matrices, intervals": [
        ("(2,1)", "(1,2)"), ("(1,2,3)", "(1,3,2)"), ("[2,5)", "(2,5)"), ("[2,5]", "[2,5)"), ("(2,5]", "[2,5)"),
        ("x > 5", "x < 5"), ("x \\ge 5", "x > 5"), ("(-\\infty,5)", "(5,\\infty)"), ("2 < x \\le 5", "[2,5)"),
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{pmatrix} 1 & 3 \\\\ 2 & 4 \\end{pmatrix}"),
        ("(-4,0)", "(-\\infty,-4)\\cup(0,\\infty)"), ("x<1", "x<1 \\text{ or } x>2"),
        ("(5,\\infty)", "5"), ("[2, 5]", "\\{2, 5\\}"),
        ("\\mathbb{R} \\setminus \\{1\\}", "\\mathbb{R} \\setminus \\{2\\}"),
    ],
    "ratio, time, base": [
        ("2:3", "3:2"), ("1:00", "12:00"), ("3:42", "3:47"), ("1111_2", "1110_2"), ("10", "1010_2"),
        ("1010_3", "1010_2"), ("11", "1011_2"),
    ],
    "text": [
        ("Monday", "Tuesday"), ("yes", "no"), ("D", "C"), ("even", "odd"), ("not odd", "odd"), ("undefined", "0"),
        ("A", "A, D"), ("Eve", "Evelyn"),
    ],
    "converted": [("6 \\text{ m}", "6 \\text{ km}"), ("30^\\circ", "\\frac{\\pi}{3}"), ("\\cos 60^\\circ", "\\frac13")],
    "time of the day": [
        ("7:15 a.m.", "7:15 p.m."), ("1:20 PM", "2:40 PM"), ("9 a.m.", "9 p.m."), ("19:15", "7:15 a.m."),
    ],
    "left out or beside": [
        ("4 \\pmod{11}", "5"), ("5 \\pmod{11}", "5 \\pmod{12}"), ("\\textbf{(D)}\\ 30", "C"),
        ("\\textbf{(D)}\\ 30", "31"), ("0.333", "1/3"), ("\\{0\\}", "\\emptyset"), ("PQ", "PR"),
    ],
}  # fmt: skip


def _cases(table: dict[str, list[tuple[str, str]]]) -> list[object]:
    return [pytest.param(*pair, id=f"{kind}: {pair[0]} | {pair[1]}") for kind, pairs in table.items() for pair in pairs]


@pytest.mark.parametrize(("answer", "gold"), _cases(EQUAL))
def test_equal_forms_pass(answer: str, gold: str) -> None:
    assert Comparison().equal(answer, gold)


@pytest.mark.parametrize(("answer", "gold"), _cases(UNEQUAL))
def test_near_misses_fail(answer: str, gold: str) -> None:
    assert not Comparison().equal(answer, gold)


@pytest.mark.parametrize(
    ("answer", "gold"), [("0.333", "\\frac{1}{3}"), ("3.14", "\\pi"), ("0.67", "2/3"), ("12.35", "12.345")]
)
def test_a_rounded_value_is_right_only_where_the_option_says_so(answer: str, gold: str) -> None:
    assert not Comparison().equal(answer, gold)
    if answer != "0.67":
        assert Comparison(rounded=True).equal(answer, gold)
