"""Forms of one value: notations, locales, units, durations, bases, dates; and what is close and not equal."""

# ruff: noqa: E501 - a case a line

from __future__ import annotations

import contextlib

import pytest

from rsr_cli.verifiers.comparing.equality import Comparison
from rsr_cli.verifiers.comparing.symbolic import TooLargeError

EQUAL = [
    ("sqrt(2)/2", "\\frac{\\sqrt2}{2}"), ("3*sqrt(2)", "3\\sqrt{2}"), ("pi/4", "\\frac{\\pi}{4}"),
    ("2*pi*r", "2\\pi r"), ("x**2+1", "x^2+1"), ("1/2*pi", "\\pi/2"), ("5e-3", "0.005"), ("oo", "\\infty"),
    ("x^(1/2)", "\\sqrt{x}"), ("e^(2)", "e^2"), ("2^(10)", "1024"), ("(-1+sqrt(5))/2", "\\frac{-1+\\sqrt5}{2}"),
    ("log(2)/log(3)", "\\frac{\\log 2}{\\log 3}"), ("-3*pi", "-3\\pi"), ("exp(2)", "e^2"), ("abs(-3)", "3"),
    ("a/b", "\\frac{a}{b}"), ("x/2", "\\frac{x}{2}"), ("sqrt3", "\\sqrt{3}"), ("infinity", "\\infty"),
    ("(1/2)x", "\\frac{x}{2}"), ("sqrt(x^2+1)", "\\sqrt{x^2+1}"), ("5 x 10^3", "5000"), ("\\frac 1 2", "0.5"),
    ("\\frac12", "0.5"), ("\\frac{1}2", "0.5"), ("\\frac1{2}", "0.5"), ("\\nicefrac{1}{2}", "0.5"),
    ("\\sfrac{1}{2}", "0.5"), ("\\cfrac{1}{2}", "0.5"), ("{1}/{2}", "0.5"), ("\\frac\\pi2", "\\frac{\\pi}{2}"),
    ("\\frac{\\pi}2", "\\pi/2"), ("3\\tfrac12", "3.5"), ("-\\frac{1}{2}", "-0.5"), ("\\dfrac{3}{4}", "0.75"),
    ("1 \\over 2", "0.5"), ("\\frac{-1}{2}", "-1/2"), ("\\left(\\frac{1}{2}\\right)", "0.5"),
    ("\\frac{ 1 }{ 2 }", "0.5"), ("\\displaystyle\\frac{1}{2}", "0.5"), ("\\frac{1}{2}\\pi", "\\frac{\\pi}{2}"),
    ("\\begin{aligned} x &= 12 \\end{aligned}", "12"),
    ("\\begin{align*} x &= 3 \\\\ y &= 4 \\end{align*}", "x=3, y=4"), ("\\begin{gathered} 12 \\end{gathered}", "12"),
    ("\\begin{equation} 12 \\end{equation}", "12"), ("one hundred and five", "105"), ("a dozen", "12"),
    ("three quarters", "0.75"), ("minus five", "-5"), ("negative five", "-5"), ("zero point five", "0.5"),
    ("twelve and a half", "12.5"), ("a half", "0.5"), ("half", "0.5"), ("a third", "1/3"),
    ("one thousand two hundred thirty-four", "1234"), ("two and a half", "2.5"), ("one-half", "1/2"),
    ("three-fifths", "3/5"), ("twelve", "12"), ("Twelve", "12"), ("one hundred", "100"), ("a hundred", "100"),
    ("two dozen", "24"), ("five sixths", "5/6"), ("one million", "1000000"), ("two thirds", "2/3"),
    ("seven eighths", "7/8"), ("twenty one", "21"), ("forty-two", "42"), ("ninety-nine", "99"), ("60%", "0.6"),
    ("60 percent", "60\\%"), ("0.6", "60%"), ("60\\%", "0.6"), ("60", "60%"), ("60 %", "60\\%"),
    ("sixty percent", "60%"), ("12.5 \\%", "0.125"), ("66.67\\%", "66.67"), ("1.234,5", "1234.5"),
    ("1 234,5", "1234.5"), ("1'234.5", "1234.5"), ("12,5", "12.5"), ("1.234.567", "1234567"), ("１２", "12"),
    ("₹1,00,000", "100000"), ("1 000 000", "1000000"), ("0,5", "0.5"), ("3,14", "3.14"), ("1 234", "1234"),
    ("1 234", "1234"), ("12 345,67", "12345.67"), ("1,234.50", "1234.5"), ("€1.234,50", "1234.5"),
    ("1.234,50 €", "1234.5"), ("⅓", "1/3"), ("根号3", "\\sqrt3"), ("2根号3", "2\\sqrt3"), ("十二", "12"),
    ("二十一", "21"), ("一百零五", "105"), ("三分之二", "2/3"), ("负五", "-5"), ("½", "0.5"), ("2½", "2.5"),
    ("π", "\\pi"), ("√2", "\\sqrt2"), ("٤٢", "42"), ("४२", "42"), ("x²", "x^2"), ("¾", "0.75"), ("5⁄8", "5/8"),
    ("∞", "\\infty"), ("一万二千", "12000"), ("十", "10"), ("百分之五十", "50%"), ("12个", "12"), ("十二个", "12"),
    ("3元", "3"), ("\\rm 12", "12"), ("{\\rm 12}", "12"), ("12 {\\rm cm}", "12"), ("12\\,{\\rm cm}", "12 cm"),
    ("\\mathrm{12}", "12"), ("\\bf 12", "12"), ("\\textbf{12}", "12"), ("12\\mathrm{~km}", "12"),
    ("\\text{12}", "12"), ("\\text{ 12 }", "12"), ("\\fbox{12}", "12"), ("\\underline{12}", "12"),
    ("\\boldsymbol{12}", "12"), ("\\mathbf{12}", "12"), ("12\\text{.}", "12"), ("12 \\qquad", "12"), ("12~", "12"),
    ("\\,12", "12"), ("12\\ \\text{(approx)}", "12"), ("\\mathit{12}", "12"), ("\\textit{12}", "12"),
    ("\\mbox{12}", "12"), ("12\\tag{1}", "12"), ("12 \\blacksquare", "12"), ("12\\;\\text{units}^2", "12"),
    ("\\overline{AB}=12", "12"), ("|AB| = 12", "12"), ("AB=12", "12"), ("\\angle A = 30^\\circ", "30"),
    ("0b1011", "1011_2"), ("(1011)_2", "1011_2"), ("1011_{(2)}", "1011_2"), ("1011 base 2", "1011_2"),
    ("1011 (base 2)", "1011_2"), ("1011 in base 2", "1011_2"), ("1011_{two}", "1011_2"),
    ("1011_{\\text{two}}", "1011_2"), ("\\left(1011\\right)_2", "1011_2"), ("0o17", "17_8"), ("n!/(n-2)!", "n(n-1)"),
    ("\\frac{n!}{(n-2)!}", "n^2-n"), ("\\binom{n}{3}", "\\frac{n(n-1)(n-2)}{6}"),
    ("C_n^3", "\\frac{n(n-1)(n-2)}{6}"), ("\\binom{7}{3}", "35"), ("C(7,3)", "35"), ("{}_7C_3", "35"),
    ("_7C_3", "35"), ("7C3", "35"), ("C_7^3", "35"), ("{7 \\choose 3}", "35"), ("(n+1)!/n!", "n+1"),
    ("90 minutes", "1 hour 30 minutes"), ("1 hour 30 minutes", "90 minutes"), ("1h 30min", "1 hour 30 minutes"),
    ("1h30", "90 minutes"), ("1 hour and 30 minutes", "90 minutes"), ("1.5 hours", "1 hour 30 minutes"),
    ("5 feet 3 inches", "63 inches"), ("1:30", "1:30"), ("2 days", "48 hours"), ("1 hr 30 min", "1 hour 30 minutes"),
    ("3 dollars and 25 cents", "$3.25"), ("2 kg 300 g", "2300 g"), ("90 min", "1h30min"), ("10 m/s", "36 km/h"),
    ("36 km/h", "10 \\text{ m/s}"), ("1000 m", "1 km"), ("1 \\text{ kilometer}", "1000 m"), ("100 cm", "1 m"),
    ("1 m^2", "10000 cm^2"), ("1 square meter", "10000 square centimeters"), ("1 kWh", "3.6 MJ"),
    ("1 atm", "101325 Pa"), ("212°F", "100°C"), ("0.5 h", "30 minutes"), ("2 L", "2000 mL"), ("500 g", "0.5 kg"),
    ("1 mile", "1.609344 km"), ("60 mph", "60 miles per hour"), ("25 cents", "$0.25"), ("$0.25", "25 cents"),
    ("5 N", "5 newtons"), ("12 km\\cdot h^{-1}", "12 km/h"), ("7 J", "7"), ("12 square inches", "12"),
    ("180^\\circ", "\\pi"), ("5 kg", "5 kilograms"), ("1 dozen", "12"), ("20 °C", "20 degrees Celsius"),
    ("8 GB", "8"), ("440 Hz", "440"), ("3.0 \\times 10^8 \\text{ m/s}", "3\\times 10^8 m/s"), ("x=7, y=3", "(7,3)"),
    ("(7,3)", "x=7, y=3"), ("y=3, x=7", "(7, 3)"), ("x=7 and y=3", "x=7, y=3"), ("(x,y)=(7,3)", "(7,3)"),
    ("a=1,b=2,c=3", "(1,2,3)"),
    ("\\begin{cases} a & x>0 \\\\ b & x<0 \\end{cases}", "\\begin{cases} b & x<0 \\\\ a & x>0 \\end{cases}"),
    ("\\begin{cases} a & \\text{if } x>0 \\\\ b & \\text{if } x<0 \\end{cases}", "\\begin{cases} a, & x>0 \\\\ b, & x<0 \\end{cases}"),
    ("\\begin{cases} x & x \\ge 0 \\\\ -x & \\text{otherwise} \\end{cases}", "\\begin{cases} x, & \\text{if } x \\ge 0, \\\\ -x, & \\text{otherwise}. \\end{cases}"),
    ("f(x)=\\begin{cases} a & x>0 \\\\ b & x<0 \\end{cases}", "\\begin{cases} a & x>0 \\\\ b & x<0 \\end{cases}"),
    ("6.02E+23", "6.02 \\times 10^{23}"), ("6.02e23", "6.02\\cdot10^{23}"), ("6.02*10^23", "6.02\\times10^{23}"),
    ("1.5 × 10⁻³", "0.0015"), ("10^{-3}", "0.001"), ("1e6", "1000000"), ("5\\cdot10^{-2}", "0.05"),
    ("[1;2]", "[1,2]"), ("]1,2[", "(1,2)"), ("(1;2)", "(1,2)"), ("1<x<2", "(1,2)"), ("x\\in(1,2)", "(1,2)"),
    ("1 \\le x \\le 2", "[1,2]"), ("x \\geq 1", "[1,\\infty)"), ("x>1", "(1,\\infty)"),
    ("\\{x : x>1\\}", "(1,\\infty)"), ("\\{x \\in \\mathbb{R} \\mid x>1\\}", "(1,\\infty)"),
    ("(-\\infty, 1) \\cup (1, \\infty)", "x \\neq 1"), ("x>1 or x<-1", "(-\\infty,-1)\\cup(1,\\infty)"),
    ("all real numbers", "\\mathbb{R}"), ("(1, +\\infty)", "(1,\\infty)"), ("\\sec^2 y", "\\tan^2 y+1"),
    ("x^3/3 + C", "\\frac{x^3}{3}+C"), ("\\frac{1}{3}x^3+C", "\\frac{x^3}{3}+C"), ("y=\\frac{1}{2}x+1", "x-2y+2=0"),
    ("2^3\\cdot3", "24"), ("\\max(1,12)", "12"), ("\\gcd(12,18)", "6"), ("\\sqrt[3]{-8}", "-2"),
    ("\\log_{10} 100", "2"), ("\\tan 45^\\circ", "1"), ("i^2", "-1"), ("\\frac{1}{i}", "-i"), ("|3+4i|", "5"),
    ("\\lceil 2.1 \\rceil", "3"), ("\\hat{i}+2\\hat{j}", "(1,2)"), ("\\begin{bmatrix}1\\\\2\\end{bmatrix}", "(1,2)"),
    ("\\langle 1,2 \\rangle", "(1,2)"), ("0.1\\dot{6}", "1/6"), ("0.\\overline{16}", "16/99"),
    ("0.1\\overline6", "1/6"), ("0.333...", "1/3"), ("0.\\dot{1}\\dot{6}", "16/99"), ("0.(3)", "1/3"),
    ("0.1(6)", "1/6"), ("\\qty{17}{cm}", "17"), ("\\SI{17}{\\centi\\meter}", "17 cm"), ("\\num{1234}", "1234"),
    ("\\ang{30}", "30"), ("\\SI{3}{\\meter\\per\\second}", "3 m/s"), ("\\qty{17}{\\km}", "17"), ("\\unit{}17", "17"),
    ("March 5, 2021", "March 5, 2021"), ("5 March 2021", "March 5, 2021"), ("2021-03-05", "March 5, 2021"),
    ("March 5th, 2021", "March 5, 2021"), ("15:30", "3:30 PM"), ("3:30 p.m.", "3:30 PM"),
    ("decreases by 1.5", "decreases by 1.5"), ("increases by 15", "\\text{increases by } 15"),
    ("two hours", "2 hours"), ("Decreases by 1.5.", "decreases by 1.5"), ("odds of 1 in 12", "odds of 1 in 12"),
    ("the series converges", "converges"), ("It converges", "converges"), ("no solutions", "no solution"),
    ("There is no solution", "no solution"), ("\\text{None}", "none"), ("even", "\\text{even}"), ("Yes.", "yes"),
    ("A > B > C", "A>B>C"), ("undefined", "\\text{undefined}"), ("DNE", "\\text{does not exist}"),
    ("does not exist", "DNE"),
]  # fmt: skip

UNEQUAL = [
    ("sqrt(3)/2", "\\frac{\\sqrt2}{2}"), ("TH", "HT"), ("TF", "FT"), ("XYZ", "ZYX"), ("CAB", "ABC"),
    ("B, A, C", "A, B, C order"), ("C > B > A", "A>B>C"), ("A < B < C", "A>B>C"), ("TTH", "HTT"), ("0.6%", "60%"),
    ("6%", "0.6"), ("0.6", "60"), ("60", "0.6"), ("600%", "60%"), ("0.06", "60%"), ("(7,3)", "x=3, y=7"),
    ("x=3, y=7", "x=7, y=3"), ("(3,7)", "x=7,y=3"), ("x = 7, y = 3", "(3, 7)"), ("y=7, x=3", "(7,3)"),
    ("a=2,b=1", "(1,2)"), ("36 m/s", "36 km/h"), ("5 W", "5 kW"), ("20 °F", "20 °C"), ("10 lb", "10 kg"),
    ("$36", "36 cents"), ("36 cents", "$36"), ("30 minutes", "30 hours"), ("12 N", "12 J"),
    ("5 square centimeters", "5 square meters"), ("30 \\text{ rad}", "30^\\circ"), ("6 km", "6 miles"),
    ("4000 bananas", "4000 ml"), ("5 cm", "5 cm^2"), ("3 m", "3 m/s"), ("€5", "$5"), ("5 euros", "5 dollars"),
    ("12 hours", "12 days"), ("7 mg", "7 g"), ("2 kHz", "2 Hz"), ("3 mm", "3 cm"), ("1 hour 30 minutes", "1"),
    ("1 hour 30 minutes", "130 minutes"), ("1 hour 20 minutes", "1 hour 30 minutes"),
    ("8\\sqrt{3} \\text{ cm}", "8\\sqrt3 \\text{ m}"), ("5 \\text{ pounds}", "5 \\text{ euros}"),
    ("10\\pi \\text{ cm}", "10\\pi \\text{ m}"), ("12 is wrong", "12"), ("12 \\text{ is wrong}", "12"),
    ("12 squared", "12"), ("12 negative", "12"), ("12 factorial", "12"), ("12 \\text{ or more}", "12"),
    ("\\text{not } 12", "12"), ("\\text{at most } 12", "12"), ("\\text{less than } 12", "12"),
    ("12 \\text{ unless } x=3", "12"), ("< 12", "12"), ("\\ge 12", "12"), ("\\ne 12", "12"), ("12x", "12"),
    ("12 cubed", "12"), ("12 \\text{ minus one}", "12"), ("12 \\text{ times two}", "12"),
    ("12 plus or minus 1", "12"), ("\\text{about } 12 \\text{ or } 13", "12"), ("12?", "13"),
    ("12 \\text{ if } x>0", "12"), ("12^2", "12"), ("-12", "12"), ("12i", "12"), ("12!", "12"), ("\\sim 12", "13"),
    ("x \\approx 12", "13"), ("12 \\text{ divided by } 2", "12"), ("17 \\approx 23", "17"),
    ("1 \\mid 2 \\mid 3", "3"), ("12 \\text{ or } 13", "12"), ("12/13", "12"), ("12, 13", "12"),
    ("\\{12, 13\\}", "12"), ("12 \\pm 1", "12"), ("12 \\text{ and } 13", "13"), ("1|2|3", "3"), ("1;2;3", "3"),
    ("1/2/3", "3"), ("999 321 777", "999"), ("2 - 2^{-98}", "2-2^{-99}"), ("2", "2-2^{-99}"),
    ("\\frac{3^{100}}{2}", "\\frac{3^{100}-1}{2}"), ("e^{-40}", "e^{-50}"), ("e^{-40}", "0"),
    ("\\pi\\times10^{-15}", "\\frac{\\pi}{2}\\times10^{-15}"), ("\\frac{1}{301!}", "\\frac{1}{300!}"),
    ("\\sqrt{2}+10^{-20}", "\\sqrt2"), ("10^{-30}", "0"), ("\\sqrt{10^{40}+1}", "10^{20}"), ("1-10^{-30}", "1"),
    ("\\pi", "\\frac{355}{113}"), ("\\sqrt{2}", "\\frac{99}{70}"), ("x+10^{-20}", "x"), ("\\frac{22}{7}", "\\pi"),
    ("e^{\\pi\\sqrt{163}}", "262537412640768744"), ("2^{100}", "2^{100}+1"), ("\\ln(1+10^{-20})", "0"),
    ("\\sin(10^{-20})", "0"), ("decreases by 15", "decreases by 1.5"), ("increases by 1.5", "decreases by 1.5"),
    ("odds of 12", "odds of 1/12"), ("x > 3 apples", "x < 3 apples"), ("odds of 11/2", "odds of 1/12"),
    ("decreases by -1.5", "decreases by 1.5"), ("2 to 3", "3 to 2"), ("even", "odd"), ("converges", "diverges"),
    ("between 2 and 3", "between 3 and 4"), ("March 6, 2021", "March 5, 2021"), ("2021-05-03", "March 5, 2021"),
    ("3:30 AM", "3:30 PM"), ("not prime", "prime"), ("no", "yes"), ("a", "|a|"), ("|x|", "x"),
    ("\\frac{x^3}{3}", "\\frac{x^3}{3}+C"), ("x>1 or x<2", "(1,2)"), ("0 \\le x<7.5", "(0,7.5)"),
    ("\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}"),
    ("\\begin{cases} b & x>0 \\\\ a & x<0 \\end{cases}", "\\begin{cases} a & x>0 \\\\ b & x<0 \\end{cases}"),
    ("\\begin{cases} a & x\\ge0 \\\\ b & x<0 \\end{cases}", "\\begin{cases} a & x>0 \\\\ b & x<0 \\end{cases}"),
    ("1, 3, \\ldots, 2n-1", "1, 2, \\ldots, n"), ("11", "1011_2"), ("1010_2", "1011_2"), ("0b1010", "1011_2"),
    ("3.5", "3, 5"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold"), EQUAL)
def test_forms_of_one_value_are_equal(answer: str, gold: str) -> None:
    assert Comparison().equal(answer, gold)


@pytest.mark.parametrize(("answer", "gold"), UNEQUAL)
def test_what_is_close_is_not_equal(answer: str, gold: str) -> None:
    with contextlib.suppress(TooLargeError):  # nothing is known about it then, which accepts nothing
        assert not Comparison().equal(answer, gold)


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("0.375", "3/8", True),
        ("0.333", "1/3", True),
        ("0.0833", "1/12", True),
        ("0.33", "1/3", False),
        ("3.14", "\\pi", True),
    ],
)
def test_a_rounded_value_counts_the_digits_that_it_states(answer: str, gold: str, right: bool) -> None:
    assert Comparison(rounded=True).equal(answer, gold) is right
