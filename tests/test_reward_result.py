"""What a user's reward function gives becomes an outcome of 0 or 1, with held-out accuracy for every row."""

import math

import numpy as np
import pytest

from recipe.zppo.errors import ConfigError
from recipe.zppo.reward_result import binarized, comparison, with_outcome


@pytest.mark.parametrize(
    ("score", "binarize", "outcome"),
    [
        *((0.5, ">=0.5", 1.0), (0.5, ">0.5", 0.0), (0.49, ">= 0.5", 0.0), (2, ">1", 1.0), (True, ">=1", 1.0)),
        *((np.float32(0.75), ">=0.5", 1.0), (-1, ">-2", 1.0), (1e-6, ">1e-7", 1.0)),
        *((0.5, None, 0.5), (1, None, 1)),
        *(("high", ">=0.5", "high"), (None, ">=0.5", None)),  # refused afterwards, as without a threshold
    ],
)
def test_a_threshold_makes_an_outcome_of_points(score, binarize, outcome):
    assert binarized(score, binarize) == outcome


def test_a_score_that_is_no_number_is_not_called_wrong():
    assert math.isnan(binarized(float("nan"), ">=0.5"))


@pytest.mark.parametrize("binarize", ["0.5", "<0.5", ">=half", ">=0.5.1", "=>1"])
def test_what_is_no_comparison_is_refused(binarize):
    with pytest.raises(ConfigError, match=r"zppo.reward.binarize: expected a comparison such as '>=0.5'"):
        comparison(binarize)


@pytest.mark.parametrize(
    ("score", "extra", "binarize", "entries"),
    [
        (1.0, {}, None, {"acc": 1.0}),
        (0.7, {"score": 0.7}, ">=0.5", {"score": 0.7, "acc": 1.0}),
        (0.7, {"acc": 0.7}, ">=0.5", {"acc": 1.0}),  # verl's own copy of a bare score
        (0.0, {"score": 0.0, "acc": 1.0}, None, {"score": 0.0, "acc": 1.0}),  # the function's own
        (1.0, {"answer": 42}, None, {"answer": "42", "acc": 1.0}),
        (1.0, {"answer": None}, None, {"answer": "", "acc": 1.0}),
        (1.0, {"answer": "x" * 513}, None, {"answer": "", "acc": 1.0}),
    ],
)
def test_accuracy_is_there_for_every_row(score, extra, binarize, entries):
    assert with_outcome(score, extra, binarize) == (binarized(score, binarize), entries)
