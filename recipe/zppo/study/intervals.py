"""Means of a few seeds with their 95% interval (Student's t), and paired differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev


@dataclass(frozen=True)
class Interval:
    """A mean of ``n`` values; ``half_width`` is None where one value tells nothing about the spread."""

    n: int
    mean: float
    half_width: float | None

    @property
    def low(self) -> float | None:
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        return None if self.half_width is None else self.mean + self.half_width


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """None over nothing."""
    if not values:
        return None
    if len(values) == 1:
        return Interval(1, values[0], None)
    half_width = t_quantile((1 + level) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(len(values), mean(values), half_width)


def paired_difference(values: Mapping[int, float], others: Mapping[int, float]) -> Interval | None:
    """Of ``values - others``, over the seeds that both have; None if there is none."""
    return mean_interval([values[seed] - others[seed] for seed in sorted(values.keys() & others.keys())])


def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t with a whole number of degrees of freedom, by bisection of its distribution function.

    Raises:
        ValueError: ``probability`` is not in [0.5, 1), or ``degrees`` is below 1.
    """
    if not 0.5 <= probability < 1 or degrees < 1:
        raise ValueError(f"no t quantile of {probability} with {degrees} degrees of freedom")
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / sqrt(degrees)
    for _ in range(200):
        middle = (low + high) / 2
        if (1 + _central_share(middle, degrees)) / 2 < probability:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central_share(angle: float, degrees: int) -> float:
    """P(|T| <= t) at t = sqrt(degrees) * tan(angle): a finite sum (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, cosine if degrees > 1 else 0.0) if odd else (1.0, 1.0)
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
