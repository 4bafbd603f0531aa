"""What a reward function gives, as ZPPO takes it: an outcome, the held-out accuracy, the answer that it has read."""

import math
import re
from collections.abc import Mapping
from typing import Any

from recipe.zppo.answer_format import MAX_ANSWER
from recipe.zppo.errors import ConfigError

_COMPARISON = re.compile(r"\s*(>=|>)\s*(-?[0-9.]+(?:e-?[0-9]+)?)\s*", re.IGNORECASE)


def binarized(score: Any, binarize: str | None) -> Any:
    """The outcome, 0.0 or 1.0, of a score by `zppo.reward.binarize`; as it is without one, or if it is no number."""
    if binarize is None or not _is_number(score):
        return score
    sign, bound = comparison(binarize)
    return float(score >= bound if sign == ">=" else score > bound)


def comparison(binarize: str) -> tuple[str, float]:
    """Sign and bound.

    Raises:
        ConfigError: it is not such a comparison.
    """
    match = _COMPARISON.fullmatch(binarize)
    try:
        return match[1], float(match[2])  # type: ignore[index]
    except (TypeError, ValueError):
        raise ConfigError(
            f"zppo.reward.binarize: expected a comparison such as '>=0.5' or '>0', got {binarize!r}"
        ) from None


def with_outcome(score: Any, extra: Mapping[str, Any], binarize: str | None) -> tuple[Any, dict[str, Any]]:
    """The outcome of a score, and the function's other entries with ``acc`` among them.

    ``acc`` is what validation shows as held-out accuracy. A function may give its own; where it does not the outcome
    is. So it is there for every row: verl would leave rows out that lack it.
    """
    outcome = binarized(score, binarize)
    own = extra.get("acc")
    entries = {**extra, "acc": outcome if own is None or own == score else own}
    if "answer" in extra:
        entries["answer"] = _as_text(extra["answer"])
    return outcome, entries


def _as_text(answer: Any) -> str:
    text = "" if answer is None else str(answer).strip()
    return text if len(text) <= MAX_ANSWER else ""


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, str) and not math.isnan(value)
    except TypeError:
        return False
