"""Gold answers: what they are compared by, and whether that can work."""

import re
from decimal import Decimal
from typing import Any

from recipe.zppo.data.rows import FREE_FORM, RULE
from recipe.zppo.reward import Grader, extract_answer, gold_answer, is_correct

MAX_RULE_WORDS = 5
"""More words without a formula are prose, which no rule can compare."""

_WHOLE_BOX = re.compile(r"\s*\$*\s*\\boxed\s*\{.*\}\s*\$*\s*\.?\s*", re.DOTALL)
_FORMULA = re.compile(r"[\\=^_{}]|\d\s*[-+*/]\s*\d")


def clean_answer(value: Any) -> str:
    """The answer as text, out of its box if it is in one; "" if there is none, or none that was written as text.

    A date or time is what some reader made of a text, in which of its forms nobody knows.
    """
    if isinstance(value, list | tuple):
        return clean_answer(value[0]) if len(value) == 1 else ""
    if not isinstance(value, str | int | float | Decimal) or isinstance(value, bool) or value != value:
        return ""
    text = str(value).strip()
    if _WHOLE_BOX.fullmatch(text):
        text = (extract_answer(text) or text).strip()
    return text


def answer_type(answer: str) -> str:
    """`free_form` for prose: more than `MAX_RULE_WORDS` words and no formula; `rule` for the rest."""
    return FREE_FORM if len(answer.split()) > MAX_RULE_WORDS and not _FORMULA.search(answer) else RULE


def is_gradable(answer: str, grader: Grader = "paper") -> bool:
    """Whether the grader accepts the gold answer in a box. Where it does not, no response is ever right."""
    boxed = extract_answer(f"\\boxed{{{answer}}}", grader)
    return boxed is not None and is_correct(boxed, gold_answer(answer), grader)
