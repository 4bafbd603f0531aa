"""The kinds of answers: words, a quantity, a list, a matrix, an equation, a set of real numbers."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from recipe.zppo.careful.syntax import Tree


@dataclass(frozen=True)
class Words:
    text: str
    tree: Tree | None = field(default=None, compare=False)
    """Of two or three letters, such as ``mgh``, the product that they may be."""


@dataclass(frozen=True)
class Quantity:
    """A number or a formula, and what stands beside it."""

    tree: Tree
    unit: str = ""
    percent: bool = False
    text: str = ""


@dataclass(frozen=True)
class Items:
    """Several answers. `brackets` is "" for a bare list, "{}" for a set, "<>" for a vector."""

    brackets: str
    items: tuple["Form", ...]
    ordered: bool


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple["Form", ...], ...]
    determinant: bool


@dataclass(frozen=True)
class Relation:
    """``left = right``, or another sign; of ``x = 6/2 = 3`` the first and the last part."""

    sign: str
    left: "Form"
    right: "Form"
    name: str
    """What is said to be equal to `right`: the text on the left if it is no formula but a name; else ""."""


@dataclass(frozen=True)
class Reals:
    """Intervals in order, each (from, to, whether each end belongs to it); they have numbers, or ``inf``, as ends."""

    intervals: tuple[tuple[Fraction | float, Fraction | float, bool, bool], ...]
    name: str = ""
    """The variable, where one was named."""


Form: TypeAlias = Words | Quantity | Items | Matrix | Relation | Reals
