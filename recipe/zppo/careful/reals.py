"""Intervals, inequalities and sets of numbers as what they are: sets of real numbers."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from recipe.zppo.careful import value
from recipe.zppo.careful.forms import Form, Items, Quantity, Reals, Relation, Words
from recipe.zppo.careful.syntax import Tree

INFINITY = float("inf")
TURNED = {"<": ">", ">": "<", "\\leq": "\\geq", "\\geq": "\\leq"}
"""Signs of a relation whose sides change places."""


def reals_without(points: Sequence[Fraction | float], name: str) -> Reals:
    ends = [-INFINITY, *points, INFINITY]
    return Reals(tuple((a, b, False, False) for a, b in pairwise(ends)), name)


def as_reals(form: Form) -> Reals | None:
    """An interval in brackets, a set of numbers, or an inequality, as a set of real numbers; None for others."""
    if isinstance(form, Reals):
        return form
    if isinstance(form, Items) and (ends := bounds(form.items)):
        if form.brackets == "{}":
            return Reals(tuple((end, end, True, True) for end in sorted(ends)))
        if len(ends) == 2 and form.brackets and set(form.brackets) <= set("()[]") and ends[0] < ends[1]:
            return Reals(((ends[0], ends[1], form.brackets[0] == "[", form.brackets[1] == "]"),))
    if isinstance(form, Relation):
        for left, right, sign in (
            (form.left, form.right, form.sign),
            (form.right, form.left, TURNED.get(form.sign, form.sign)),
        ):
            name, end = real_symbol(left), bound(right)
            if isinstance(left, Quantity) and left.tree[0] == "absolute" and end is not None:
                return _absolute(left.tree[1], end, sign)
            if not name or end is None or sign not in ("<", ">", "\\leq", "\\geq", "\\neq"):
                continue
            if sign == "\\neq":
                return reals_without([end], name)
            low, high = (-INFINITY, end) if sign in ("<", "\\leq") else (end, INFINITY)
            return Reals(((low, high, sign == "\\geq", sign == "\\leq"),), name)
    return None


def _absolute(tree: Tree, end: Fraction | float, sign: str) -> Reals | None:
    """``|x| < 3``."""
    if tree[0] != "symbol" or not 0 < end < INFINITY or sign not in TURNED:
        return None
    closed = sign in ("\\leq", "\\geq")
    if sign in ("<", "\\leq"):
        return Reals(((-end, end, closed, closed),), tree[1])
    return Reals(((-INFINITY, -end, False, closed), (end, INFINITY, closed, False)), tree[1])


def common(parts: Sequence[Reals]) -> Reals | None:
    """What lies in all of them, where each is one interval; None if nothing does."""
    if any(len(part.intervals) > 1 for part in parts):
        return None
    lows = [(part.intervals[0][0], not part.intervals[0][2]) for part in parts]
    highs = [(part.intervals[0][1], part.intervals[0][3]) for part in parts]
    (low, low_open), (high, with_high) = max(lows), min(highs)
    return Reals(((low, high, not low_open, with_high),), parts[0].name) if low < high else None


def between(sides: Sequence[Form], signs: Sequence[str]) -> Reals | None:
    """``1 < x <= 2``."""
    if signs[0] in (">", "\\geq"):
        sides, signs = sides[::-1], [TURNED[sign] for sign in signs[::-1]]
    low, name, high = bound(sides[0]), real_symbol(sides[1]), bound(sides[2])
    if low is None or high is None or not name or not all(sign in ("<", "\\leq") for sign in signs) or not low < high:
        return None
    return Reals(((low, high, signs[0] == "\\leq", signs[1] == "\\leq"),), name)


def real_symbol(form: Form) -> str:
    return form.tree[1] if isinstance(form, Quantity) and form.tree[0] == "symbol" and not form.unit else ""


def bound(form: Form) -> Fraction | float | None:
    """A real number, exact where it can be, or an infinity; None if it is neither."""
    if isinstance(form, Words):
        return {"\\infty": INFINITY, "+\\infty": INFINITY, "-\\infty": -INFINITY}.get(form.text.replace(" ", ""))
    if not isinstance(form, Quantity) or form.percent or form.unit not in ("", "°"):
        return None
    return value.number(form.tree)


def bounds(items: Sequence[Form]) -> list[Fraction | float]:
    """All of them, or none."""
    found = [end for item in items if (end := bound(item)) is not None]
    return found if len(found) == len(items) else []


def united(parts: Sequence[Reals]) -> Reals:
    """All of them as one set; those that touch become one interval."""
    intervals = sorted(
        (interval for part in parts for interval in part.intervals), key=lambda each: (each[0], not each[2])
    )
    merged = [intervals[0]]
    for low, high, with_low, with_high in intervals[1:]:
        last_low, last_high, with_last_low, with_last = merged[-1]
        if low < last_high or (low == last_high and (with_low or with_last)):
            if high > last_high:
                last_high, with_last = high, with_high
            elif high == last_high:
                with_last = with_last or with_high
            merged[-1] = (last_low, last_high, with_last_low, with_last)
        else:
            merged.append((low, high, with_low, with_high))
    return Reals(tuple(merged), parts[0].name)
