"""The interval of App. F.6: a cluster bootstrap over benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000


@dataclass(frozen=True)
class Difference:
    """Of two macro-averages over the same benchmarks, second minus first.

    Attributes:
        mean: the difference.
        low, high: ends of the 95% percentile interval.
        won: benchmarks on which the second is better.
    """

    mean: float
    low: float
    high: float
    won: int
    benchmarks: int


def bootstrap_difference(
    first: Sequence[float], second: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Resample benchmarks with replacement, the same ones for both sides in each iteration.

    Args:
        first, second: accuracies of two models, benchmark by benchmark. At least two.

    Raises:
        ValueError: of different lengths, or fewer than two.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"expected two equally long lists of at least two benchmarks, got {len(first)}, {len(second)}")
    differences = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(differences), size=(resamples, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return Difference(
        float(differences.mean()), float(low), float(high), int((differences > 0).sum()), len(differences)
    )
