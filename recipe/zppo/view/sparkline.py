"""A line of values in one line of text."""

from collections.abc import Sequence
from statistics import fmean

_BARS = "▁▂▃▄▅▆▇█"

WIDTH = 24
"""Signs, where nobody says otherwise."""


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """A bar for each value, from the lowest to the highest; of more than ``width`` values, means of equal parts."""
    parts = min(len(values), width)
    means = [fmean(values[i * len(values) // parts : (i + 1) * len(values) // parts]) for i in range(parts)]
    low, reach = min(means, default=0.0), max(means, default=0.0) - min(means, default=0.0)
    return "".join(_BARS[round((mean - low) / reach * (len(_BARS) - 1)) if reach else 0] for mean in means)
