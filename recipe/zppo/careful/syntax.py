"""Reads a formula, of LaTeX or typed plainly, as a tree. What can be read in two ways is not read at all."""

import re
from fractions import Fraction
from typing import TypeAlias

Tree: TypeAlias = tuple
"""("number", Fraction), ("symbol", name), or an operation of `arithmetic.py` and what it is done to."""


class NotRead(ValueError):
    """The text is no formula, or has more than one meaning."""


# fmt: off
FUNCTIONS = frozenset((
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "arsinh", "arcosh", "artanh", "ln", "log", "lg", "exp",
))
GREEK = frozenset((
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi",
    "Psi", "Omega", "hbar", "ell",
))
# fmt: on
_ACCENTS = frozenset(
    ["vec", "hat", "bar", "overline", "tilde", "dot", "overrightarrow", "widehat", "text", "mathcal", "mathbb"]
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NAMES = sorted([*FUNCTIONS, "pi", "sqrt", "theta", "alpha", "beta", "lambda", "abs"], key=len, reverse=True)
_NUMBER = re.compile(r"\d{1,3}(?:\u2009\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+")
_EXPONENT = re.compile(r"[eE]([+-]?\d+)(?![\w.{^])")
_REPEATED = re.compile(r"\\(?:overline|bar|dot)\{?(\d+)\}?")
_LETTERS, _MACRO = re.compile(r"[a-zA-Z]+"), re.compile(r"\\([a-zA-Z]+)")
_INDEX = re.compile(r"\s*_\s*(?:\{([^{}]*)\}|(\\[a-zA-Z]+|\w))")
_TEXT_ONLY = re.compile(r"\s*\{([^{}]*)\}")
_APPLIED = re.compile(r"\s*\(\s*[a-zA-Z0-9]\s*\)|\s*\(\s*[fghFG]\s*\([^()]*\)\s*\)")


def read(text: str) -> Tree:
    """The tree of a normalized formula.

    Raises:
        NotRead: see there.
    """
    reader = _Reader(text)
    tree = reader.sum()
    if reader.peek():
        raise NotRead(text)
    return tree


class _Reader:
    def __init__(self, text: str):
        self.text, self.at, self.bars = text, 0, 0

    def peek(self) -> str:
        """The next sign that is no space; "" at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def take(self, start: str) -> bool:
        self.peek()
        if not self.text.startswith(start, self.at):
            return False
        self.at += len(start)
        return True

    def macro(self) -> str:
        self.peek()
        match = _MACRO.match(self.text, self.at)
        return match[1] if match else ""

    def sum(self) -> Tree:
        negative = self.signs()
        tree = self.product()
        tree = ("negative", tree) if negative else tree
        while (sign := self.peek()) in ("+", "-") and sign:
            negative = self.signs()
            term = self.product()
            tree = ("sum", tree, ("negative", term) if negative else term)
        return tree

    def signs(self) -> bool:
        negative = False
        while (sign := self.peek()) in ("+", "-") and sign:
            negative ^= sign == "-"
            self.at += 1
        return negative

    def product(self, in_function: bool = False) -> Tree:
        tree, divided = self.power(in_function), False
        while True:
            sign = self.peek()
            if sign in ("*", "/") and sign and not in_function:
                self.at += 1
                negative = self.signs()
                factor = self.power()
                factor = ("negative", factor) if negative else factor
                tree, divided = ("product" if sign == "*" else "quotient", tree, factor), sign == "/"
            elif self.starts_factor(in_function):
                if divided:
                    raise NotRead("a/bc")
                tree = ("product", tree, self.power(in_function))
            elif in_function and sign == "/" and sign:
                raise NotRead("sin a/b")
            else:
                return tree

    def starts_factor(self, in_function: bool) -> bool:
        sign, macro = self.peek(), self.macro()
        if in_function and (sign in "([{|" or macro in FUNCTIONS or _plain_name(self.text, self.at) in FUNCTIONS):
            return False
        if macro:
            return macro not in ("rfloor", "rceil", "rangle", "pm", "mp", "cup", "leq", "geq", "neq", "in")
        return bool(sign) and (sign.isalnum() or sign in "([{." or (sign == "|" and not self.bars))

    def power(self, in_function: bool = False) -> Tree:
        tree = self.marked(self.factor(in_function))
        if self.take("^"):
            tree = self.marked(("power", tree, self.exponent()))
        return tree

    def marked(self, tree: Tree) -> Tree:
        while (sign := self.peek()) and sign in "!°%":
            self.at += 1
            if sign == "!" and self.peek() == "!":
                raise NotRead("n!!")
            tree = ({"!": "factorial", "°": "degrees", "%": "percent"}[sign], tree)
        return tree

    def exponent(self) -> Tree:
        if self.peek() in ("{", "("):
            return self.factor()
        negative = self.signs()
        if match := re.compile(r"\d+").match(self.text, self.at):
            self.at = match.end()
            tree: Tree = ("number", Fraction(int(match[0])))
        elif self.peek().isalpha():
            tree = self.letter()
        else:
            tree = self.factor()
        return ("negative", tree) if negative else tree

    def argument(self) -> Tree:
        """What stands in braces, or one sign: LaTeX's argument."""
        if self.peek() == "{":
            return self.factor()
        if (sign := self.peek()).isdigit():
            self.at += 1
            return ("number", Fraction(int(sign)))
        return self.letter() if sign.isalpha() else self.factor()

    def letter(self) -> Tree:
        sign = self.text[self.at]
        if not (sign.isascii() and sign.isalpha()):
            raise NotRead(sign)
        self.at += 1
        return self.symbol(sign)

    def symbol(self, name: str) -> Tree:
        if match := _INDEX.match(self.text, self.at):
            self.at = match.end()
            name += f"_{(match[1] or match[2]).replace(' ', '')}"
        while self.text.startswith("'", self.at):
            self.at += 1
            name += "'"
        if self.text[self.at : self.at + 1].isdigit():
            raise NotRead("x1")
        if name in "fghFG" and (match := _APPLIED.match(self.text, self.at)):
            return ("applied", name, self.factor())
        return ("symbol", name)

    def group(self, closing: str) -> Tree:
        bars, self.bars = self.bars, 0
        tree = self.sum()
        self.bars = bars
        if not self.take(closing):
            raise NotRead(closing)
        return tree

    def factor(self, in_function: bool = False) -> Tree:
        sign = self.peek()
        if sign in _CLOSING:
            self.at += 1
            return self.group(_CLOSING[sign])
        if sign == "|":
            self.at += 1
            bars, self.bars = self.bars, 1
            tree = self.sum()
            self.bars = bars
            if not self.take("|"):
                raise NotRead("|")
            return ("absolute", tree)
        if sign.isdigit() or sign == ".":
            return self.number()
        if macro := self.macro():
            self.at += len(macro) + 1
            return self.named(macro)
        if sign.isascii() and sign.isalpha():
            return self.word()
        raise NotRead(sign)

    def number(self) -> Tree:
        match = _NUMBER.match(self.text, self.at)
        if not match:
            raise NotRead(self.text)
        self.at = match.end()
        value = Fraction(match[0].replace("\u2009", ""))
        if "." in match[0] and (repeated := _REPEATED.match(self.text, self.at)):
            self.at = repeated.end()
            places, length = len(match[0].partition(".")[2]), len(repeated[1])
            value += Fraction(int(repeated[1]), 10**places * (10**length - 1))
        elif exponent := _EXPONENT.match(self.text, self.at):
            self.at = exponent.end()
            if abs(int(exponent[1])) > 5000:
                raise NotRead("too large")
            value *= Fraction(10) ** int(exponent[1])
        elif "." not in match[0] and (part := _mixed(self.text, self.at)):
            self.at, fraction = part
            value += fraction
        if self.text.startswith("_", self.at) or re.compile(r" +\.?\d").match(self.text, self.at):
            raise NotRead("a base, or two numbers")
        return ("number", value)

    def word(self) -> Tree:
        run = _LETTERS.match(self.text, self.at)
        assert run
        if name := _plain_name(self.text, self.at):
            self.at += len(name)
            return self.named(name)
        if len(run[0]) > 3:
            raise NotRead(run[0])
        return self.letter()

    def named(self, name: str) -> Tree:
        if name in ("frac", "binom", "dbinom", "tbinom"):
            over = self.argument()
            return ("quotient" if name == "frac" else "binomial", over, self.argument())
        if name == "sqrt":
            index: Tree = self.group("]") if self.take("[") else ("number", Fraction(2))
            return ("root", self.factor() if self.peek() == "(" else self.argument(), index)
        if name in ("lfloor", "lceil"):
            return ("floor" if name == "lfloor" else "ceiling", self.group(f"\\r{name[1:]}"))
        if name == "abs":
            return ("absolute", self.factor())
        if name in FUNCTIONS:
            return self.function(name)
        if name == "pi" or name in GREEK:
            return self.symbol(f"\\{name}")
        if name in _ACCENTS and (match := _TEXT_ONLY.match(self.text, self.at)):
            self.at = match.end()
            return self.symbol(f"\\{name} {match[1].strip()}")
        raise NotRead(name)

    def function(self, name: str) -> Tree:
        base = power = None
        if name == "log" and self.take("_"):
            base = self.argument() if self.peek() == "{" or self.peek().isalpha() else self.exponent()
        if self.take("^"):
            power = self.exponent()
            if power == ("negative", ("number", Fraction(1))):
                name, power = f"arc{name}", None
        if self.peek() in ("(", "{", "|"):
            argument = self.factor()
        else:
            negative = self.signs()
            argument = self.product(in_function=True)
            argument = ("negative", argument) if negative else argument
        tree: Tree = ("function", {"lg": "log"}.get(name, name), argument)
        if base:
            tree = ("quotient", ("function", "ln", argument), ("function", "ln", base))
        return ("power", tree, power) if power else tree


def _plain_name(text: str, at: int) -> str:
    """The known name that begins here without a backslash."""
    return next((name for name in _NAMES if text.startswith(name, at)), "")


def _mixed(text: str, at: int) -> tuple[int, Fraction] | None:
    r"""The proper fraction right behind a whole number: of ``2 3/4`` and ``2\frac{3}{4}``, and where it ends."""
    match = re.compile(
        r" +(\d+) *\/ *(\d+)(?![\d.])|\s*\\frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))"
    ).match(text, at)
    if not match:
        return None
    over, under = int(match[1] or match[3] or match[4]), int(match[2] or match[5] or match[6])
    return (match.end(), Fraction(over, under)) if over < under else None
