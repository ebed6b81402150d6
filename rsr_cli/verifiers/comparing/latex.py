"""One spelling for what LaTeX, Unicode and plain text write in many ways."""

from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "×": r"\times ",
    "⋅": r"\cdot ", "·": r"\cdot ",
    "∙": r"\cdot ", "÷": r"\div ", "∕": "/", "⁄": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ",
    "⩽": r"\le ", "⩾": r"\ge ", "≦": r"\le ", "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∪": r"\cup ",
    "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ", "°": r"^\circ ", "º": r"^\circ ", "θ": r"\theta ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "φ": r"\phi ", "ω": r"\omega ",
    "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "、": ",", "，": ",", "；": ";", "：": ":", "。": ".",
    "（": "(", "）": ")", "【": "[", "】": "]", "｛": "{", "｝": "}", "％": "%", "＝": "=", "＋": "+", "“": '"',
    "”": '"',
    "‘": "'", "’": "'", "′": "'", "\u00ad": "", "\u200b": "", "\u2061": "", "\u2062": "", "\ufeff": "", "ı": "i",
    "⟨": "(", "⟩": ")", "→": r"\to ", "∶": ":", "√": "√",
}  # fmt: skip
_TABLE = {ord(char): text for char, text in _SYMBOLS.items()}
_SUPERSCRIPT_RUN = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_SUBSCRIPT_RUN = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_UNICODE_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[a-zA-Z]|(?=[({]))")
_SPACES = re.compile(
    r"\\[,;:!> ]|\\(?:quad|qquad|thinspace|medspace|thickspace|negthinspace|enspace|hfill)(?![a-zA-Z])|~|\s+"
)
_SIZES = re.compile(
    r"\\(?:left|right|bigg?|Bigg?|bigg?[lrm]|Bigg?[lrm]|middle)(?![a-zA-Z])\s*\.?(?=[\s()\[\]{}|\\<>.]|$)"
    r"|\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|boldsymbol|phantom|strut|nonumber|notag"
    r"|[lL]arge|LARGE|huge|Huge|small|normalsize)(?![a-zA-Z])"
)
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|textsf|textnormal|mbox|hbox|mathrm|mathbf|mathit|mathsf|bf|bm"
    r"|operatorname\*?"
    r"|emph|underline)\s*\{([^{}]*)\}"
)
_RENAMED = {
    "nicefrac": "frac", "sfrac": "frac", "flatfrac": "frac", "fbox": "", "dfrac": "frac",
    "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge",
    "lt": "<", "gt": ">", "neq": "ne", "lbrace": "{", "rbrace": "}", "lbrack": "[", "rbrack": "]", "lvert": "|",
    "rvert": "|", "vert": "|", "mid": "|", "colon": ":", "degree": "^\\circ", "arcsin": "asin", "arccos": "acos",
    "arctan": "atan", "operatorname": "", "infin": "infty", "langle": "(", "rangle": ")", "dbinom": "binom",
    "tbinom": "binom", "varphi": "phi", "varnothing": "emptyset", "ast": "*", "land": ",", "lor": " or ",
    "rightarrow": "to", "implies": "to", "Rightarrow": "to", "bmatrix": "matrix", "ldots": "dots", "cdots": "dots",
}  # fmt: skip
_COMMAND = re.compile(r"\\([a-zA-Z]+)\s*")
_MATRIX = re.compile(r"\\(begin|end)\s*\{(?:[pbB]?matrix|array|smallmatrix)\}(?:\{[lcr| ]*\})?")
_OVER_ALONE = re.compile(r"\s*([^{}\\]{1,60})\\over\s+([^{}\\]{1,60})")
_DECORATION = re.compile(r"\\tag\s*\*?\{[^{}]*\}|\\(?:blacksquare|square|qed|Box|hfill|checkmark)(?![a-zA-Z])")
_DOTTED_PERIOD = re.compile(r"\\dot\s*\{?\s*(\d)\s*\}?(\d{0,20})\\dot\s*\{?\s*(\d)\s*\}?")
_SHORT_PERIOD = re.compile(r"\\(overline|dot|bar)\s*(\d)")
_BRACKET_PERIOD = re.compile(r"(\d{1,20}\.\d{0,20})\((\d{1,20})\)")
_OVER = re.compile(r"\{([^{}]{0,200})\\(over|choose) ([^{}]{0,200})\}")
_ROWS = re.compile(
    r"\\(?:begin|end)\s*\{(?:[dr]?cases|aligned|align\*?|gathered|split|equation\*?|gather\*?|multline\*?)\}"
)
_CASES = re.compile(r"\\(begin|end)\s*\{[dr]?cases\}")
_SWITCH = re.compile(
    r"\{\s*\\(?:rm|bf|it|sf|tt|cal)(?![a-zA-Z])\s*([^{}]*)\}|\\(?:rm|bf|it|sf|tt|cal)(?![a-zA-Z])(?!\s*\{)"
)
_SIUNITX = re.compile(
    r"\\(?:qty|SI)\s*(?:\[[^\]]*\])?\{([^{}]*)\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}|\\(num|ang|si|unit)\s*\{([^{}]*)\}"
)
_COMBINATIONS = re.compile(
    r"(?<![A-Za-z\\])C\s*_\s*(?:\{([^{}]{1,20})\}|(\w))\s*\^\s*(?:\{([^{}]{1,20})\}|(\w))"
    r"|(?<![A-Za-z\\])C\s*\^\s*(?:\{([^{}]{1,20})\}|(\w))\s*_\s*(?:\{([^{}]{1,20})\}|(\w))"
    r"|(?<![A-Za-z\\])C\(\s*(\w{1,9})\s*,\s*(\w{1,9})\s*\)"
    r"|(?:\{\}\s*)?_\s*\{?(\w{1,6})\}?\s*C\s*_\s*\{?(\w{1,6})\}?|(?<!\w)(\d{1,6})C(\d{1,6})(?!\w)"
)
_ASCII_CALL = re.compile(
    r"(?<![A-Za-z\\])(?:cbrt\s*\(([^()]{1,100})\)|(nCr|nPr)\s*\(\s*(\w{1,9})\s*,\s*(\w{1,9})\s*\)|(\d{1,6})P(\d{1,6})(?!\w)|log(2|10)(?=\s*\())"
)
_UNDERSCORED = re.compile(r"(?<![\w.])\d{1,3}(?:_\d{3})+(?![\w_])")
_NESTED_LIST = re.compile(r"\[\s*(?:\[[^\[\]]{1,200}\]\s*,\s*){1,20}\[[^\[\]]{1,200}\]\s*\]")
_CHINESE_ROOT = re.compile(r"根号(?:下)?\s*(\d+(?:\.\d+)?|[a-zA-Z]|(?=[({]))")
_COLOR = re.compile(r"\\(?:text)?color\s*\{\s*\w+\s*\}")
_SEGMENT_NAME = re.compile(r"\\overline\s*\{\s*([A-Z]{2})\s*\}")
_NEGATIVE = re.compile(r"\b(?:negative|minus)\s+(?=[\d\\$])", re.IGNORECASE)
_WORDS = (
    (re.compile(r"\binfinity\b", re.IGNORECASE), r"\\infty "),
    (re.compile(r"\\lset\s*\\rset|\b(?:the )?empty set\b", re.IGNORECASE), r"\\emptyset "),
    (re.compile(r"\b(?:the set of )?all integers\b", re.IGNORECASE), r"\\mathbb {Z}"),
)
_REALS = re.compile(r"\\mathbb\s*\{\s*R\s*\}|\\mathbb R|\\R(?![a-zA-Z])|\b(?:the set of )?all real numbers\b")
_GOING_ON = re.compile(r"(?<![\d.])(\d{1,20}\.\d{0,20}?)(\d)\2{2,20}(?:\.\.\.|…|\\dots)")
_REPEATING = re.compile(r"(\d{0,20})\.(\d{0,20})\\(?:overline|dot|bar)\s*\{\s*(\d{1,20})\s*\}")
_SYMBOL = r"\d|[a-zA-Z]|\\(?!frac|sqrt)[a-zA-Z]+"
_SHORT_FRAC = re.compile(rf"\\frac\s*({_SYMBOL})\s*({_SYMBOL}|(?=\{{))")
_SHORT_FRAC_END = re.compile(rf"\\frac\s*(\{{[^{{}}]*\}})\s*({_SYMBOL})")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z])")
_DOUBLED = re.compile(
    r"\\\\(?=(?:d?frac|tfrac|left|right|sqrt|pi|text|boxed|cdot|times|infty|cup|le|ge|in|pm|circ)(?![a-zA-Z]))"
)
_PYTHON_POWER = re.compile(r"(?<=[\w)])\s?\*\*\s?(?=[\w(-])")
_TIGHT_COMMA = re.compile(r",\s*\\!\s*")
_MONEY = re.compile(r"(?<!\\)\$\s?(?=-?[\d.])")
"""A dollar sign that opens no math."""
_DELIMITERS = re.compile(r"\\[()\[\]]|\$+")
_LEADING = " \t\r\n,;:*`\"'_"
_TRAILING = _LEADING + ".\\"


def normalise(answer: str) -> str:
    """An answer in one spelling: ASCII, plain LaTeX commands, single spaces, no math delimiters, no size commands.

    What it means is left as it is: no separator, unit or bracket goes away here.
    """
    text = answer.strip()
    if text.isascii() and text.isdigit():
        return text
    if not text.isascii():
        text = _plain_characters(text)
    if "_" in text:
        text = _UNDERSCORED.sub(lambda number: number[0].replace("_", ""), text)
    if text[:1] == "[" and _NESTED_LIST.fullmatch(text):
        rows = " \\\\ ".join(row.replace(",", " & ") for row in re.findall(r"\[([^\[\]]+)\]", text))
        text = f"\\begin{{matrix}}{rows}\\end{{matrix}}"
    if "(" in text or "P" in text:
        text = _ASCII_CALL.sub(_ascii_call, text)
    if "+/-" in text:
        text = text.replace("+/-", "\\pm ")
    if "+- " in text:
        text = text.replace("+- ", "\\pm ")
    if text.count("$") == 1:
        text = _MONEY.sub(" USD ", text)
    text = text.replace("\\$", " USD ").replace("\\%", "%").replace("\\&", "&").replace("\\#", "#")
    text = _DOUBLED.sub(r"\\", text)
    text = text.replace("\\{", "\\lset ").replace("\\}", "\\rset ").replace("{,}", ",").replace("{:}", ":")
    if "\\qty" in text or "\\SI" in text or "\\num" in text or "\\ang" in text or "\\si" in text or "\\unit" in text:
        text = _SIUNITX.sub(_siunitx, text)
    if "\\rm" in text or "\\bf" in text or "\\it" in text or "\\sf" in text or "\\tt" in text or "\\cal" in text:
        text = _SWITCH.sub(lambda switch: f" {switch[1] or ''} ", text)
    if "\\tag" in text or "quare" in text or "\\qed" in text or "\\Box" in text or "\\checkmark" in text:
        text = _DECORATION.sub(" ", text)
    if over := _OVER_ALONE.fullmatch(text):
        text = f"\\frac{{{over[1]}}}{{{over[2]}}}"
    text = _TIGHT_COMMA.sub(",", text)
    text = _SIZES.sub(" ", _SPACES.sub(" ", text.replace("\\\\", "\\newrow ")))
    text = _DELIMITERS.sub(" ", text)
    text = _unwrap_text(_COLOR.sub(" ", text))
    if "cases" in text and "&" in text and not re.search(r"&\s*=", text):
        text = _CASES.sub(lambda match: f"\\{match[1]}cases ", text)
    if _ROWS.search(text):
        text = _as_list(text)
    text = _MATRIX.sub(lambda match: f"\\{match[1]}matrix ", text)
    text = _COMMAND.sub(lambda match: _command(match[1]), text)
    if "\\dot" in text or "\\overline" in text or "\\bar" in text:
        text = _SHORT_PERIOD.sub(r"\\\1{\2}", _DOTTED_PERIOD.sub(r"\\overline{\1\2\3}", text))
    if bracketed := _BRACKET_PERIOD.fullmatch(text.strip()):
        text = f"{bracketed[1]}\\overline{{{bracketed[2]}}}"
    text = _REPEATING.sub(_repeating, _GOING_ON.sub(r"\1\\overline{\2}", text))
    text = _REALS.sub(r"\\reals ", _OVER.sub(_stacked, text))
    for words, symbol in _WORDS:
        text = words.sub(symbol, text)
    text = _SEGMENT_NAME.sub(r"\1", _NEGATIVE.sub("-", text))
    if "C" in text:
        text = _COMBINATIONS.sub(_combinations, text)
    text = _SHORT_FRAC.sub(_short_frac, text)
    text = _SHORT_FRAC_END.sub(r"\\frac\1{\2}", text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = _PYTHON_POWER.sub("^", text).replace("**", " ")
    return re.sub(r"\s+", " ", text).lstrip(_LEADING).rstrip(_TRAILING)


def squeezed(text: str) -> str:
    """A normalised answer without its spaces, for comparing spellings."""
    return text.replace(" ", "")


def _plain_characters(text: str) -> str:
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + "".join(_SUPERSCRIPTS[char] for char in run[0]) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: "_{" + "".join(_SUBSCRIPTS[char] for char in run[0]) + "}", text)
    text = text.translate(_TABLE)
    text = "".join(_plain_character(char) for char in text) if not text.isascii() else text
    if "根号" in text:
        text = _CHINESE_ROOT.sub(_root, text)
    return _UNICODE_ROOT.sub(_root, text)


def _root(match: re.Match[str]) -> str:
    return f"\\sqrt{{{match[1]}}}" if match[1] else "\\sqrt"


def _siunitx(match: re.Match[str]) -> str:
    """\\qty{17}{cm} as a number with its unit."""
    if match[3] in ("num",):
        return match[4]
    if match[3] == "ang":
        return f"{match[4]}^\\circ "
    number, unit = (match[1], match[2]) if match[1] is not None else ("", match[4])
    unit = re.sub(r"\\per(?![a-z])", " / ", unit)
    return f"{number} {re.sub(r'[a-z]+', lambda name: ' ' + name[0], unit.replace(chr(92), ' '))}"


def _ascii_call(match: re.Match[str]) -> str:
    """cbrt(x), nCr(n, k), 5P2 and log2( in LaTeX."""
    if match[1]:
        return f"\\sqrt[3]{{{match[1]}}}"
    if match[7]:
        return f"\\log_{{{match[7]}}}"
    top, bottom = (match[3], match[4]) if match[2] else (match[5], match[6])
    return f"\\binom{{{top}}}{{{bottom}}}" if match[2] == "nCr" else f"\\frac{{({top})!}}{{({top}-{bottom})!}}"


def _combinations(match: re.Match[str]) -> str:
    """C_n^3, C(n,3) and _nC_3 as a binomial."""
    parts = [part for part in match.groups() if part is not None]
    swapped = match[5] is not None or match[6] is not None
    top, bottom = (parts[1], parts[0]) if swapped else (parts[0], parts[1])
    return f"\\binom{{{top}}}{{{bottom}}}"


def _plain_character(char: str) -> str:
    if char < "\x80" or char == "√":
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    if unicodedata.category(char) == "No" and unicodedata.decomposition(char).startswith("<fraction>"):
        top, bottom = unicodedata.normalize("NFKC", char).split("⁄")
        return f"\\frac{{{top}}}{{{bottom}}}" if bottom else char
    # One character at most: a ligature must not blow up into a sentence, nor a full-width letter stay a stranger.
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) <= 2 else char


def _unwrap_text(text: str) -> str:
    for _ in range(3):
        unwrapped = _TEXT.sub(r" \1 ", text)
        if unwrapped == text:
            break
        text = unwrapped
    return text


def _as_list(text: str) -> str:
    """The rows of a system of equations with commas; a row that begins with = goes on with the one before."""
    rows = [row.strip() for row in _ROWS.sub(" ", text).replace("&", " ").split("\\newrow")]
    return "".join(row if row.startswith("=") else f", {row}" for row in rows if row)


def _stacked(match: re.Match[str]) -> str:
    return f"\\{'frac' if match[2] == 'over' else 'binom'}{{{match[1]}}}{{{match[3]}}}"


def _command(name: str) -> str:
    renamed = _RENAMED.get(name, name)
    if renamed == name or renamed.isalpha():
        return f"\\{renamed} "
    return renamed + " "


def _short_frac(match: re.Match[str]) -> str:
    return f"\\frac{{{match[1]}}}{{{match[2]}}}" if match[2] else f"\\frac{{{match[1]}}}"


def _repeating(match: re.Match[str]) -> str:
    """0.1\\overline{6} as a fraction."""
    whole, fixed, period = match[1] or "0", match[2], match[3]
    top = int(whole + fixed + period) - int(whole + fixed)
    return f"\\frac{{{top}}}{{{'9' * len(period)}{'0' * len(fixed)}}}"
