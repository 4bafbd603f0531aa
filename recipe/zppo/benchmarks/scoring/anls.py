"""ANLS, the metric of DocVQA and InfographicVQA: how near an answer comes to the nearest of the accepted ones.

Ten lines of our own: lmms-eval has it in a module that imports its whole evaluation stack.
"""

from collections.abc import Iterable

THRESHOLD = 0.5
"""What is less similar scores 0: it is another answer, not a misread one."""


def anls(answer: str, accepted: Iterable[str]) -> float:
    """The highest similarity, 0 to 1. Case and runs of spaces make no difference."""
    said = _normal(answer)
    best = max(_similarity(said, _normal(text)) for text in accepted)
    return best if best >= THRESHOLD else 0.0


def _similarity(one: str, other: str) -> float:
    """1 less the edit distance over the longer length."""
    longest = max(len(one), len(other))
    if abs(len(one) - len(other)) > THRESHOLD * longest:
        return 0.0  # at least so many edits; a response may be long
    return 1.0 - _distance(one, other) / longest if longest else 1.0


def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


def _normal(text: str) -> str:
    return " ".join(text.lower().split())
