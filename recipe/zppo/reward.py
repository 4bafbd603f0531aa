"""The outcome reward: 1 if the last boxed answer is right, else 0.

`mathruler` extracts and compares. If that fails, degree and percent marks are stripped from both sides and the answers
are compared once more.

Answers are a model's text. One of more than `MAX_ANSWER` characters counts as none, and `bounded_grader` gives
`mathruler` a second of the processor for a pair.
"""

import re
from functools import lru_cache
from typing import Any

from mathruler.grader import extract_boxed_content

from recipe.zppo.bounded_grader import grade_answer
from recipe.zppo.errors import RewardError

MAX_ANSWER = 512  # characters; the data set's own limit for a gold answer (App. B.1)

_BOX = "\\boxed{"
_MARKS = re.compile(r"\^\s*\{\s*\\circ\s*\}|\^?\s*(?:\\(?:circ|deg|degrees?)(?![a-zA-Z])|[°∘])|\\?%")


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
    if answer == gold or grade_answer(answer, gold):
        return True
    bare_answer, bare_gold = _MARKS.sub("", answer).strip(), _MARKS.sub("", gold).strip()
    if not bare_answer or not bare_gold or (bare_answer, bare_gold) == (answer, gold):
        return False
    return bool(grade_answer(bare_answer, bare_gold))


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
