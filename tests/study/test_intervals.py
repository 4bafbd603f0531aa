import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.study.intervals import mean_interval, paired_difference, t_quantile


@pytest.mark.parametrize(
    ("degrees", "two_sided_95", "two_sided_99"),
    # From the published tables of Student's t.
    [
        (1, 12.7062, 63.6567),
        (2, 4.3027, 9.9248),
        (3, 3.1824, 5.8409),
        (4, 2.7764, 4.6041),
        (5, 2.5706, 4.0321),
        (10, 2.2281, 3.1693),
        (30, 2.0423, 2.7500),
        (120, 1.9799, 2.6174),
    ],
)
def test_quantiles_are_those_of_the_tables(degrees: int, two_sided_95: float, two_sided_99: float):
    assert t_quantile(0.975, degrees) == pytest.approx(two_sided_95, abs=6e-5)
    assert t_quantile(0.995, degrees) == pytest.approx(two_sided_99, abs=6e-5)


@given(st.floats(0.5, 0.999), st.integers(1, 40))
def test_the_density_up_to_the_quantile_adds_up_to_the_probability(probability: float, degrees: int):
    t = t_quantile(probability, degrees)
    constant = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2) / math.sqrt(degrees * math.pi)
    # Simpson's rule over the angle, in which the tail of one degree of freedom is harmless.
    end, steps = math.atan(t / math.sqrt(degrees)), 2000
    total = sum(
        (1 if i in (0, steps) else 4 if i % 2 else 2) * math.cos(end * i / steps) ** (degrees - 1)
        for i in range(steps + 1)
    )
    area = constant * math.sqrt(degrees) * total * end / steps / 3
    assert 0.5 + area == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize(("probability", "degrees"), [(1.0, 3), (0.4, 3), (0.975, 0)])
def test_no_quantile_outside_its_range(probability: float, degrees: int):
    with pytest.raises(ValueError, match="no t quantile"):
        t_quantile(probability, degrees)


def test_interval_of_three_seeds():
    interval = mean_interval([0.5, 0.6, 0.7])
    assert (interval.n, interval.mean) == (3, pytest.approx(0.6))
    assert interval.half_width == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)
    assert (interval.low, interval.high) == (pytest.approx(0.3516, abs=1e-4), pytest.approx(0.8484, abs=1e-4))


def test_one_seed_has_no_interval_and_none_has_nothing():
    assert mean_interval([0.4]).half_width is None
    assert mean_interval([0.4]).low is None
    assert mean_interval([]) is None


@given(st.dictionaries(st.integers(0, 9), st.floats(-1, 1)), st.dictionaries(st.integers(0, 9), st.floats(-1, 1)))
def test_pairs_are_of_the_same_seed(values: dict[int, float], others: dict[int, float]):
    difference = paired_difference(values, others)
    pairs = [values[seed] - others[seed] for seed in range(10) if seed in values and seed in others]
    assert (difference is None) == (not pairs)
    if difference is not None:
        assert difference.n == len(pairs)
        assert difference.mean == pytest.approx(statistics.fmean(pairs), abs=1e-12)


def test_pairing_removes_what_seeds_have_in_common():
    easy_and_hard = {0: 0.2, 1: 0.8}
    difference = paired_difference({seed: value + 0.1 for seed, value in easy_and_hard.items()}, easy_and_hard)
    assert difference.mean == pytest.approx(0.1)
    assert difference.half_width == pytest.approx(0.0, abs=1e-12)
