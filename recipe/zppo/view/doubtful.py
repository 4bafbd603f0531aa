"""Rewards of the paper's grader that the careful one would have given otherwise: how many, and some to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from recipe.zppo.run.folder import RunFolder, read_json_lines
from recipe.zppo.view import outcome

_FILES, _EXAMPLES, _LENGTH = 3, 6, 60


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
    """Different pairs of the last rollout files, which are large."""


def doubtful_rewards(folder: RunFolder, rows: Sequence[outcome.Row]) -> Doubtful | None:
    """None for a run that has none, or did not count them.

    Args:
        rows: the run's metrics.
    """
    count = int(outcome.total(rows, "zppo/reward/doubtful"))
    if not count:
        return None
    examples: dict[tuple[str, str], Example] = {}
    for path in reversed(folder.rollout_files()[-_FILES:]):
        for example in _examples(path):
            examples.setdefault((example.answer, example.gold), example)
            if len(examples) == _EXAMPLES:
                return Doubtful(count, list(examples.values()))
    return Doubtful(count, list(examples.values()))


def _examples(path: Any) -> Iterator[Example]:
    for line in read_json_lines(path):
        for response in line.get("responses") or ():
            if response.get("doubtful"):
                right = response.get("reward") == 1
                texts = (line.get("prompt_id"), response.get("answer"), line.get("ground_truth"))
                prompt_id, answer, gold = map(_shown, texts)
                yield Example(prompt_id, answer, gold, paper=right, careful=not right)


def _shown(value: Any) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in str(value))
    text = " ".join(text.split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
