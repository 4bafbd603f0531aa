"""The reward of reasoning-gym's questions: 1 if the last box holds the right answer, else 0.

The converter says in `extra_info.metadata` of each row who decides. `rule`: the paper's reward (`recipe.zppo.reward`),
where the answer is a whole number and there is only one. `verifier`: the task's own verifier, whose partial credit
counts as wrong; the paper's grading would be too lenient there, as it folds case, drops spaces and calculates, so that
`BA` is `AB` and `5.72+1.42` is `7.14`. Rows of other data sources go to `recipe.zppo.reward`, so that one run may mix:

    reward.custom_reward_function.path=pkg://recipe.zppo.data.reasoning_gym_reward
"""

import json
import re
from functools import lru_cache
from typing import Any

from recipe.zppo import reward as paper_reward
from recipe.zppo.errors import RewardError

PREFIX = "reasoning_gym/"
RULE, VERIFIER = "rule", "verifier"

_WHOLE_NUMBER = re.compile(r"-?\d{1,40}")
_NUMBER_TASKS = frozenset({"chain_sum", "products"})
"""Tasks with a verifier of their own that forgives ways of writing a number, which the paper's grading does too."""


def grader_of(task: str, answer: str, *, one_answer: bool) -> str:
    """Who is to grade a question with this gold answer; `one_answer`: the task's verifier accepts nothing else."""
    single = one_answer or task in _NUMBER_TASKS
    return RULE if single and _WHOLE_NUMBER.fullmatch(answer) else VERIFIER


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **kwargs: Any
) -> dict[str, float | str]:
    """verl's reward function; results as those of `recipe.zppo.reward.compute_score`.

    Raises:
        RewardError: a row of reasoning-gym whose `extra_info.metadata` does not say how to grade it, or reasoning-gym
            is not installed and its verifier is needed. No response raises.
    """
    if not str(data_source).startswith(PREFIX):
        return paper_reward.compute_score(data_source, solution_str, ground_truth, extra_info, **kwargs)
    metadata = _metadata(data_source, extra_info)
    if metadata["grader"] == RULE:
        return paper_reward.compute_score(data_source, solution_str, ground_truth)
    answer = paper_reward.extract_answer(solution_str)
    score = float(answer is not None and _verified(metadata["task"], answer, metadata["entry"]))
    return {"score": score, "acc": score, "answer": answer or ""}


def _metadata(data_source: str, extra_info: Any) -> dict[str, Any]:
    try:
        metadata = json.loads(extra_info["metadata"])
        if metadata["grader"] == RULE or (metadata["grader"] == VERIFIER and metadata["task"] and metadata["entry"]):
            return metadata
    except (TypeError, KeyError, ValueError):
        pass
    raise RewardError(
        f"extra_info.metadata of a {data_source} row does not say how to grade it; make the file with "
        "python -m recipe.zppo.data.reasoning_gym"
    )


def _verified(task: str, answer: str, entry: dict[str, Any]) -> bool:
    verifier = _verifier(task)
    try:
        return verifier(answer, entry) == 1.0
    except Exception:  # verifiers parse a model's text; one that they stumble on is not the answer
        return False


@lru_cache
def _verifier(task: str) -> Any:
    try:
        from reasoning_gym.factory import get_score_answer_fn
    except ImportError as error:
        raise RewardError(
            f"task {task} is graded by reasoning-gym's verifier, but reasoning-gym can't be imported ({error}); "
            "install it with: pip install 'open-zppo[recipes]'"
        ) from error
    return get_score_answer_fn(task)
