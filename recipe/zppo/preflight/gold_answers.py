"""What is wrong with the gold answer of a data row, in words for the row's refusal."""

import datetime
import math
import re
from typing import Any

from recipe.zppo.config.engine import shown
from recipe.zppo.errors import RewardError
from recipe.zppo.reward import gold_answer

ANSWER = "reward_model.ground_truth"
CONVERTER = "python -m recipe.zppo.data.convert name=verl source=FILE out=FOLDER"
EXTRACTS = "python -m recipe.zppo.data.convert name=gsm8k, or name=math, takes the final answer out"

_MARKS = ("####", "\\boxed{")
_AFTER_WORDS = re.compile(r"\S\s")
"""As GSM8K and MATH end theirs, behind a reasoning."""


def is_whole_solution(answer: Any) -> bool:
    """Whether it is a solution that ends with the final answer. No box holds one, so that nothing would be right."""
    ends = [answer.rfind(mark) for mark in _MARKS] if isinstance(answer, str) else []
    return bool(ends) and _AFTER_WORDS.search(answer, 0, max(*ends, 0)) is not None


def answer_problem(reward_model: Any, needed: bool) -> str:
    """What a row lacks for its answer to be compared; empty if nothing.

    Args:
        needed: a reward function of ours or the judge reads it. One of the user's may take anything, null too.
    """
    if not isinstance(reward_model, dict) or "ground_truth" not in reward_model:
        return f"answer ({ANSWER} is empty)"
    answer = reward_model["ground_truth"]
    if not needed:
        return ""
    try:
        gold_answer(answer)
    except RewardError:
        return _why_no_gold(answer)
    return ""


def _why_no_gold(answer: Any) -> str:
    """In words, of an answer that `gold_answer` refuses."""
    if answer is None or (
        isinstance(answer, str | list) and not (answer.strip() if isinstance(answer, str) else answer)
    ):
        return f"answer ({ANSWER} is empty)"
    value = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
    if isinstance(value, datetime.date):
        return (
            f"answer that the reward can compare ({ANSWER} is a {type(value).__name__}, which readers of JSON make of "
            f"texts such as 2024-01-31; make it text: {CONVERTER})"
        )
    if isinstance(value, float):
        if not math.isfinite(value):
            return f"answer ({ANSWER} is {value})"
        return f"exact answer ({ANSWER} is {value}, too large for all digits of a float; make it text: {CONVERTER})"
    return (
        f"answer that the reward can compare ({ANSWER} is {shown(answer)} of the type {type(value).__name__}; "
        "make it text, a number, or a list of one of them)"
    )
