"""The value of a formula at a point: a fraction as long as that is exact, else a number of mpmath's set precision."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp, mpc, mpf

from recipe.zppo.careful.syntax import Tree

_MAX_BITS = 20_000  # of an exact power; a larger one is of limited precision
_INVERSE = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arsinh": "asinh",
    "arcosh": "acosh",
    "artanh": "atanh",
}
_RECIPROCAL = {"cot": mpmath.tan, "sec": mpmath.cos, "csc": mpmath.sin}


class Undefined(ArithmeticError):
    """No value here."""


def evaluate(tree: Tree, point: Mapping[str, Any], is_complex: bool) -> Any:
    """The value of a tree where symbols have those of `point`: a Fraction as long as that is exact.

    Raises:
        ArithmeticError: there is none, or none that is real.
    """
    kind = tree[0]
    if kind == "number":
        return tree[1]
    if kind == "symbol":
        return _constant(tree[1], is_complex) if tree[1] not in point else point[tree[1]]
    if kind == "function":
        return _function(tree[1], as_mpf(evaluate(tree[2], point, is_complex)), is_complex)
    if kind == "applied":  # a function of which nothing is known: some number for each name and argument
        argument = as_mpf(evaluate(tree[2], point, is_complex))
        seed = sum(map(ord, tree[1]))
        return mpmath.sin(argument * seed / 7 + seed) + argument * argument / seed
    return _OPERATIONS[kind](*(evaluate(part, point, is_complex) for part in tree[1:]), is_complex)


def as_mpf(value: Any) -> Any:
    return mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _constant(name: str, is_complex: bool) -> Any:
    if name == "i" and is_complex:
        return mpc(0, 1)
    constants = {"\\pi": mp.pi, "e": mp.e}
    if name not in constants:
        raise Undefined(name)
    return +constants[name]


def _function(name: str, x: Any, is_complex: bool) -> Any:
    name = _INVERSE.get(name, name)
    if name.startswith("arc"):  # as in \cot^{-1}
        name = f"a{name[3:]}"
    if name in _RECIPROCAL:
        under = _RECIPROCAL[name](x)
        if not under:
            raise Undefined
        return 1 / under
    if name == "log":
        return _real(mpmath.log(x, 10) if x else _no(), is_complex)
    if name == "ln":
        return _real(mpmath.log(x) if x else _no(), is_complex)
    if name == "exp" and abs(x) > 10_000:
        raise Undefined
    function = getattr(mpmath, name, None)
    if function is None:
        raise Undefined(name)
    return _real(function(x), is_complex)


def _real(value: Any, is_complex: bool) -> Any:
    if isinstance(value, mpc) and not is_complex:
        if value.imag:
            raise Undefined
        return value.real
    return value


def _no() -> Any:
    raise Undefined


def _sum(a: Any, b: Any, _: bool) -> Any:
    return a + b if isinstance(a, Fraction) and isinstance(b, Fraction) else as_mpf(a) + as_mpf(b)


def _product(a: Any, b: Any, _: bool) -> Any:
    return a * b if isinstance(a, Fraction) and isinstance(b, Fraction) else as_mpf(a) * as_mpf(b)


def _quotient(a: Any, b: Any, _: bool) -> Any:
    if not b:
        raise Undefined
    return a / b if isinstance(a, Fraction) and isinstance(b, Fraction) else as_mpf(a) / as_mpf(b)


def _power(a: Any, b: Any, is_complex: bool) -> Any:
    if not a and isinstance(b, Fraction) and b <= 0:
        raise Undefined
    if isinstance(a, Fraction) and isinstance(b, Fraction) and b.denominator == 1:
        bits = max(abs(a.numerator), a.denominator).bit_length()
        if abs(b) * bits <= _MAX_BITS:
            return a**b.numerator
    exponent = b.numerator if isinstance(b, Fraction) and b.denominator == 1 else as_mpf(b)
    base = as_mpf(a)
    if abs(exponent) * abs(mpmath.log(abs(base)) if base else 0) > 10**6:
        raise Undefined
    return _real(mpmath.power(base, exponent), is_complex)


def _root(a: Any, index: Any, is_complex: bool) -> Any:
    if not isinstance(index, Fraction) or index.denominator != 1 or not 1 <= index <= 1000:
        return _power(a, _quotient(Fraction(1), index, is_complex), is_complex)
    value = as_mpf(a)
    if not is_complex and value < 0 and index.numerator % 2:
        return -mpmath.root(-value, index.numerator)
    return _real(mpmath.root(value, index.numerator), is_complex)


def _factorial(n: Any, _: bool) -> Any:
    if isinstance(n, Fraction) and n.denominator == 1:
        if not 0 <= n <= 1000:
            raise Undefined
        return Fraction(math.factorial(n.numerator))
    if abs(n) > 1000:
        raise Undefined
    return mpmath.factorial(as_mpf(n))


def _binomial(n: Any, k: Any, _: bool) -> Any:
    if abs(n) > 1000 or abs(k) > 1000:
        raise Undefined
    if isinstance(n, Fraction) and isinstance(k, Fraction) and n.denominator == k.denominator == 1 and 0 <= k <= n:
        return Fraction(math.comb(n.numerator, k.numerator))
    return mpmath.binomial(as_mpf(n), as_mpf(k))


def _whole(function: Any) -> Any:
    return lambda x, _: Fraction(int(function(as_mpf(x)))) if not isinstance(x, mpc) else _no()


_OPERATIONS = {
    "sum": _sum,
    "product": _product,
    "quotient": _quotient,
    "power": _power,
    "root": _root,
    "factorial": _factorial,
    "binomial": _binomial,
    "negative": lambda x, _: -x,
    "absolute": lambda x, _: abs(x),
    "floor": _whole(mpmath.floor),
    "ceiling": _whole(mpmath.ceil),
    "degrees": lambda x, _: as_mpf(x) * mp.pi / 180,
    "percent": lambda x, _: _quotient(x, Fraction(100), False),
}
