"""The list of the question browser: every question that was ever hard, and which of them the page has in full."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from recipe.zppo.view.question_life import Life

MOST_LISTED = 40_000
"""Questions in the list, of all runs of a page together."""

_BEGINNING = 120
"""Characters of a question in the list."""


def listed(lives: Sequence[Life]) -> list[dict[str, Any]]:
    """A row of the list for each, without texts: ``draws`` is step, plain accuracy, and kind and accuracy of others."""
    return [
        {
            "id": life.prompt_id,
            "question": life.question[:_BEGINNING],
            "source": life.source,
            "truth": life.ground_truth[:_BEGINNING],
            "fate": life.fate,
            "entry": entry_accuracy(life),
            "entered": life.entry_step,
            "left": life.left_step,
            "visits": life.visits,
            "draws": [
                [draw.step, round(draw.accuracy, 4), [[g["kind"], round(g["accuracy"], 4)] for g in draw.extra]]
                for draw in life.draws
            ],
        }
        for life in lives
    ]


def entry_accuracy(life: Life) -> float | None:
    """Of the last time that it entered the buffer; in a run without one, when it was first drawn."""
    if life.entry_accuracy is not None:
        return life.entry_accuracy
    return life.draws[0].accuracy if life.draws else None


def in_turn(lives: Sequence[Life]) -> Iterator[Life]:
    """The order in which questions get room for their texts.

    Those with a BCQ, an NCQ or another group beside the plain ones come first. Among them every fate and every entry
    accuracy takes its turn, and within these a hash of the question's id decides: not length, and not success.
    """
    for with_extra in (True, False):
        groups: dict[tuple[str, float], list[Life]] = {}
        for life in lives:
            if any(draw.extra for draw in life.draws) is with_extra:
                groups.setdefault((life.fate, entry_accuracy(life) or 0.0), []).append(life)
        queues = [sorted(group, key=lambda life: _hashed(life.prompt_id)) for _, group in sorted(groups.items())]
        for turn in zip_longest(*queues):
            yield from (life for life in turn if life is not None)


def _hashed(prompt_id: str) -> bytes:
    return hashlib.blake2b(prompt_id.encode(errors="replace"), digest_size=8).digest()
