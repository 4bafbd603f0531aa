"""The outcome reward: 1 if the last boxed answer is right, else 0.

`mathruler` extracts and compares. If that fails, degree and percent marks are stripped from both sides and the answers
are compared once more.

Answers are a model's text, and `mathruler` ends in `sympy.simplify` of what `eval` makes of them. It refuses some of
what hangs there (`9^9^9`), and lets through `9**9**9`, `((9^9)^9)^9`, `2^-99999999`, `1<<99999999999` or
`ff(99999999,99999999)`. So an answer of more than `MAX_ANSWER` characters counts as none, and two answers go to sympy
only if both are plain arithmetic of bounded size (`is_bounded`); others are right only if `mathruler` normalises them
to the same string. A time limit would need a signal or a process; verl calls reward functions from threads.
"""

import builtins
import math
import re
from functools import lru_cache
from typing import Any

import sympy
from mathruler.grader import _normalize as mathruler_normalize
from mathruler.grader import extract_boxed_content, grade_answer
from mathruler.math_normalize import normalize_answer

from recipe.zppo.errors import RewardError

MAX_ANSWER = 512  # characters; the data set's own limit for a gold answer (App. B.1)

_BOX = "\\boxed{"
_MARKS = re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])|\\degrees?(?![a-zA-Z])|°|\\?%")


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **kwargs: Any
) -> dict[str, float | str]:
    """verl's reward function.

    Args:
        solution_str: the response, any text.
        ground_truth: the gold answer: a string or number, or a list or array of one.

    Returns:
        `score` and `acc`, both exactly 0.0 or 1.0, and `answer`, the extracted answer or "".

    Raises:
        RewardError: the gold answer is missing or of another type. No response raises.
    """
    gold = gold_answer(ground_truth)
    answer = extract_answer(solution_str)
    score = float(answer is not None and is_correct(answer, gold))
    return {"score": score, "acc": score, "answer": answer or ""}


def extract_answer(text: str) -> str | None:
    """The content of the last `\\boxed{...}`; `None` if there is none, or if it is empty, unclosed or too long."""
    start = text.rfind(_BOX)
    if start < 0:
        return None
    box = text[start : start + len(_BOX) + MAX_ANSWER + 1]
    answer = extract_boxed_content(box)
    if answer == "None" and not re.match(r"\s*None\s*\}", box[len(_BOX) :]):
        return None  # mathruler's word for a box that is not closed
    return answer or None


@lru_cache(maxsize=4096)  # the rollouts of a question repeat their answers, and sympy takes milliseconds for each
def is_correct(answer: str, gold: str) -> bool:
    """Whether an extracted answer equals the gold one, marks of degree and percent apart."""
    if _equal(answer, gold):
        return True
    bare_answer, bare_gold = _MARKS.sub("", answer).strip(), _MARKS.sub("", gold).strip()
    if not bare_answer or not bare_gold or (bare_answer, bare_gold) == (answer, gold):
        return False
    return _equal(bare_answer, bare_gold)


def gold_answer(ground_truth: Any) -> str:
    """The gold answer as a string, from what a data row may hold.

    Raises:
        RewardError: see `compute_score`.
    """
    value = ground_truth.tolist() if hasattr(ground_truth, "tolist") else ground_truth
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str | int | float) or (isinstance(value, str) and not value.strip()):
        raise RewardError(f"the gold answer must be a string, a number or a list of one, got {ground_truth!r:.200}")
    return str(value)


def _equal(answer: str, gold: str) -> bool:
    try:
        normal_answer, normal_gold = mathruler_normalize(answer), mathruler_normalize(gold)
        if normal_answer == normal_gold or normalize_answer(answer) == normalize_answer(gold):
            return True
        return is_bounded(f"({normal_gold})-({normal_answer})") and bool(grade_answer(answer, gold))
    except Exception:  # a text on which mathruler or sympy stumbles is not the gold answer
        return False


# --- what sympy may see ------------------------------------------------------------------------------------------

_MAX_LENGTH = 160
_MAX_POWERS = 12
_MAX_ROOTS, _MAX_FLAT_ROOTS = 4, 8
_MAX_SIZE = 1200
_MAX_LOG_PRODUCT = 1e5
_FUNCTIONS = {"sqrt", "pi", "ln"}
_SYMBOLS = set("+-*/^().,[]")
_EXPONENT = re.compile(r"-?([0-9])(?![0-9._^])|[^\W\d_](?!\^)")
"""One digit or letter, to which no further power is raised: 3^9^9 has 370 million digits."""
_FLAT_ROOT = re.compile(r"sqrt\([^()]*\)")
_INDEXED = re.compile(r"(?<![^\W\d])([^\W\d_])_([^\W_])(?!\w)")
"""A letter with an index, x_1; no name of Python's or sympy's has this form."""
_FORBIDDEN = re.compile(r"\*\*|//|\.[^\W\d]|[0-9.]e[+-]?[0-9]{3}")


def is_bounded(expression: str) -> bool:
    """Whether sympy surely finishes with a normalised difference of two answers, in seconds at worst.

    Letters (with an index of one letter or digit), digits and the usual operators; no name that sympy or Python knows
    but a few; few powers and roots, fewer where one may hold another, with exponents of one digit, and a bounded number
    of terms when all powers are expanded. Beside a logarithm only small integers, since sympy turns `n*ln(a)` into
    `ln(a**n)`.
    """
    expression = _INDEXED.sub(r"\1", expression)
    roots = expression.count("sqrt")
    if len(expression) > _MAX_LENGTH or expression.count("^") > _MAX_POWERS or roots > _MAX_FLAT_ROOTS:
        return False
    if roots > _MAX_ROOTS and len(_FLAT_ROOT.findall(expression)) != roots:
        return False
    if _FORBIDDEN.search(expression) or not all(char.isalnum() or char in _SYMBOLS for char in expression):
        return False
    words = set(re.findall(r"[^\W\d_]{2,}", expression))
    if any(hasattr(sympy, word) or hasattr(builtins, word) for word in words - _FUNCTIONS):
        return False
    if "ln" in words:
        numbers = [int(number) for number in re.findall(r"[0-9]+", expression)]
        if "^" in expression or "." in expression or math.prod(filter(None, numbers)) > _MAX_LOG_PRODUCT:
            return False
    return _expanded_size(expression) <= _MAX_SIZE


def _expanded_size(expression: str) -> float:
    """A bound of the terms, or of a number's digits, with all powers of sums expanded.

    A sum or product in parentheses has the sizes of its parts, added up; `x^d` has size d, `(...)^d` its size to the
    d-th. A letter as exponent counts as 3. Infinite if an exponent is anything else.
    """
    sizes = [0.0]  # of each open parenthesis, outermost first
    closed: float | None = None  # size of the group that ends just before, None for a digit or letter
    for position, char in enumerate(expression):
        if char == "^":
            match = _EXPONENT.match(expression, position + 1)
            if match is None:
                return math.inf
            exponent = int(match.group(1) or 3)
            power = float(exponent) if closed is None else closed**exponent
            sizes[-1] += power
            if max(sizes) > _MAX_SIZE:
                return math.inf
            closed = None
        elif char in "([":
            sizes.append(0.0)
        elif char in ")]":
            closed = max(sizes.pop(), 1.0) if len(sizes) > 1 else 1.0
            sizes[-1] += closed
        else:
            closed = None
            sizes[-1] += char.isalnum() and not expression[position - 1 : position].isalnum()
    return sum(sizes)
