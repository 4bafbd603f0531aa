"""The outcome reward: 1 if the last answer of a response is right, else 0. Where it is: `recipe.zppo.answer_format`.

Two graders compare answers, one of them for a whole run (`zppo.reward.grader`):

- `paper`: `mathruler` extracts and compares. If that fails, degree and percent marks are stripped from both sides and
  the answers are compared once more.
- `careful`: `recipe.zppo.careful`, which is wrong less often. It also takes a box without braces.

Whoever reads or compares answers does it here. A process goes by the paper until `use_reward` says otherwise.

Answers are a model's text. One of more than `MAX_ANSWER` characters counts as none, and `bounded_grader` gives a
grader a second of the processor for a pair.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from mathruler.grader import extract_boxed_content

from recipe.zppo import answer_format
from recipe.zppo.answer_format import MAX_ANSWER
from recipe.zppo.bounded_grader import HelperKilledError, grade_answer
from recipe.zppo.errors import RewardError

Grader: TypeAlias = Literal["paper", "careful"]

LARGEST_FLOAT = 2.0**53
"""From here on a float does not hold every whole number: the digits of a gold answer may be lost."""

_BOX = "\\boxed{"
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$]+)")
_DEGREE = r"(?:\\(?:circ|deg|degrees?)(?![a-zA-Z])|[°∘])"
_MARKS = re.compile(rf"\^\s*\{{\s*{_DEGREE}\s*\}}|\^?\s*{_DEGREE}|\\?%")
_chosen: Grader = "paper"


def use_grader(grader: Grader) -> None:
    """Let this process grade so from now on."""
    global _chosen
    _chosen = grader


def use_reward(zppo: Any) -> None:
    """Let this process read and compare answers as the keys `zppo.answer` and `zppo.reward` say."""
    use_grader(zppo.reward.grader)
    answer_format.use(answer_format.answer_format(zppo.answer))


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict | None = None,
    grader: Grader | None = None,
    answer: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, float | str]:
    """verl's reward function.

    Args:
        solution_str: the response, any text.
        ground_truth: the gold answer, see `gold_answer`.
        grader: the process's, if it is None.
        answer: the keys `zppo.answer`; the process's format, if it is None.

    Returns:
        `score` and `acc`, both exactly 0.0 or 1.0; `answer`, the extracted answer or ""; and `doubtful`, 1.0 if the
        paper's grader has decided and the careful one decides otherwise.

    Raises:
        RewardError: the gold answer is missing or of another type. No response raises.
    """
    grader = grader or _chosen
    gold = gold_answer(ground_truth)
    said = extract_answer(solution_str, grader, answer)
    score = float(said is not None and is_correct(said, gold, grader))
    doubtful = float(said is not None and grader == "paper" and is_doubtful(said, gold))
    return {"score": score, "acc": score, "answer": said or "", "doubtful": doubtful}


def extract_answer(text: str, grader: Grader | None = None, answer: Mapping[str, Any] | None = None) -> str | None:
    r"""The last answer of a response: of the paper's format the content of the last `\boxed{...}`.

    `None` if there is none, or if it is empty, unclosed or too long. The careful grader takes the word behind a later
    `\boxed` without braces as well. Arguments as those of `compute_score`.

    Raises:
        RewardFunctionError: the run's own function for it fails.
    """
    answers = answer_format.answer_format(answer) if answer else answer_format.chosen()
    return _extract_boxed(text, grader) if answers.boxed else answers.extract(text)


def _extract_boxed(text: str, grader: Grader | None) -> str | None:
    start = text.rfind(_BOX)
    if (grader or _chosen) == "careful":
        last = text.rfind("\\boxed")
        if last > start and (match := _BARE_BOX.match(text[last : last + MAX_ANSWER])):
            return match[1].rstrip(".,;") or None
    if start < 0:
        return None
    box = text[start : start + len(_BOX) + MAX_ANSWER + 1]
    answer = extract_boxed_content(box)
    if answer == "None" and not re.match(r"\s*None\s*\}", box[len(_BOX) :]):
        return None  # mathruler's word for a box that is not closed
    return answer or None


def is_correct(answer: str, gold: str, grader: Grader | None = None) -> bool:
    """Whether an extracted answer equals the gold one."""
    return bool(verdict(answer, gold, grader or _chosen))


def is_doubtful(answer: str, gold: str) -> bool:
    """Whether the two graders differ. What the careful one does not finish in its time is not doubtful."""
    careful = verdict(answer, gold, "careful")
    return careful is not None and careful != bool(verdict(answer, gold, "paper"))


def verdict(answer: str, gold: str, grader: Grader) -> bool | None:
    """A grader's; None where it took too long, or was killed. The latter is not remembered: the next call asks anew."""
    try:
        return remembered_verdict(answer, gold, grader)
    except HelperKilledError:
        return None


@lru_cache(maxsize=8192)  # the rollouts of a question repeat their answers, and each pair takes milliseconds
def remembered_verdict(answer: str, gold: str, grader: Grader) -> bool | None:
    """Under `paper` the marks of degree and percent do not matter.

    Raises:
        HelperKilledError: see there.
    """
    if answer == gold:
        return True
    if grader == "careful":
        return grade_answer(answer, gold, "careful")
    first = grade_answer(answer, gold)
    bare_answer, bare_gold = _MARKS.sub("", answer).strip(), _MARKS.sub("", gold).strip()
    if first or not bare_answer or not bare_gold or (bare_answer, bare_gold) == (answer, gold):
        return first
    return grade_answer(bare_answer, bare_gold)


def gold_answer(ground_truth: Any) -> str:
    """The gold answer as a string, from what a data row may hold: the one rule, for the checks of data files as well.

    Raises:
        RewardError: it is none of: a text that is not blank, a whole number, true or false, a float that is finite and
            small enough for all its digits (2^53), a list or array of one of these.
    """
    value = _plain(ground_truth)
    if isinstance(value, list | tuple) and len(value) == 1:
        value = _plain(value[0])
    if isinstance(value, float):
        usable = abs(value) < LARGEST_FLOAT  # false for NaN
    else:
        usable = isinstance(value, int) or (isinstance(value, str) and bool(value.strip()))
    if not usable:
        raise RewardError(
            f"the gold answer must be a text, a number with all its digits or a list of one, got {ground_truth!r:.200}"
        )
    return str(value)


def _plain(value: Any) -> Any:
    """numpy's values as Python's; its dates would become numbers, and stay what they are."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return value.tolist() if hasattr(value, "tolist") and kind not in "mM" else value
