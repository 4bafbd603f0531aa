"""What makes a question of the replay buffer come back sooner than another (beyond the paper, which draws uniformly).

The weight of an entry, of which its chance to be the next one drawn is proportional:

- ``uniform``: 1.
- ``entry_accuracy``: entry accuracy + 1/8. What the student nearly could when it was admitted comes back more often;
  the floor, one right answer in the paper's group of eight, leaves a chance to what it could not do at all.
- ``visits``: 1 / (1 + number of visits). What was visited least comes back first.
"""

from collections.abc import Collection

import numpy as np

UNIFORM = "uniform"
REPLAY_WEIGHTS = (UNIFORM, "entry_accuracy", "visits")
ENTRY_ACCURACY_FLOOR = 1 / 8


def entry_weights(weights: str, entry_accuracy: np.ndarray, num_visits: np.ndarray) -> np.ndarray:
    """The weight of every entry, as the module says, from its accuracy at admission and its number of visits."""
    if weights == "entry_accuracy":
        return entry_accuracy + ENTRY_ACCURACY_FLOOR
    if weights == "visits":
        return 1 / (1 + num_visits)
    return np.ones(len(entry_accuracy))


def weighted_draw(weights: np.ndarray, k: int, excluded: Collection[int], seed: int) -> list[int]:
    """`k` indices drawn one after the other without replacement, each in proportion to the weights of what is left.

    Fewer where there are fewer; never one of `excluded`. Every index gets an exponential variate of rate `weight`; the
    k smallest, in their order, are such a draw (Efraimidis and Spirakis, 2006). O(n + k log k), all in NumPy.
    """
    arrivals = -np.log1p(-np.random.Generator(np.random.PCG64(seed)).random(len(weights))) / weights
    arrivals[list(excluded)] = np.inf
    k = min(k, len(weights) - len(excluded))
    first = np.argpartition(arrivals, k - 1)[:k] if 0 < k < len(weights) else np.arange(len(weights))
    return first[np.argsort(arrivals[first], kind="stable")][:k].tolist()
