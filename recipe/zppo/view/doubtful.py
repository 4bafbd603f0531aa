"""Rewards of the paper's grader that the careful one would have given otherwise: how many, and some to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view import outcome

_EXAMPLES, _LENGTH = 6, 60


@dataclass(frozen=True)
class Example:
    """One pair; its texts are cut, and have no line breaks or control characters."""

    prompt_id: str
    answer: str
    gold: str
    paper: bool
    """The verdict that was the reward."""
    careful: bool


@dataclass(frozen=True)
class Doubtful:
    count: int
    """Rewards of the whole run."""
    examples: list[Example]
    """Different pairs, those of the last steps first."""


def doubtful_rewards(folder: RunFolder, rows: Sequence[outcome.Row]) -> Doubtful | None:
    """None for a run that has none, or did not count them.

    Args:
        rows: the run's metrics.
    """
    count = int(outcome.total(rows, "zppo/reward/doubtful"))
    if not count:
        return None
    examples: dict[tuple[str, str], Example] = {}
    groups = [group for group in folder.events("rolled_out") if any(map(_is_doubtful, group["responses"]))]
    for group in sorted(groups, key=lambda group: -group["step"]):
        for response in filter(_is_doubtful, group["responses"]):
            prompt_id, answer, gold = map(_shown, (group["prompt_id"], response["answer"], group["ground_truth"]))
            example = Example(prompt_id, answer, gold, paper=response["reward"] == 1, careful=response["reward"] != 1)
            examples.setdefault((answer, gold), example)
            if len(examples) == _EXAMPLES:
                return Doubtful(count, list(examples.values()))
    return Doubtful(count, list(examples.values()))


def _is_doubtful(response: dict[str, Any]) -> bool:
    return bool(response.get("doubtful"))


def _shown(value: Any) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in str(value))
    text = " ".join(text.split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
