"""Whether two formulas are equal: exactly for fractions, else by their values at random points, in high precision.

Numbers decide what `simplify` often can't, in a known time: trigonometry, logarithms, powers. Where one side has no
real value, the point says nothing; the points are many, and the same in every process.
"""

import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp, mpf

from recipe.zppo.careful.arithmetic import Undefined, as_mpf, evaluate
from recipe.zppo.careful.syntax import Tree

_DIGITS = 40
_POINTS, _TRIES, _ENOUGH = 12, 60, 4


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
                over, under = as_mpf(evaluate(a, point, False)), as_mpf(evaluate(b, point, False))
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
            left, right = as_mpf(left), as_mpf(right)
            distance, size = abs(left - right), max(abs(left), abs(right))
            if not mpmath.isfinite(distance):
                raise Undefined
            if distance <= size * mpf(10) ** (5 - digits):
                return True
            distances.append(distance)
    # What is zero but for rounding falls with each digit; what is small stays as it is.
    return distances[1] < distances[0] * mpf(10) ** (10 - _DIGITS)
