"""Whether two formulas are equal: exactly for fractions, else by their values at random points, in high precision.

Numbers decide what `simplify` often can't, in a known time: trigonometry, logarithms, powers. Where one side has no
real value, the point says nothing; the points are many, and the same in every process.
"""

import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp, mpc, mpf

from recipe.zppo.careful.syntax import Tree

_DIGITS = 40
_POINTS, _TRIES, _ENOUGH = 12, 60, 4
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


def equal(a: Tree, b: Tree) -> bool:
    """Whether they have one value, for all values of their symbols."""
    names = sorted(symbols(a) | symbols(b))
    is_complex = "i" in names
    names = [name for name in names if name not in ("i", "e", "\\pi")]
    if not names:
        return _equal_constants(a, b, is_complex)
    if ("absolute" in _operations(a)) != ("absolute" in _operations(b)) and _differ_in_domain(a, b, names, is_complex):
        return False
    return _agree(a, b, names, is_complex)


def _equal_constants(a: Tree, b: Tree, is_complex: bool) -> bool:
    try:
        return _equal_numbers(a, b, {}, is_complex)
    except ArithmeticError:
        return False if is_complex else _equal_constants(a, b, True)


def _agree(a: Tree, b: Tree, names: list[str], is_complex: bool) -> bool:
    agreed = 0
    for point in points(names):
        try:
            if not _equal_numbers(a, b, point, is_complex):
                return False
        except ArithmeticError:
            continue
        agreed += 1
        if agreed == _POINTS:
            break
    if agreed < _ENOUGH and not is_complex:  # (-1)^n has hardly any real value
        return _agree(a, b, names, True)
    return agreed >= _ENOUGH


def _differ_in_domain(a: Tree, b: Tree, names: list[str], is_complex: bool) -> bool:
    return any(_has_value(a, point, is_complex) != _has_value(b, point, is_complex) for point in points(names))


def _has_value(tree: Tree, point: Mapping[str, Any], is_complex: bool) -> bool:
    try:
        evaluate(tree, point, is_complex)
    except ArithmeticError:
        return False
    return True


def points(names: list[str]) -> Iterator[dict[str, Fraction]]:
    """Values for the symbols: of both signs, small and large."""
    generator = random.Random("".join(names))
    for number in range(_TRIES):
        scale, low = ((3, 0), (1, 0), (1, -1), (10, -1))[number % 4]
        yield {
            name: Fraction(generator.randrange(low * 9973, 9973), 9973) * scale + Fraction(1, 99991) for name in names
        }


def proportional(a: Tree, b: Tree) -> Fraction | None:
    """The sign (1 or -1) of the constant k with a = k b; None if there is none."""
    names = sorted((symbols(a) | symbols(b)) - {"i", "e", "\\pi"})
    ratios = []
    with mp.workdps(_DIGITS):
        for point in points(names):
            try:
                over, under = _mp(evaluate(a, point, False)), _mp(evaluate(b, point, False))
                ratios.append(over / under)
            except ArithmeticError:
                continue
        if len(ratios) < _ENOUGH or not ratios[0]:
            return None
        if any(abs(ratio - ratios[0]) > abs(ratios[0]) * mpf(10) ** (-_DIGITS // 2) for ratio in ratios):
            return None
        return Fraction(1 if ratios[0] > 0 else -1)


def number(tree: Tree) -> Fraction | None:
    """The real value of a formula without symbols, to `_DIGITS` where it is no fraction; None for another."""
    if symbols(tree) - {"e", "\\pi"}:
        return None
    try:
        with mp.workdps(_DIGITS):
            found = evaluate(tree, {}, False)
            if isinstance(found, Fraction):
                return found
            over, exponent = mpmath.mpf(found).man_exp
            return Fraction(int(over)) * Fraction(2) ** int(exponent)
    except ArithmeticError:
        return None


def symbols(tree: Tree) -> frozenset[str]:
    if tree[0] == "symbol":
        return frozenset([tree[1]])
    return frozenset().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))


def _operations(tree: Tree) -> frozenset[str]:
    parts = (_operations(part) for part in tree[1:] if isinstance(part, tuple))
    return frozenset([tree[0]]).union(*parts)


def _equal_numbers(a: Tree, b: Tree, point: Mapping[str, Any], is_complex: bool) -> bool:
    """Raises ArithmeticError where one has no value."""
    distances = []
    for digits in (_DIGITS, 2 * _DIGITS):
        with mp.workdps(digits):
            left, right = evaluate(a, point, is_complex), evaluate(b, point, is_complex)
            if isinstance(left, Fraction) and isinstance(right, Fraction):
                return left == right
            left, right = _mp(left), _mp(right)
            distance, size = abs(left - right), max(abs(left), abs(right))
            if not mpmath.isfinite(distance):
                raise Undefined
            if distance <= size * mpf(10) ** (5 - digits):
                return True
            distances.append(distance)
    # What is zero but for rounding falls with each digit; what is small stays as it is.
    return distances[1] < distances[0] * mpf(10) ** (10 - _DIGITS)


def _mp(value: Any) -> Any:
    return mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


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
        return _function(tree[1], _mp(evaluate(tree[2], point, is_complex)), is_complex)
    if kind == "applied":  # a function of which nothing is known: some number for each name and argument
        argument = _mp(evaluate(tree[2], point, is_complex))
        seed = sum(map(ord, tree[1]))
        return mpmath.sin(argument * seed / 7 + seed) + argument * argument / seed
    return _OPERATIONS[kind](*(evaluate(part, point, is_complex) for part in tree[1:]), is_complex)


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
    return a + b if isinstance(a, Fraction) and isinstance(b, Fraction) else _mp(a) + _mp(b)


def _product(a: Any, b: Any, _: bool) -> Any:
    return a * b if isinstance(a, Fraction) and isinstance(b, Fraction) else _mp(a) * _mp(b)


def _quotient(a: Any, b: Any, _: bool) -> Any:
    if not b:
        raise Undefined
    return a / b if isinstance(a, Fraction) and isinstance(b, Fraction) else _mp(a) / _mp(b)


def _power(a: Any, b: Any, is_complex: bool) -> Any:
    if not a and isinstance(b, Fraction) and b <= 0:
        raise Undefined
    if isinstance(a, Fraction) and isinstance(b, Fraction) and b.denominator == 1:
        bits = max(abs(a.numerator), a.denominator).bit_length()
        if abs(b) * bits <= _MAX_BITS:
            return a**b.numerator
    exponent = b.numerator if isinstance(b, Fraction) and b.denominator == 1 else _mp(b)
    base = _mp(a)
    if abs(exponent) * abs(mpmath.log(abs(base)) if base else 0) > 10**6:
        raise Undefined
    return _real(mpmath.power(base, exponent), is_complex)


def _root(a: Any, index: Any, is_complex: bool) -> Any:
    if not isinstance(index, Fraction) or index.denominator != 1 or not 1 <= index <= 1000:
        return _power(a, _quotient(Fraction(1), index, is_complex), is_complex)
    value = _mp(a)
    if not is_complex and value < 0 and index.numerator % 2:
        return -mpmath.root(-value, index.numerator)
    return _real(mpmath.root(value, index.numerator), is_complex)


def _factorial(n: Any, _: bool) -> Any:
    if isinstance(n, Fraction) and n.denominator == 1:
        if not 0 <= n <= 1000:
            raise Undefined
        return Fraction(int(mpmath.factorial(n.numerator, exact=True)) if n < 20 else _exact_factorial(n.numerator))
    if abs(n) > 1000:
        raise Undefined
    return mpmath.factorial(_mp(n))


def _exact_factorial(n: int) -> int:
    result = 1
    for factor in range(2, n + 1):
        result *= factor
    return result


def _binomial(n: Any, k: Any, _: bool) -> Any:
    if abs(n) > 1000 or abs(k) > 1000:
        raise Undefined
    if isinstance(n, Fraction) and isinstance(k, Fraction) and n.denominator == k.denominator == 1 and 0 <= k <= n:
        a, b, c = (_exact_factorial(int(x)) for x in (n, k, n - k))
        return Fraction(a, b * c)
    return mpmath.binomial(_mp(n), _mp(k))


def _whole(function: Any) -> Any:
    return lambda x, _: Fraction(int(function(_mp(x)))) if not isinstance(x, mpc) else _no()


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
    "degrees": lambda x, _: _mp(x) * mp.pi / 180,
    "percent": lambda x, _: _quotient(x, Fraction(100), False),
}
