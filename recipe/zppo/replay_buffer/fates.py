"""What became of the buffer's entries since the start of the run: counts by entry accuracy, and by number of visits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_FATES = ("admissions", "graduations", "evictions")
_WAYS_OUT = ("graduations", "evictions", "evictions_improved")
MOST_VISITS_COUNTED = 16
"""Entries that left after so many visits or more are counted together."""


class Fates:
    """Counts of entries: those that came in, and those that left as graduations or evictions."""

    def __init__(self) -> None:
        self._by_accuracy: dict[str, Counter[float]] = {fate: Counter() for fate in _FATES}
        self._by_visits: dict[str, Counter[int]] = {fate: Counter() for fate in _WAYS_OUT}

    def admitted(self, entry_accuracy: float) -> None:
        self._by_accuracy["admissions"][entry_accuracy] += 1

    def left(self, fate: str, entry_accuracy: float, visits: Sequence[tuple[int, float]]) -> None:
        """An entry left as ``fate``, one of graduations and evictions, after ``visits``, each a step and accuracy."""
        self._by_accuracy[fate][entry_accuracy] += 1
        number = min(len(visits), MOST_VISITS_COUNTED)
        self._by_visits[fate][number] += 1
        if fate == "evictions" and any(accuracy > entry_accuracy for _, accuracy in visits):
            self._by_visits["evictions_improved"][number] += 1

    def metrics(self) -> dict[str, float]:
        """As `PromptReplayBuffer.metrics` has them, but for what is about the entries inside."""
        admitted, graduated, evicted = (self._by_accuracy[fate] for fate in _FATES)
        values: dict[str, float] = {
            **{fate: counts.total() for fate, counts in self._by_accuracy.items()},
            "graduation_rate": graduated.total() / max(graduated.total() + evicted.total(), 1),
        }
        for accuracy in sorted(admitted):
            inside = admitted[accuracy] - graduated[accuracy] - evicted[accuracy]
            for name, count in (("size", inside), *((fate, self._by_accuracy[fate][accuracy]) for fate in _FATES)):
                key = f"{name}/from_{accuracy:.3f}"
                values[key] = values.get(key, 0) + count
        for visits in sorted(set().union(*self._by_visits.values())):
            values |= {f"{fate}/after_{visits}": counts[visits] for fate, counts in self._by_visits.items()}
        return values

    def state_dict(self) -> dict[str, Any]:
        return {
            "by_accuracy": {fate: dict(counts) for fate, counts in self._by_accuracy.items()},
            "by_visits": {fate: dict(counts) for fate, counts in self._by_visits.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises `LookupError`, `TypeError` or `ValueError` for what `state_dict` never gave."""
        self._by_accuracy = {fate: Counter(state["by_accuracy"][fate]) for fate in _FATES}
        self._by_visits = {fate: Counter(state["by_visits"][fate]) for fate in _WAYS_OUT}
