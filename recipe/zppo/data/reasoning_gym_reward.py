"""The reward of reasoning-gym's questions: 1 if the last box holds the right answer, else 0.

The converter says in `extra_info.metadata` of each row who decides. `rule`: the paper's reward (`recipe.zppo.reward`),
where the answer is a whole number and there is only one. `verifier`: the task's own verifier with the settings of the
row, in a process of bounded time and memory; partial credit counts as wrong. The paper's grading would be too lenient
there, as it folds case, drops spaces and calculates, so that `BA` is `AB` and `5.72+1.42` is `7.14`. Rows of other
data sources go to `recipe.zppo.reward`, so that one run may mix:

    reward.custom_reward_function.path=pkg://recipe.zppo.data.reasoning_gym_reward
"""

import json
import re
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from recipe.zppo import reward as paper_reward
from recipe.zppo.bounded_grader import BoundedGrader
from recipe.zppo.data import reasoning_gym_process as process
from recipe.zppo.errors import RewardError

PREFIX = "reasoning_gym/"
RULE, VERIFIER = "rule", "verifier"

_WHOLE_NUMBER = re.compile(r"-?\d{1,40}")
_NUMBER_TASKS = frozenset({"chain_sum", "gsm_symbolic", "products"})
"""Tasks with a verifier of their own that forgives ways of writing a number, which the paper's grading does too. That
of `gsm_symbolic` forgives a wrong sign as well."""

_READ_SETTINGS = frozenset({"decimal_arithmetic", "polynomial_equations", "puzzle24", "time_intervals"})
"""Tasks whose verifier depends on their settings, which rows of earlier versions of this package lack."""


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
        return paper_reward.compute_score(data_source, solution_str, ground_truth, **kwargs)
    answer = paper_reward.extract_answer(solution_str, kwargs.get("grader"), kwargs.get("answer"))
    score = float(answer is not None and _verified(metadata["task"], answer, metadata))
    return {"score": score, "acc": score, "answer": answer or "", "doubtful": 0.0}


def _metadata(data_source: str, extra_info: Any) -> dict[str, Any]:
    try:
        metadata = json.loads(extra_info["metadata"])
        if metadata["grader"] == RULE:
            return metadata
        complete = "settings" in metadata or metadata["task"] not in _READ_SETTINGS
        if metadata["grader"] == VERIFIER and metadata["task"] and metadata["entry"] and complete:
            return metadata
    except (TypeError, KeyError, ValueError):
        pass
    raise RewardError(
        f"extra_info.metadata of a {data_source} row does not say how to grade it; make the file with "
        "python -m recipe.zppo.data.reasoning_gym"
    )


def _verified(task: str, answer: str, metadata: dict[str, Any]) -> bool:
    row = {"task": task, "settings": metadata.get("settings", {}), "entry": metadata["entry"]}
    try:
        return _verifier(task)(answer, json.dumps(row)) or False  # None: it took too long
    except OSError as error:
        raise RewardError(
            f"task {task} is graded by reasoning-gym's verifier, whose process does not start; "
            "python -c 'import reasoning_gym' says why"
        ) from error


@lru_cache
def _verifier(task: str) -> BoundedGrader:
    if find_spec("reasoning_gym") is None:
        raise RewardError(
            f"task {task} is graded by reasoning-gym's verifier, but reasoning-gym can't be imported; "
            "install it with: pip install 'open-zppo[recipes]'"
        )
    return _helper


_helper = BoundedGrader(process.command(process.VERIFY))
