"""Read a closed-form expression in normalised LaTeX or plain text into a tree.

Small on purpose: arithmetic, powers, roots, logarithms, trigonometry, factorials and binomials. Whatever else stands
in an expression is an `UnreadableError`, and the symbolic tier decides.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

# An operation or a leaf: ("number", Fraction), ("name", str), ("sum" | "product" | "quotient" | "power", node, node),
# ("call", function, node), …
Node = tuple[Any, ...]

MOST_CHARACTERS = 1_000
MOST_TOKENS = 400
MOST_DEPTH = 40

_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|\\[a-zA-Z]+|[a-zA-Z]+|[-+*/^_(){}\[\]|!%,'])")
_CONSTANTS = frozenset(["pi", "e", "i"])
FUNCTIONS = frozenset(
    ["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "cot", "sec", "csc", "exp", "ln", "log", "lg",
     "abs"]
)  # fmt: skip
_INVERSE = {"sin": "asin", "cos": "acos", "tan": "atan"}
_GREEK = frozenset(
    ["alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "nu", "rho", "sigma", "tau", "phi", "chi",
     "psi", "omega", "Delta", "Gamma", "Omega", "Phi", "Sigma", "ell", "zeta", "eta", "kappa", "xi", "hbar"]
)  # fmt: skip
_DEGREE: Node = ("quotient", ("constant", "pi"), ("number", Fraction(180)))
_OPEN = {"(": ")", "[": "]", "{": "}", "\\lset": "\\rset"}


class UnreadableError(ValueError):
    """The text is no expression of the kinds that are read here."""


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The tree of a normalised expression. Raises UnreadableError."""
    if len(text) > MOST_CHARACTERS:
        raise UnreadableError("too long")
    text = re.sub(r"(?<=\d)[, ](?=\d{3}(?:\D|$))", "", text)
    tokens: list[str] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            if not text[at:].strip():
                break
            raise UnreadableError(text[at:])
        tokens.append(token[1])
        at = token.end()
    if len(tokens) > MOST_TOKENS:
        raise UnreadableError("too long")
    reader = _Reader(tokens)
    node = reader.sum()
    if reader.peek():
        raise UnreadableError(reader.peek())
    return node


def contains(node: Node, kinds: frozenset[str]) -> bool:
    """Whether an operation of these kinds stands in a tree."""
    waiting = [node]
    while waiting:
        kind, *parts = waiting.pop()
        if kind in kinds:
            return True
        waiting.extend(part for part in parts if isinstance(part, tuple))
    return False


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._bars = 0
        self._calls = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self.peek()
        self._at += 1
        return token

    def _take(self, token: str) -> bool:
        if self.peek() == token:
            self._at += 1
            return True
        return False

    def _need(self, token: str) -> None:
        if not self._take(token):
            raise UnreadableError(f"{token!r} is missing")

    def sum(self) -> Node:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise UnreadableError("nested too deeply")
        node = self._product()
        while self.peek() in ("+", "-"):
            negative = self._next() == "-"
            term = self._product()
            node = ("sum", node, ("negative", term) if negative else term)
        self._depth -= 1
        return node

    def _product(self) -> Node:
        if self._take("-"):
            return ("negative", self._product())
        if self._take("+"):
            return self._product()
        node = self._power()
        while True:
            token = self.peek()
            if token in ("*", "\\cdot", "\\times"):
                self._at += 1
                node = ("product", node, self._factor())
            elif token in ("/", "\\div"):
                self._at += 1
                node = ("quotient", node, self._factor())
            elif self._starts_factor(token):
                node = self._beside(node)
            else:
                return node

    def _factor(self) -> Node:
        if self._take("-"):
            return ("negative", self._factor())
        return self._power()

    def _beside(self, node: Node) -> Node:
        """Two factors side by side: a product, or a mixed number such as 1\\frac{9}{10}."""
        fraction = self.peek() == "\\frac"
        right = self._power()
        if node[0] == "number" and node[1].denominator == 1:
            if (
                fraction
                and right[0] == "quotient"
                and right[1][0] == right[2][0] == "number"
                and right[1][1] < right[2][1]
            ):
                return ("sum", node, right)
            if right[0] == "number":
                if not self._take("/"):
                    raise UnreadableError("two numbers side by side")
                return ("sum", node, ("quotient", right, self._power()))
        return ("product", node, right)

    def _starts_factor(self, token: str) -> bool:
        if token == "|":
            return self._bars == 0
        return bool(token) and (token[0].isalnum() or token[0] in ".([{" or (token[0] == "\\" and token != "\\rset"))

    def _power(self) -> Node:
        node = self._atom()
        while True:
            token = self.peek()
            if token == "^":
                self._at += 1
                if self._take("\\circ"):
                    node = self._degrees(node)
                    continue
                if self.peek() == "{" and self._tokens[self._at + 1 : self._at + 3] == ["\\circ", "}"]:
                    self._at += 3
                    node = self._degrees(node)
                    continue
                node = ("power", node, self._argument())
            elif token == "!":
                self._at += 1
                node = ("factorial", node)
            elif token == "%":
                self._at += 1
                node = ("quotient", node, ("number", Fraction(100)))
            else:
                return node

    def _degrees(self, node: Node) -> Node:
        """Degrees as radians within a function; elsewhere the sign is style."""
        return ("product", node, _DEGREE) if self._calls else node

    def _argument(self) -> Node:
        """What stands after ^ or a command: a group, a signed number or one symbol."""
        if self._take("-"):
            return ("negative", self._argument())
        token = self.peek()
        if token[:1].isalpha() and len(token) > 1 and token not in FUNCTIONS and token not in _CONSTANTS:
            self._tokens[self._at : self._at + 1] = list(token)
        return self._atom()

    def _group(self, opening: str) -> Node:
        self._need(opening)
        bars, self._bars = self._bars, 0
        node = self.sum()
        self._bars = bars
        self._need(_OPEN[opening])
        return node

    def _atom(self) -> Node:
        token = self.peek()
        if token in ("(", "[", "{"):
            return self._group(token)
        self._at += 1
        if token == "|":
            self._bars += 1
            node = self.sum()
            self._bars -= 1
            self._need("|")
            return ("call", "abs", node)
        if token[:1].isdigit() or token[:1] == ".":
            if len(token) > 4_000:
                raise UnreadableError("a number too long")
            return ("number", Fraction(token))
        if token[:1] == "\\":
            return self._command(token[1:])
        if token[:1].isalpha():
            return self._word(token)
        raise UnreadableError(token or "the end")

    def _command(self, name: str) -> Node:
        if name == "frac":
            return ("quotient", self._group("{"), self._group("{"))
        if name == "sqrt":
            degree: Node = self._group("[") if self.peek() == "[" else ("number", Fraction(2))
            return ("root", degree, self._argument())
        if name == "binom":
            return ("binomial", self._group("{"), self._group("{"))
        if name in ("lfloor", "lceil"):
            node = self.sum()
            self._need("\\r" + name[1:])
            return (name[1:], node)
        if name in _GREEK:
            return self._named(name)
        return self._word(name)

    def _word(self, word: str) -> Node:
        if word == "sqrt":
            return ("root", ("number", Fraction(2)), self._argument())
        if word in _CONSTANTS:
            return ("constant", word)
        if word in FUNCTIONS:
            return self._call(word)
        if (
            word == "P"
            and self._tokens[self._at : self._at + 1] == ["("]
            and self._tokens[self._at + 2 : self._at + 3] == [","]
        ):
            return self._arrangements()
        if len(word) == 1:
            return self._named(word)
        if len(word) > 4:
            raise UnreadableError(word)
        # Letters side by side are a product; the rest of the word comes next.
        if word[:2] == "pi":
            first, rest = "pi", word[2:]
        else:
            first, rest = word[0], word[1:]
        self._tokens[self._at : self._at] = [rest]
        return self._word(first)

    def _arrangements(self) -> Node:
        """P(n, k) as n! / (n - k)!."""
        self._need("(")
        top = self.sum()
        self._need(",")
        bottom = self.sum()
        self._need(")")
        return ("quotient", ("factorial", top), ("factorial", ("sum", top, ("negative", bottom))))

    def _named(self, name: str) -> Node:
        if self._take("_"):
            if self._take("{"):
                parts = []
                while not self._take("}"):
                    if not self.peek():
                        raise UnreadableError("an open subscript")
                    parts.append(self._next())
                name = f"{name}_{''.join(parts)}"
            else:
                name = f"{name}_{self._next()}"
        while self._take("'"):
            name += "'"
        return ("name", name)

    def _call(self, function: str) -> Node:
        """sin x, sin^2 x, sin^{-1} x, log_2 8: without brackets the argument is the factors up to an operator."""
        base: Node | None = None
        exponent: Node | None = None
        if function == "log" and self._take("_"):
            base = self._argument()
        if self._take("^"):
            exponent = self._argument()
        self._calls += 1
        argument = self._call_argument()
        self._calls -= 1
        if exponent == ("negative", ("number", Fraction(1))) and function in _INVERSE:
            return ("call", _INVERSE[function], argument)
        node: Node = ("log", base, argument) if base else ("call", function, argument)
        return ("power", node, exponent) if exponent else node

    def _call_argument(self) -> Node:
        if self.peek() == "(":
            return self._group("(")
        negative = self._take("-")
        node = self._power()
        while self._starts_factor(token := self.peek()) and token.lstrip("\\") not in FUNCTIONS and token != "(":
            node = self._beside(node)
        if self._take("/"):
            node = ("quotient", node, self._power())
        return ("negative", node) if negative else node
